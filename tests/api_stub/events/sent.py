"""Events, and requests that send them."""

import json
from typing import Any

import httpx

from tests.api_stub.support import Api

TOKEN = "internal-token-of-the-tests"
PUBLISHED = {
    "post_id": "post_2a7f93",
    "account_id": "acc_1",
    "platform_post_id": "18000000000000000",
    "text": "Shipping Dravo",
    "created_at": "2026-06-23T10:15:30Z",
}
CONNECTED = {
    "account_id": "acc_new",
    "workspace_id": "ws_1",
    "platform": "x",
    "platform_account_id": "42",
    "access_token": "token-one",
}


def event(event_id: str, kind: str, data: Any) -> dict[str, Any]:
    return {"event_id": event_id, "type": kind, "data": data}


def send(api: Api, body: Any, token: str = TOKEN) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}"}
    return api.run(api.client.post("/internal/events", headers=headers, content=content))


def accepted(api: Api, *events: dict[str, Any]) -> dict[str, Any]:
    answer = send(api, list(events))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body
