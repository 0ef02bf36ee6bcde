"""LinkedIn's notifications of social actions: a hint that the numbers of a post have moved.

They carry members' actions, which may be stored for 48 hours only: nothing of them is stored but the post.
https://learn.microsoft.com/en-us/linkedin/shared/api-guide/webhook-validation
"""

from collections.abc import Mapping

from api_stub.signals.signal import (
    ForgedError,
    Signal,
    SignalKind,
    body_id,
    decode,
    digest,
    objects,
    same,
    text_of,
)

_PREFIX = b"hmacsha256="


def challenge_response(secret: str, challenge_code: str) -> str:
    """Return the answer to LinkedIn's challenge."""
    return digest(secret, challenge_code.encode()).hex()


def parse(secret: str, headers: Mapping[str, str], body: bytes) -> list[Signal]:
    """Return the signals of a body. Raises `ForgedError`."""
    if not same(digest(secret, _PREFIX + body).hex(), headers.get("x-li-signature")):
        raise ForgedError("wrong signature")
    signals = []
    for number, one in enumerate(objects(decode(body).get("notifications"))):
        notification = text_of(one.get("notificationId"))
        signal_id = f"linkedin:{notification}" if notification else body_id("linkedin", body, number)
        owner, post = text_of(one.get("organizationalEntity")), text_of(one.get("sourcePost"))
        if owner and post:
            signals.append(Signal(signal_id, SignalKind.MOVED, None, {"user": owner, "post": post}))
        else:
            signals.append(Signal(signal_id, SignalKind.IGNORED))
    return signals
