"""How a simulated platform stops in the middle of a request, and the questions that all of them ask."""

from datetime import datetime

import httpx


class RefusedError(Exception):
    """The request is answered with `response` and not processed any further."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def target_of(request: httpx.Request) -> tuple[str, str]:
    """Return path and query as they were sent, percent-encoding untouched."""
    target: bytes = request.extensions.get("target", request.url.raw_path)
    path, _, query = target.decode("ascii").partition("?")
    return path, query


def bearer_of(request: httpx.Request) -> str | None:
    """Return the token of the `Authorization` header, the only place where these platforms look for it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def form_of(request: httpx.Request) -> httpx.QueryParams | None:
    """Return the form in the request's body, or None when it says that it holds something else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return None
    return httpx.QueryParams(request.content.decode("utf-8", "replace"))


def is_over(end: datetime | None, now: datetime) -> bool:
    """Say whether a life that ends at `end` is over; None never ends."""
    return end is not None and now >= end
