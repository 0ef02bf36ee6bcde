"""What needs an operator now, in `dravo status`: its JSON shape, and its lines for people."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from rich.text import Text

from deploy.console import duration, instant, plain
from shared.operations.attention.needs import Attention

_COLOURS: Final = {"critical": "bold red", "warning": "yellow"}


def attention_shape(attention: Attention) -> dict[str, Any]:
    """Return what needs an operator in its JSON shape."""
    return {
        "needs_you": [
            {
                "alert": need.alert,
                "severity": need.severity,
                "cause": need.cause,
                "since": instant(need.since),
                "ageing": need.ageing,
                "to_do": need.to_do,
                "subject": need.subject,
                "rows": need.rows,
            }
            for need in attention.needs
        ],
        "more_needs": attention.more,
        "all_well": attention.all_well,
    }


def attention_lines(fleet: Mapping[str, Any]) -> list[Text]:
    """Return the lines for people: what needs an operator, or that all is well."""
    if fleet["all_well"]:
        return [Text("All well: nothing needs an operator.", style="green")]
    if not fleet["needs_you"]:
        return [Text("No scheduler has counted the fleet yet: what needs an operator is not known.")]
    lines = [Text("Needs you now", style="bold")]
    for number, need in enumerate(fleet["needs_you"], start=1):
        lines.append(
            Text(
                plain(f"{number}. {need['cause']}{_meanwhile(need, fleet['at'])}"), _COLOURS[need["severity"]]
            )
        )
        lines.append(Text(plain(f"   {need['to_do']} (runbook: {need['alert']})")))
    if fleet["more_needs"]:
        lines.append(Text(f"and {fleet['more_needs']} more"))
    return lines


def _meanwhile(need: Mapping[str, Any], at: str) -> str:
    """Return since when it is so, and how many publications grow old meanwhile."""
    parts = []
    if need["since"]:
        parts.append(f"for {duration(datetime.fromisoformat(at) - datetime.fromisoformat(need['since']))}")
    if need["ageing"]:
        parts.append("1 post ages" if need["ageing"] == 1 else f"{need['ageing']} posts age")
    return f" ({', '.join(parts)})" if parts else ""
