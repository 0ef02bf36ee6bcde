"""X's webhooks: revoked authorizations and deleted posts of the Activity API.

https://docs.x.com/x-api/webhooks/introduction and https://docs.x.com/x-api/activity/introduction
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api_stub.signals.signal import (
    ForgedError,
    Signal,
    SignalKind,
    at_second,
    body_id,
    decode,
    digest,
    same,
    text_of,
)


def response_token(secret: str, crc_token: str) -> str:
    """Return the answer to X's challenge-response check."""
    return f"sha256={base64.b64encode(digest(secret, crc_token.encode())).decode()}"


def parse(secret: str, headers: Mapping[str, str], body: bytes) -> list[Signal]:
    """Return the signals of a body. Raises `ForgedError`."""
    expected = f"sha256={base64.b64encode(digest(secret, body)).decode()}"
    if not same(expected, headers.get("x-twitter-webhooks-signature")):
        raise ForgedError("wrong signature")
    decoded = decode(body)
    event = decoded.get("data", decoded)
    if not isinstance(event, dict):
        return [Signal(body_id("x", body), SignalKind.IGNORED)]
    uuid = text_of(event.get("event_uuid"))
    signal_id = f"x:{uuid}" if uuid else body_id("x", body)
    payload = event.get("payload")
    if not isinstance(payload, dict):
        return [Signal(signal_id, SignalKind.IGNORED)]
    return [_signal(signal_id, event.get("event_type"), payload)]


def _signal(signal_id: str, event_type: object, payload: Mapping[str, Any]) -> Signal:
    user = text_of(payload.get("user_id"))
    if event_type == "oauth.revoke" and user:
        subject = {"user": user, "sentence": "The user revoked the app at X"}
        return Signal(signal_id, SignalKind.REVOKED, _instant(payload.get("date_time")), subject)
    author, post = text_of(payload.get("author_id")), text_of(payload.get("id"))
    if event_type == "post.delete" and author and post:
        return Signal(signal_id, SignalKind.MOVED, None, {"user": author, "post": post})
    return Signal(signal_id, SignalKind.IGNORED)


def _instant(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        return parsed if parsed.tzinfo else None
    return at_second(value)
