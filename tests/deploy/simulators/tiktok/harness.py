"""Accounts, posts and requests for the tests of the simulated TikTok."""

import json
from typing import Any

import httpx

from deploy.simulators.tiktok.oauth import CLIENT_KEY, CLIENT_SECRET
from deploy.simulators.tiktok.tiktok import TikTok

USER, OTHER = "open-1", "open-2"
VIDEO = "7560000000000000001"
FOREIGN = "7560000000000000002"
PRIVATE = "7560000000000000003"
DELETED = "7560000000000000004"
MODERATED = "7560000000000000005"
URL = "https://open.tiktokapis.com"
COUNTERS = "id,view_count,like_count,comment_count,share_count"


def post(tiktok: TikTok, path: str, body: Any, by: str = "act.user", **headers: str) -> httpx.Response:
    authorization = {"Authorization": f"Bearer {by}", "Content-Type": "application/json"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return tiktok.handle(httpx.Request("POST", URL + path, content=content, headers=authorization | headers))


def query(
    tiktok: TikTok, *ids: Any, fields: str = COUNTERS, by: str = "act.user", **headers: str
) -> httpx.Response:
    return post(tiktok, f"/v2/video/query/?fields={fields}", {"filters": {"video_ids": ids}}, by, **headers)


def code(response: httpx.Response) -> str:
    error = response.json()["error"]
    assert len(error["log_id"]) == 32
    return str(error["code"])


def public_ids(tiktok: TikTok, publish_id: str) -> Any:
    response = post(tiktok, "/v2/post/publish/status/fetch/", {"publish_id": publish_id})
    return response.json()["data"]["publicaly_available_post_id"]


def refresh(tiktok: TikTok, token: str, **changes: str) -> httpx.Response:
    form = {
        "client_key": CLIENT_KEY,
        "client_secret": CLIENT_SECRET,
        "grant_type": "refresh_token",
        "refresh_token": token,
    }
    return tiktok.handle(httpx.Request("POST", f"{URL}/v2/oauth/token/", data=form | changes))
