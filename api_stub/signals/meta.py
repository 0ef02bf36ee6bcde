"""Meta's webhooks and callbacks, for Facebook and Instagram.

Webhooks are signed by a header; the deauthorize and the data-deletion callback carry a ``signed_request``.
https://developers.facebook.com/docs/graph-api/webhooks/getting-started and
https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from api_stub.signals.signal import (
    ForgedError,
    Signal,
    SignalKind,
    at_second,
    body_id,
    decode,
    digest,
    objects,
    same,
    text_of,
)

MOST_CHANGES: Final = 1_000
"""Changes in one body."""
BELOW_FIVE: Final = -1
"""What Meta reports in place of a count below 5: no count."""
_STORY_METRICS: Final = {"reach": "reach"}
"""Metrics of a story that the Instagram adapter reports under the same name."""
_REMOVED: Final = frozenset({"remove", "delete"})


def parse_webhook(secret: str, platform: str, headers: Mapping[str, str], body: bytes) -> list[Signal]:
    """Return the signals of a webhook's body. Raises `ForgedError`."""
    if not same(f"sha256={digest(secret, body).hex()}", headers.get("x-hub-signature-256")):
        raise ForgedError("wrong signature")
    signals: list[Signal] = []
    for entry in objects(decode(body).get("entry")):
        for change in objects(entry.get("changes")):
            signal_id = body_id(platform, body, len(signals))
            signals.append(_signal(signal_id, entry, change))
            if len(signals) == MOST_CHANGES:
                return signals
    return signals


def _signal(signal_id: str, entry: Mapping[str, Any], change: Mapping[str, Any]) -> Signal:
    value, owner = change.get("value"), text_of(entry.get("id"))
    at = at_second(entry.get("time"))
    if not isinstance(value, dict) or owner is None:
        return Signal(signal_id, SignalKind.IGNORED)
    media_id, post_id = text_of(value.get("media_id")), text_of(value.get("post_id"))
    if change.get("field") == "story_insights" and media_id:
        metrics = {
            ours: value[theirs]
            for theirs, ours in _STORY_METRICS.items()
            if type(value.get(theirs)) is int and value[theirs] > BELOW_FIVE
        }
        return Signal(
            signal_id, SignalKind.STORY_ENDED, at, {"user": owner, "post": media_id, "metrics": metrics}
        )
    if change.get("field") == "feed" and post_id and value.get("verb") in _REMOVED:
        return Signal(signal_id, SignalKind.MOVED, at, {"user": owner, "post": post_id})
    return Signal(signal_id, SignalKind.IGNORED)


def parse_callback(secret: str, platform: str, kind: SignalKind, body: bytes) -> Signal:
    """Return the signal of a deauthorize or data-deletion callback. Raises `ForgedError`."""
    try:
        (signed,) = parse_qs(body.decode("ascii"), max_num_fields=10)["signed_request"]
        signature, payload = signed.split(".")
        given = _decode64(signature)
        request = decode(_decode64(payload))
    except (UnicodeDecodeError, ValueError, KeyError):
        raise ForgedError("no signed_request") from None
    if not same(digest(secret, payload.encode()).hex(), given.hex()):
        raise ForgedError("wrong signature")
    user = text_of(request.get("user_id"))
    if request.get("algorithm") != "HMAC-SHA256" or user is None:
        raise ForgedError("not a request of Meta's")
    sentence = "The user removed the app at Meta"
    at = at_second(request.get("issued_at"))
    return Signal(body_id(platform, body, kind.value), kind, at, {"user": user, "sentence": sentence})


def _decode64(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
