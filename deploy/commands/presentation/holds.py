"""The presentation of holds in every command: one JSON shape and one sentence."""

from typing import Any

from deploy.console import instant
from shared.operations.holds.hold import Hold


def hold_shape(hold: Hold) -> dict[str, Any]:
    """Return a hold in its JSON shape; ``until`` is ``None`` when it lasts until somebody acts."""
    return {
        "cause": hold.cause,
        "scope": hold.scope,
        "sentence": hold.sentence,
        "set_by": hold.set_by,
        "since": instant(hold.since),
        "until": instant(hold.until),
        "to_do": hold.to_do,
        "needs_operator": hold.needs_operator,
    }


def held_by(shape: dict[str, Any]) -> str:
    """Return what holds something back, who set it, since and until when, for people."""
    since = f" since {shape['since']}" if shape["since"] else ""
    ends = f"until {shape['until']}" if shape["until"] else _without_end(shape)
    return f"{shape['scope']}: {shape['sentence']} Set by {shape['set_by']}{since}, {ends}."


def _without_end(shape: dict[str, Any]) -> str:
    return "until resumed" if str(shape["cause"]).startswith("operator_") else "until somebody acts"
