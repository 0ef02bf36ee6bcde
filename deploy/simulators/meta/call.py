"""The parser of requests to a Graph host, and the accounts that a request's token belongs to."""

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from deploy.simulators.meta import errors
from deploy.simulators.meta.errors import INSTAGRAM_HOST, GraphError
from deploy.simulators.world import Account, World

NEWEST_VERSION = 27
"""The newest version in the vendor's reference (November 2026). Older ones than served are upgraded.

https://developers.facebook.com/docs/graph-api/guides/versioning
"""

_VERSION = re.compile(r"v(\d+)\.\d+")


@dataclass(frozen=True, slots=True)
class Call:
    """A parsed request. `headers` collects the headers of its answer."""

    host: str
    method: str
    version: str | None
    path: tuple[str, ...]
    query: Mapping[str, str]
    parameters: Mapping[str, Any]
    token: str | None
    headers: dict[str, str] = field(default_factory=dict)

    def ids(self) -> list[str]:
        """Return the requested ids, in order, each once."""
        return list(dict.fromkeys(one for one in str(self.parameters.get("ids", "")).split(",") if one))

    def fields(self) -> list[tuple[str, str]]:
        """Return the requested fields, each with its modifiers: `insights`, `.metric(reach,views)`."""
        return split_fields(str(self.parameters.get("fields", "")))


def parse(request: httpx.Request) -> Call:
    """Parse a request. Raises `GraphError` for a version or body that the Graph API refuses."""
    query = dict(request.url.params)
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    return build(
        request.url.host,
        request.method,
        request.url.path,
        query,
        {**_body(request), **query},
        bearer if scheme.lower() == "bearer" else None,
    )


def build(
    host: str,
    method: str,
    path: str,
    query: Mapping[str, str],
    parameters: Mapping[str, Any],
    bearer: str | None,
) -> Call:
    """Assemble a call from a path, with or without version.

    An `access_token` parameter wins over the header.
    """
    parts = tuple(part for part in path.split("/") if part)
    version = None
    if parts and (match := _VERSION.fullmatch(parts[0])):
        version, parts = parts[0], parts[1:]
        if int(match[1]) > NEWEST_VERSION:
            raise GraphError(2500, f"Unknown path components: /{'/'.join(parts)}")
    token = parameters.get("access_token") or bearer
    return Call(host, method, version, parts, query, parameters, token)


def _body(request: httpx.Request) -> dict[str, Any]:
    if not request.content:
        return {}
    if "json" in request.headers.get("content-type", ""):
        try:
            body = json.loads(request.content)
        except ValueError as error:
            raise GraphError(100, "Invalid JSON in the request body") from error
        return body if isinstance(body, dict) else {}
    return dict(httpx.QueryParams(request.content.decode("utf-8", "replace")))


def split_fields(text: str) -> list[tuple[str, str]]:
    """Split a `fields` parameter at its outer commas into names and modifiers."""
    out, depth, start = [], 0, 0
    for place, letter in enumerate(text + ","):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            if part := text[start:place].strip():
                name = re.match(r"\w+", part)
                end = name.end() if name else 0
                out.append((part[:end], part[end:]))
            start = place + 1
    return out


def modifier(modifiers: str, name: str) -> str:
    """Return the argument of `.name(…)` among a field's modifiers, or an empty string."""
    match = re.search(rf"\.{name}\(([^)]*)\)", modifiers)
    return match[1] if match else ""


def serves(host: str, account: Account) -> bool:
    """Return whether this host accepts this account's kind of token."""
    with_instagram_login = account.platform == "instagram" and account.login == "instagram"
    return with_instagram_login == (host == INSTAGRAM_HOST)


def authorize(world: World, call: Call, platform: str) -> list[Account]:
    """Return the accounts of the call's token. Raises `GraphError` for a token that is not valid."""
    if not call.token:
        raise errors.no_token()
    holders = [account for account in world.holders(call.token, platform) if serves(call.host, account)]
    if not holders:
        raise errors.unparsable_token()
    account = holders[0]
    if account.revoked or account.role_lost:
        raise errors.revoked(account.revocation or ("492" if account.role_lost else None))
    ends_at = account.access_token_expires_at
    if ends_at is not None and ends_at <= world.now():
        raise errors.expired(ends_at)
    check_proof(world, call)
    return holders


def check_proof(world: World, call: Call) -> None:
    """Refuse a missing or wrong appsecret_proof; only the query string counts.

    https://developers.facebook.com/docs/graph-api/guides/secure-requests
    """
    application = world.applications.get("instagram" if call.host == INSTAGRAM_HOST else "meta")
    if application is None:
        return
    proof = call.query.get("appsecret_proof")
    if proof is None and not application.proof_required:
        return
    expected = hmac.new(application.client_secret.encode(), str(call.token).encode(), "sha256").hexdigest()
    if proof is None or not hmac.compare_digest(proof.encode(), expected.encode()):
        raise errors.wrong_proof(present=proof is not None)


def platform_of(world: World, request: httpx.Request, token: str | None) -> str:
    """Return `facebook` or `instagram`: the platform of the token in a request to graph.facebook.com."""
    subject = request.url.params.get("input_token") or request.url.params.get("fb_exchange_token") or token
    account = world.holder(subject, "facebook", "instagram") if subject else None
    return account.platform if account else "facebook"
