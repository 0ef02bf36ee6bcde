"""TikTok's webhooks: authorizations that end, and posts that got their public id.

https://developers.tiktok.com/doc/webhooks-overview and …/webhooks-verification
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

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

MAX_AGE: Final = timedelta(seconds=300)
"""How far the signature's timestamp may be from now, in both directions."""
_SIGNATURE: Final = re.compile(r"t=(\d{1,12}),s=([0-9a-f]{64})")
_REASONS: Final = {
    0: "TikTok ended the authorization",
    1: "The user disconnected the app at TikTok",
    2: "The user deleted the TikTok account",
    3: "The user's age does not permit the app any more",
    4: "TikTok banned the account",
    5: "The authorization was withdrawn by us",
}
_POST_EVENTS: Final = {
    "post.publish.publicly_available": SignalKind.PUBLISHED,
    "post.publish.complete": SignalKind.MOVED,
    "post.publish.failed": SignalKind.MOVED,
    "post.publish.no_longer_publicaly_available": SignalKind.MOVED,  # sic
}


def parse(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Signal]:
    """Return the signals of a body. Raises `ForgedError`."""
    match = _SIGNATURE.fullmatch(headers.get("tiktok-signature", "").replace(" ", ""))
    if match is None:
        raise ForgedError("no signature")
    if not same(digest(secret, match[1].encode() + b"." + body).hex(), match[2]):
        raise ForgedError("wrong signature")
    sent_at = at_second(int(match[1]))
    if sent_at is None or abs(now - sent_at) > MAX_AGE:
        raise ForgedError("the signature is too old")
    event = decode(body)
    signal_id, at = body_id("tiktok", body), at_second(event.get("create_time"))
    user, content, name = text_of(event.get("user_openid")), _content(event), event.get("event")
    if user is not None and name == "authorization.removed":
        reason = content.get("reason")
        sentence = _REASONS.get(reason if isinstance(reason, int) else 0, _REASONS[0])
        return [Signal(signal_id, SignalKind.REVOKED, at, {"user": user, "sentence": sentence})]
    kind = _POST_EVENTS.get(str(name))
    publish_id, post_id = text_of(content.get("publish_id")), text_of(content.get("post_id"))
    if user is None or kind is None or publish_id is None:
        return [Signal(signal_id, SignalKind.IGNORED)]
    if kind is SignalKind.PUBLISHED and post_id is None:
        kind = SignalKind.MOVED
    return [Signal(signal_id, kind, at, {"user": user, "publish_id": publish_id, "post": post_id})]


def _content(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content, which is JSON in a string."""
    content = event.get("content")
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            return {}
    return content if isinstance(content, dict) else {}
