"""Rest.li in the simulated LinkedIn: the parser of raw protocol 2.0.0 queries, and error envelopes.

https://linkedin.github.io/rest.li/spec/protocol and
https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/error-handling. In a list each URN is
percent-encoded, while `List(`, commas and `)` stay as they are.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote

import httpx

from deploy.simulators.refusal import RefusedError

_INDEXED = re.compile(r"(?P<name>\w+)(\[|%5B)", re.IGNORECASE)
_LIST = re.compile(r"List\((?P<items>[^()]*)\)")
_ENCODED = re.compile(r"[A-Za-z0-9_.%-]+")


def error(status: int, code: str, message: str, service_code: int | None = None) -> RefusedError:
    """Return a refusal in the API's error envelope, with `serviceErrorCode` where it is known."""
    body: dict[str, str | int] = {"status": status, "code": code, "message": message}
    if service_code is not None:
        body["serviceErrorCode"] = service_code
    return RefusedError(httpx.Response(status, json=body))


def access_denied(resource: str) -> RefusedError:
    """Return the 403 of a missing scope or role."""
    return error(403, "ACCESS_DENIED", f"Not enough permissions to access: {resource}", 100)


def parameters(query: str, known: Collection[str]) -> dict[str, str]:
    """Return the raw values by name. Refuses unknown and repeated names, and the indexes of protocol 1.0."""
    values: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if (indexed := _INDEXED.match(name)) is not None:
            message = (
                "Unpermitted fields present in PARAMETER: Data Processing Exception while processing fields "
                f"[/{indexed['name']}[0]]"
            )
            raise error(403, "ACCESS_DENIED", message)
        if name not in known or name in values:
            raise error(400, "QUERY_PARAM_NOT_ALLOWED", f"Query parameter {unquote(name)} is not allowed")
        values[name] = value
    return values


def urn(raw: str, kinds: Collection[str]) -> str:
    """Return the decoded URN of one raw value. Refuses what is not encoded, no URN, or another kind."""
    decoded = unquote(raw)
    kind = "|".join(sorted(kinds))
    if not _ENCODED.fullmatch(raw) or not re.fullmatch(rf"urn:li:(?:{kind}):[\w-]+", decoded):
        raise error(400, "ILLEGAL_ARGUMENT", f"Invalid value for URN parameter: {decoded}")
    return decoded


def urns(raw: str, kinds: Collection[str]) -> list[str]:
    """Return the decoded URNs of a raw `List(…)`."""
    listed = _LIST.fullmatch(raw)
    if listed is None:
        raise error(400, "QUERY_PARAM_NOT_ALLOWED", "Query parameter is no list of protocol 2.0.0")
    return [urn(item, kinds) for item in listed["items"].split(",")]


def number(raw: str | None, default: int) -> int:
    """Return a paging parameter."""
    if raw is None:
        return default
    if not raw.isascii() or not raw.isdigit():
        raise error(400, "ILLEGAL_ARGUMENT", f"Invalid paging parameter: {unquote(raw)}")
    return int(raw)
