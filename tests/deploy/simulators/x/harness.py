"""Accounts, posts and requests for the tests of the simulated X."""

from collections.abc import Callable
from typing import Any

import httpx

from deploy.simulators.x.oauth import CLIENT_ID, CLIENT_SECRET
from deploy.simulators.x.x import X

USER, OTHER = "user-1", "user-2"
POST = "1990000000000000001"
DELETED = "1990000000000000002"
FOREIGN = "1990000000000000003"
OLD = "1990000000000000004"
METRICS = {"tweet.fields": "public_metrics"}
Get = Callable[..., httpx.Response]
BASIC = httpx.BasicAuth(CLIENT_ID, CLIENT_SECRET)


def look_up(get: Get, *ids: str, by: str = "user-token", fields: str = "public_metrics") -> httpx.Response:
    return get("/2/tweets", by, ids=",".join(ids), **{"tweet.fields": fields})


def types(response: httpx.Response) -> set[str]:
    return {error["type"].rpartition("/")[2] for error in response.json()["errors"]}


def refresh(x: X, token: str, **changes: Any) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token} | changes.pop("form", {})
    with httpx.Client(transport=httpx.MockTransport(x.handle), auth=changes.pop("auth", BASIC)) as client:
        return client.post("https://api.x.com/2/oauth2/token", data=form, **changes)
