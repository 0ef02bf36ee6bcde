"""One colour and one shape for each outcome, the same in charts, legends and badges."""

from collections.abc import Mapping
from typing import Final

from shared.outcome_kinds import OutcomeKind

MARKS: Final[Mapping[OutcomeKind, str]] = {
    OutcomeKind.SYNCED: "\N{BLACK CIRCLE}",
    OutcomeKind.PARTIAL: "\N{CIRCLE WITH LEFT HALF BLACK}",
    OutcomeKind.UNAVAILABLE: "\N{WHITE CIRCLE}",
    OutcomeKind.WINDOW_CLOSED: "\N{WHITE SQUARE}",
    OutcomeKind.PAUSED: "\N{BLACK VERTICAL RECTANGLE}",
    OutcomeKind.MISSING: "\N{WHITE DIAMOND}",
    OutcomeKind.PROCESSING: "\N{WHITE UP-POINTING TRIANGLE}",
    OutcomeKind.RETRY: "\N{BLACK UP-POINTING TRIANGLE}",
    OutcomeKind.MISCONFIGURED: "\N{BLACK STAR}",
    OutcomeKind.FAILED: "\N{BLACK SQUARE}",
    OutcomeKind.GONE: "\N{BLACK DIAMOND}",
    OutcomeKind.DUPLICATE: "\N{WHITE DOWN-POINTING TRIANGLE}",
    OutcomeKind.REQUIRES_RECONNECT: "\N{BLACK DOWN-POINTING TRIANGLE}",
    OutcomeKind.QUARANTINED: "\N{BALLOT X}",
}
"""The shape of each outcome; the stylesheet sets its colour by the class ``o-`` and the outcome. In the order
in which charts stack them, from the bottom."""

UNKNOWN_MARK: Final = "?"
"""For an outcome that only a newer version knows."""


def mark(outcome: str) -> str:
    """Return the shape of an outcome."""
    return next((shape for kind, shape in MARKS.items() if kind == outcome), UNKNOWN_MARK)
