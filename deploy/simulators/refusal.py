"""What simulated platforms share: the refusal exception, and parsers of targets, tokens and forms."""

from datetime import datetime

import httpx


class RefusedError(Exception):
    """The platform refuses the request: `response` is its answer."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def target_of(request: httpx.Request) -> tuple[str, str]:
    """Return path and query as they were sent, percent-encoding untouched."""
    target: bytes = request.extensions.get("target", request.url.raw_path)
    path, _, query = target.decode("ascii").partition("?")
    return path, query


def bearer_of(request: httpx.Request) -> str | None:
    """Return the token of the `Authorization` header; these platforms accept it nowhere else."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def form_of(request: httpx.Request) -> httpx.QueryParams | None:
    """Return the form in the request's body, or None when its content type is not a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return None
    return httpx.QueryParams(request.content.decode("utf-8", "replace"))


def is_over(end: datetime | None, now: datetime) -> bool:
    """Return whether `end` has passed; None never does."""
    return end is not None and now >= end
