"""Valid answers of a simulated platform, corrupted on their way to the worker's client."""

import json
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import httpx

Change = Callable[[bytes], bytes]

EXTRA_METRIC: Final = 7
"""The value of an unknown metric."""


_TLS: Final = ssl.create_default_context()
"""Not used on loopback, and slow to create."""


class Wire(httpx.BaseTransport):
    """A transport that changes every body; it records the requested URLs."""

    def __init__(self, change: Change = lambda content: content) -> None:
        self.urls: list[str] = []
        self._change = change
        self._network = httpx.HTTPTransport(verify=_TLS)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, and change the answer."""
        self.urls.append(str(request.url))
        answer = self._network.handle_request(request)
        content = self._change(answer.read())
        answer.close()
        headers = [(name, value) for name, value in answer.headers.items() if name != "content-length"]
        return httpx.Response(answer.status_code, headers=headers, stream=httpx.ByteStream(content))

    def close(self) -> None:
        """Close the network's connections."""
        self._network.close()


# A number as a JSON value, also inside a string that holds JSON (Meta's batches), never inside a word.
_NUMBER = re.compile(rb"(?<=[:\[,])(\s*)-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?=\s*[,}\]])")


def _numbers(replacement: str) -> Change:
    return lambda content: _NUMBER.sub(rb"\g<1>" + replacement.encode(), content)


NUMBERS_REPLACED: Final[dict[str, Change]] = {
    "a string": _numbers("many"),
    "digits in a string": lambda content: (
        _NUMBER.sub(rb'\g<1>"12"', content)
        if b'\\"' not in content
        else _NUMBER.sub(rb'\g<1>\\\\"12\\\\"', content)
    ),
    "null": _numbers("null"),
    "true": _numbers("true"),
    "a list": _numbers("[5]"),
    "an empty list": _numbers("[]"),
    "an object": _numbers("{}"),
    "a fraction": _numbers("1.5"),
    "not a number": _numbers("NaN"),
    "infinity": _numbers("-Infinity"),
    "beyond a double": _numbers("1e999"),
    "beyond 64 bits": _numbers(str(2**63)),
    "of 400 digits": _numbers("9" * 400),
    "of 5000 digits": _numbers("9" * 5000),
    "deep": _numbers("[" * 5000 + "]" * 5000),
    "rather deep": _numbers("[" * 40 + "]" * 40),
}

TEXTS: Final[dict[str, str]] = {
    "an object": "{}",
    "a list": "[]",
    "nulls": "[null, null]",
    "a number": "5",
    "a string": '"fine"',
    "true": "true",
    "NaN": "NaN",
    "a duplicate": '{"data": [], "data": [], "elements": [], "elements": []}',
    "deep lists": "[" * 100_000,
    "deep objects": '{"data":' * 50_000 + "1" + "}" * 50_000,
    "a prefix against hijacking": ")]}',\n{}",
    "another charset": "\xe9\xff",
    "empty envelopes": '{"data": {}, "elements": {}, "error": {}, "errors": {}}',
    "scalars in envelopes": '{"data": 5, "elements": 5, "error": 5, "errors": 5}',
    "lists for codes": '{"code": [], "status": [], "serviceErrorCode": {}, "title": [], "type": {}}',
    "lists for codes in an error": '{"error": {"code": [], "error_subcode": {}, "message": [], "type": []}}',
    "lists for codes in errors": '{"errors": [{"code": [], "type": [], "value": {}, "resource_id": []}]}',
    "scalars in lists": '{"data": [5, null, [], {}], "errors": [5, null, [], {}]}',
    "scalars in elements": '{"elements": [5, null, [], {}, {"share": 5}, {"totalShareStatistics": []}]}',
}

NO_TOKENS: Final[dict[str, str]] = {
    "no token": '{"expires_in": 7200, "token_type": "bearer"}',
    "null": '{"access_token": null, "expires_in": 7200}',
    "a number": '{"access_token": 5, "expires_in": 7200}',
    "an empty string": '{"access_token": "", "expires_in": 7200}',
    "two lines": '{"access_token": "one\\r\\ntwo: 2", "expires_in": 7200}',
    "what no header can hold": '{"access_token": "caf\\u00e9 \\ud800", "expires_in": 7200}',
}
"""Answers to a renewal without a usable token."""


def opened(value: Any) -> Any:
    """Return the JSON object that a string holds, as in Meta's batches; else the value itself."""
    if isinstance(value, str) and value.startswith("{"):
        with suppress(ValueError):
            return json.loads(value)
    return value


def with_extra_metric(content: bytes) -> bytes:
    """Add an unknown metric wherever metrics are."""
    return json.dumps(_extended(json.loads(content))).encode()


def _extended(value: Any) -> Any:
    if (inside := opened(value)) is not value:
        return json.dumps(_extended(inside))
    if isinstance(value, list):
        rows = [row for row in value if isinstance(row, dict) and {"name", "values"} <= row.keys()]
        new = [{**row, "name": "brand_new", "values": [{"value": EXTRA_METRIC}]} for row in rows[:1]]
        return [_extended(one) for one in value] + new
    if isinstance(value, dict):
        counts = [one for one in value.values() if isinstance(one, int | float) and not isinstance(one, bool)]
        extra = {"brandNewCount": EXTRA_METRIC} if len(counts) > 1 else {}
        # What is under "values" is one metric's value, a map of reactions for instance.
        return {name: one if name == "values" else _extended(one) for name, one in value.items()} | extra
    return value


def quoting(secret: str) -> Change:
    """Return a change that puts a secret into every sentence of an answer, as some error messages do."""
    return lambda content: json.dumps(_quoting(json.loads(content), secret)).encode() if content else content


def _quoting(value: Any, secret: str) -> Any:
    if (inside := opened(value)) is not value:
        return json.dumps(_quoting(inside, secret))
    if isinstance(value, str):
        return f"{value} {secret} (https://host/?access_token={secret})" if " " in value else value
    if isinstance(value, list):
        return [_quoting(one, secret) for one in value]
    if isinstance(value, dict):
        return {name: _quoting(one, secret) for name, one in value.items()}
    return value
