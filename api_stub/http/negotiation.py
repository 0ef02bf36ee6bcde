"""Responses that a client may validate (ETag), follow (Link) and receive compressed.

Only the endpoints of the read API use them: a compressed page that repeats its caller's input beside a
secret, as the operators' page does with its form tokens, reveals the secret by its size (BREACH).
"""

import zlib
from collections.abc import Mapping
from hashlib import sha256
from typing import Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from shared.analytics_row import encoded

COMPRESSED_FROM: Final = 2_048
"""Bytes from which a body is compressed: below, it fits two packets anyway."""
_LEVEL: Final = 1
"""zlib's fastest level; the next ones cost twice the time for a tenth of the size."""
_HEADERS: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Accept-Encoding"}
"""A cache of one client may keep the body and must ask before it uses it."""


def negotiated(request: Request, body: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return ``body`` as JSON with an ETag; 304 when the client has it, compressed if it accepts gzip."""
    content = encoded(body)
    tag = f'W/"{sha256(content).hexdigest()[:24]}"'
    sent = {**_HEADERS, "ETag": tag, **(headers or {})}
    requested = {name: value for name, value in request.scope["headers"] if name in _REQUESTED}
    if requested and (known := requested.get(b"if-none-match")) and _matches(known.decode("latin-1"), tag):
        return Response(status_code=304, headers=sent)
    if len(content) >= COMPRESSED_FROM and _accepts_gzip(
        requested.get(b"accept-encoding", b"").decode("latin-1")
    ):
        sent["Content-Encoding"] = "gzip"
        content = _gzip(content)
    return Response(content, headers=sent, media_type="application/json")


_REQUESTED: Final = frozenset({b"if-none-match", b"accept-encoding"})


def _matches(known: str, tag: str) -> bool:
    """Compare weakly (RFC 9110, 13.1.2): the tag names what is said, not its bytes on the wire."""
    opaque = tag.removeprefix("W/")
    return known.strip() == "*" or any(one.strip().removeprefix("W/") == opaque for one in known.split(","))


def _accepts_gzip(accepted: str) -> bool:
    """Return whether gzip is acceptable (RFC 9110, 12.5.3); ``q=0`` refuses it."""
    for one in accepted.lower().split(","):
        coding, _, weight = one.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _gzip(content: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, wbits=31)
    return compressor.compress(content) + compressor.flush()


def page_links(request: Request, page: int, limit: int, total: int) -> dict[str, str]:
    """Return the ``Link`` header (RFC 8288) of a page: first, prev, next and last, as far as they exist.

    The links repeat the filters, never ``refresh``: following one calls no platform.
    """
    last = max(1, -(-total // limit))
    parts = request.scope["query_string"].decode("ascii").split("&")
    filters = "".join(
        f"{part}&" for part in parts if part and unquote(part.partition("=")[0]) not in _LEFT_OUT
    )
    base = f"<{request.scope['path']}?{filters}page="
    links = [f'{base}1>; rel="first"', f'{base}{last}>; rel="last"']
    if page > 1:
        links.append(f'{base}{min(page - 1, last)}>; rel="prev"')
    if page < last:
        links.append(f'{base}{page + 1}>; rel="next"')
    return {"Link": ", ".join(links)}


_LEFT_OUT: Final = frozenset({"page", "refresh"})
