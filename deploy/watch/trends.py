"""The last hour of each platform: refreshes a minute and the part of fresh rows, as sparklines."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection, text

from deploy import console

_LEVELS: Final = "▁▂▃▄▅▆▇█"
POINTS: Final = 24
"""Minutes that a sparkline shows."""
_HISTORY: Final = text("""
SELECT platform, at, polled, fresh,
       (SELECT COALESCE(sum(rows::bigint), 0)
          FROM jsonb_each_text(outcomes) AS o (outcome, rows)) AS refreshes
  FROM ops_history WHERE at > now() - make_interval(mins => :points) ORDER BY at
""")


@dataclass(slots=True)
class Trend:
    """The points of one platform, the newest last."""

    refreshes: list[float] = field(default_factory=list)
    """Refreshes that ended in each minute."""
    fresh: list[float | None] = field(default_factory=list)
    """Part of the polled rows that were fresh; ``None`` where none was polled."""


def trends(connection: Connection) -> dict[str, Trend]:
    """Return the points of every platform, as the schedulers record them each minute."""
    by_platform: defaultdict[str, Trend] = defaultdict(Trend)
    for row in connection.execute(_HISTORY, {"points": POINTS}):
        by_platform[row.platform].refreshes.append(float(row.refreshes))
        by_platform[row.platform].fresh.append(row.fresh / row.polled if row.polled else None)
    return dict(sorted(by_platform.items()))


def sparkline(values: Sequence[float | None], highest: float | None = None) -> str:
    """Return one character for each value, from 0 to ``highest`` (or the largest); a gap for ``None``."""
    top = max((value for value in values if value is not None), default=0) if highest is None else highest
    return "".join(" " if value is None else _level(value / top if top else 0) for value in values)


def _level(part: float) -> str:
    return _LEVELS[min(len(_LEVELS) - 1, int(part * len(_LEVELS)))]


def fleet_line(by_platform: Mapping[str, Trend]) -> Text:
    """Return the refreshes a minute of the whole fleet."""
    newest_first = [reversed(trend.refreshes) for trend in by_platform.values()]
    totals = [sum(minute) for minute in zip_longest(*newest_first, fillvalue=0.0)][::-1]
    if not totals:
        return Text("refreshes a minute: not known yet; a scheduler records them each minute")
    return Text(f"refreshes a minute: {totals[-1]:,.0f}  ").append(sparkline(totals), style="cyan")


def trend_table(by_platform: Mapping[str, Trend]) -> Table:
    """Return the trends of all platforms as a table."""
    rows = []
    for platform, trend in by_platform.items():
        fresh = next((value for value in reversed(trend.fresh) if value is not None), None)
        rows.append(
            (
                platform,
                f"{trend.refreshes[-1]:,.0f}",
                sparkline(trend.refreshes),
                "-" if fresh is None else f"{fresh:.0%}",
                sparkline(trend.fresh, highest=1.0),
            )
        )
    headings = ("platform", "a minute", f"refreshes, last {POINTS} min", "fresh", "fresh rows")
    return console.table(headings, rows, right=("a minute", "fresh"))
