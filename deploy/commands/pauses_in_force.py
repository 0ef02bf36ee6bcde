"""The presentation of pauses in every command: one JSON shape and one sentence."""

from typing import Any

from deploy.console import instant
from shared.quota.pauses import PauseInForce


def shape(pause: PauseInForce) -> dict[str, Any]:
    """Return a pause in its JSON shape; ``paused_until`` is ``None`` when it lasts until it is resumed."""
    return {
        "platform": pause.platform,
        "kind": pause.kind.value,
        "subject": pause.subject,
        "placed_by": "operator" if pause.kind.by_operator else "platform",
        "paused_at": instant(pause.paused_at),
        "paused_until": instant(pause.ends_at),
        "reason": pause.reason,
    }


def until(shape: dict[str, Any]) -> str:
    """Return when a pause ends and why it was placed, for people."""
    return f"until {shape['paused_until'] or 'resumed'}: {shape['reason']}"
