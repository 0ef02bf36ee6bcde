"""The presentation of pauses in every command: one JSON shape and one sentence."""

from typing import Any

from deploy.console import instant
from shared.quota.pauses import EVERY_PLATFORM, PauseInForce


def shape(pause: PauseInForce) -> dict[str, Any]:
    """Return a pause in its JSON shape; ``paused_until`` is ``None`` when it lasts until it is resumed."""
    return {
        "platform": pause.platform,
        "kind": pause.kind.value,
        "subject": pause.subject,
        "placed_by": "operator" if pause.kind.by_operator else "platform",
        "needs_operator": pause.kind.needs_operator,
        "paused_at": instant(pause.paused_at),
        "paused_until": instant(pause.ends_at),
        "reason": pause.reason,
    }


def subject_name(key: dict[str, Any]) -> str:
    """Return the subject of a pause, from its ``platform``, ``kind`` and ``subject``, for people."""
    platform = "" if key["platform"] == EVERY_PLATFORM else str(key["platform"])
    if not key["subject"]:
        return platform or "everything"
    what = str(key["kind"]).removeprefix("operator_").replace("blocked", "account")
    return f"{what} {key['subject']}" + (f" on {platform}" if platform else "")


def until(shape: dict[str, Any]) -> str:
    """Return when a pause ends and why it was placed, for people."""
    return f"until {shape['paused_until'] or 'resumed'}: {shape['reason']}"
