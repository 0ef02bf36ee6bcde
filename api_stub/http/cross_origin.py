"""Cross-origin requests (CORS): which web pages may call the read API from a browser.

Outside the request middleware, so that errors carry the headers too. Without ``DRAVO_CORS_ORIGINS`` nothing
of it runs. Cookies are never allowed: a page needs a credential of its own.
"""

from collections.abc import Sequence
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_API: Final = "/v1/"
_MAX_AGE_SECONDS: Final = 600


def allow_origins(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Return the application with the headers for these origins on the paths of the read API."""
    shared = CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET",),
        allow_headers=("Authorization", "If-None-Match", "X-Request-ID"),
        expose_headers=("ETag", "Link", "Retry-After", "X-Request-ID"),
        max_age=_MAX_AGE_SECONDS,
    )

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_API):
            await shared(scope, receive, send)
        else:
            await app(scope, receive, send)

    return route
