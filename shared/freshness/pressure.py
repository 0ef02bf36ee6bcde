"""Quota pressure: one factor for each budget, so that refreshes spend it and never exceed it.

An hourly step: where more calls were made than the budget allows in an hour, all intervals become longer, and
shorter where calls are left over.
"""

from typing import Final, NamedTuple

LEAST: Final = 0.05
MOST: Final = 200.0
_MEMORY: Final = 0.8  # part of the average number of calls that stands after an hour
_MARGIN: Final = 0.95  # part of what is left that the next hours may plan with
_DAMPING: Final = 0.25  # exponent: intervals follow the pressure, and calls follow intervals, with a delay


class Pressure(NamedTuple):
    """The pressure on one budget, and the average that it follows."""

    factor: float = 1.0
    """P: multiplies the intervals of every row that uses the budget."""
    calls_per_hour: float = 0.0
    """u: moving average of the calls of an hour."""


def next_pressure(
    before: Pressure, calls_last_hour: float, left: float, hours_to_reset: float, *, paid: bool = False
) -> Pressure:
    """Return the pressure for the next hour.

    ``left``: calls that the budget still allows until it resets, ``hours_to_reset`` from now. ``paid``: calls
    cost money, so the pressure never falls below 1 merely because the budget is large.
    """
    average = _MEMORY * before.calls_per_hour + (1 - _MEMORY) * calls_last_hour
    target = _MARGIN * max(left, 0.0) / max(hours_to_reset, 1.0)
    ratio = average / target if target > 0 else MOST
    factor = before.factor * max(ratio, 1e-6) ** _DAMPING
    return Pressure(min(max(factor, 1.0 if paid else LEAST), MOST), average)
