"""The error envelopes of the simulated X, for whole requests and for single posts.

https://docs.x.com/x-api/fundamentals/response-codes-and-errors. The real API uses two hosts in `type`, so
both are used here.
"""

from typing import Any

import httpx

_PROBLEMS = "https://api.x.com/2/problems/"
_OLD_PROBLEMS = "https://api.twitter.com/2/problems/"

Entry = dict[str, Any]
"""One member of `errors` in a 200."""


def about_blank(status: int, title: str, detail: str | None = None) -> httpx.Response:
    """Return a problem that has no type of its own."""
    body = {"title": title, "detail": detail or title, "type": "about:blank", "status": status}
    return httpx.Response(status, json=body)


def forbidden(kind: str, title: str, detail: str, **more: str) -> httpx.Response:
    """Return a 403 whose problem type is `kind`."""
    body = {"title": title, "detail": detail, "type": _PROBLEMS + kind, "status": 403, **more}
    return httpx.Response(403, json=body)


def too_many(*, legacy: bool) -> httpx.Response:
    """Return the 429 of a rate limit; ``legacy``: in the older envelope."""
    if legacy:
        return httpx.Response(429, json={"errors": [{"code": 88, "message": "Rate limit exceeded"}]})
    return about_blank(429, "Too Many Requests")


def credits_depleted() -> httpx.Response:
    """Return the 402 of an app without credits; unlike other problems, it has no `status`."""
    body = {"title": "Payment Required", "detail": "credits depleted", "type": f"{_PROBLEMS}credits-depleted"}
    return httpx.Response(402, json=body)


def usage_capped() -> httpx.Response:
    """Return the 429 of an app that has reached its monthly cap of post reads."""
    body = {
        "account_id": 1,
        "product_name": "standard-basic",
        "title": "UsageCapExceeded",
        "period": "Monthly",
        "scope": "Product",
        "detail": "Usage cap exceeded: Monthly product cap",
        "type": f"{_OLD_PROBLEMS}usage-capped",
    }
    return httpx.Response(429, json=body)


def invalid(parameter: str, value: str, message: str) -> httpx.Response:
    """Return the 400 of a wrong parameter."""
    body = {
        "errors": [{"parameters": {parameter: [value]}, "message": message}],
        "title": "Invalid Request",
        "detail": "One or more parameters to your request was invalid.",
        "type": f"{_OLD_PROBLEMS}invalid-request",
    }
    return httpx.Response(400, json=body)


def oauth_error(error: str, description: str, status: int = 400) -> httpx.Response:
    """Return an error of the token endpoint, which has an envelope of its own."""
    return httpx.Response(status, json={"error": error, "error_description": description})


def not_found(one: str) -> Entry:
    """Return the entry of a post that is deleted or unknown."""
    detail = f"Could not find tweet with ids: [{one}]."
    return _entry(one, f"{_PROBLEMS}resource-not-found", "Not Found Error", detail)


def not_authorized(one: str) -> Entry:
    """Return the entry of a post that this caller may not see."""
    detail = f"Sorry, you are not authorized to see the Tweet with ids: [{one}]."
    return _entry(one, f"{_OLD_PROBLEMS}not-authorized-for-resource", "Authorization Error", detail)


def unhydrated(one: str) -> Entry:
    """Return the entry of a post whose fields did not load this time."""
    detail = f"Could not load the fields of the Tweet with ids: [{one}]."
    return _entry(one, f"{_PROBLEMS}field-hydration-failure", "Field Hydration Failure", detail)


def field_refused(one: str, field: str) -> Entry:
    """Return the entry of a metric that this caller may not see on this post."""
    detail = f"Sorry, you are not authorized to access '{field}' on the Tweet with ids : [{one}]."
    kind = f"{_OLD_PROBLEMS}not-authorized-for-field"
    return {**_entry(one, kind, "Field Authorization Error", detail), "field": field}


def _entry(one: str, kind: str, title: str, detail: str) -> Entry:
    return {
        "value": one,
        "resource_id": one,
        "resource_type": "tweet",
        "parameter": "ids",
        "section": "data",
        "title": title,
        "detail": detail,
        "type": kind,
    }
