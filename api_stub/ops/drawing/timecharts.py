"""Charts over time: a scale in round numbers, columns with their values, and marks of what people did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from api_stub.ops.drawing import charts
from api_stub.ops.drawing.outcome_marks import MARKS
from shared.operations.thresholds import FRESH_SHARE

WIDTH: Final = 720
HEIGHT: Final = 140

_HISTORY: Final = text("""
SELECT date_bin(make_interval(secs => :step), at, 'epoch') AS at, platform, sum(polled) AS polled,
       sum(fresh) AS fresh, jsonb_agg(outcomes) AS outcomes
  FROM ops_history WHERE at > now() - make_interval(hours => :hours)
 GROUP BY 1, 2 ORDER BY 1, 2
""")
_ACTIONS: Final = text("""
SELECT acted_at, operator, act, subject, reason FROM operator_acts
 WHERE acted_at > now() - make_interval(hours => :hours)
   AND act IN ('pause', 'resume', 'try', 'resync', 'deploy')
 ORDER BY act_id DESC LIMIT 40
""")


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of time that charts show, in steps."""

    name: str
    label: str
    hours: int
    step: int
    """Seconds of a column."""


RANGES: Final = {
    one.name: one
    for one in (
        Range("1h", "1 hour", 1, 60),
        Range("24h", "24 hours", 24, 900),
        Range("7d", "7 days", 168, 7200),
    )
}
DEFAULT_RANGE: Final = "24h"


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one step: on hover, on focus, and in the table."""

    at: datetime
    x: float
    width: float
    values: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the scale with its number."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that people did, at its place in time."""

    x: float
    at: datetime
    sentence: str
    kind: str
    """``act`` or ``deploy``."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: bars or a line, its scale, its columns and its marks."""

    bars: Sequence[charts.Bar]
    line: charts.Line | None
    columns: Sequence[Column]
    ticks: Sequence[Tick]
    marks: Sequence[Mark]
    start: datetime
    end: datetime
    threshold: float | None = None
    """The height of the alert's threshold."""


@dataclass(frozen=True, slots=True)
class TimeCharts:
    """The charts of the overview for one range."""

    shown: Range
    outcomes: Chart
    freshness: Chart
    kinds: Sequence[str]
    """The outcomes that occur, in the order of their bars."""


def read(connection: Connection, shown: Range, now: datetime) -> TimeCharts:
    """Read the history of a range and compute its charts."""
    history = connection.execute(_HISTORY, {"step": shown.step, "hours": shown.hours}).all()
    actions = connection.execute(_ACTIONS, {"hours": shown.hours}).all()
    start, end = now - timedelta(hours=shown.hours), now
    marks = [_mark(action, start, end) for action in actions]
    columns = _columns(history)
    totals = _outcomes(columns)
    kinds = [kind.value for kind in MARKS if any(kind in parts for parts in totals.values())]
    kinds += sorted({name for parts in totals.values() for name in parts} - {*kinds})
    return TimeCharts(
        shown,
        _outcome_chart(totals, kinds, shown, (start, end), marks),
        _freshness_chart(columns, shown, (start, end), marks),
        kinds,
    )


def _columns(history: Sequence[Row[Any]]) -> Mapping[datetime, list[Row[Any]]]:
    columns: dict[datetime, list[Row[Any]]] = {}
    for row in history:
        columns.setdefault(row.at, []).append(row)
    return columns


def _outcomes(
    columns: Mapping[datetime, list[Row[Any]]],
) -> dict[datetime, dict[str, float]]:
    """Return the rows a minute by outcome, of each column."""
    totals: dict[datetime, dict[str, float]] = {}
    for at, rows in columns.items():
        parts = totals.setdefault(at, {})
        for row in rows:
            minutes = max(len(row.outcomes), 1)
            for minute in row.outcomes:
                for outcome, number in minute.items():
                    parts[outcome] = parts.get(outcome, 0.0) + number / minutes
    return totals


def _outcome_chart(
    totals: Mapping[datetime, Mapping[str, float]],
    kinds: Sequence[str],
    shown: Range,
    span: tuple[datetime, datetime],
    marks: Sequence[Mark],
) -> Chart:
    most = max((sum(parts.values()) for parts in totals.values()), default=0.0)
    top = round_up(most)
    start, width = span[0].timestamp(), _width(shown)
    bars = []
    for at, parts in sorted(totals.items()):
        x, y = _x(at.timestamp(), span), float(HEIGHT)
        for kind in kinds:
            height = parts.get(kind, 0.0) / top * HEIGHT if top else 0.0
            if height:
                y -= height
                bars.append(
                    charts.Bar(
                        kind, round(x, 1), round(y, 2), round(max(1.0, width - 1), 1), round(height, 2)
                    )
                )
    columns = [
        Column(at, round(_x(at.timestamp(), span), 1), round(width, 1), _values(totals[at], kinds))
        for at in sorted(totals)
        if at.timestamp() >= start - shown.step
    ]
    return Chart(bars, None, columns, _ticks(top, "{:,.0f}"), marks, *span)


def _freshness_chart(
    columns: Mapping[datetime, list[Row[Any]]],
    shown: Range,
    span: tuple[datetime, datetime],
    marks: Sequence[Mark],
) -> Chart:
    points: list[tuple[float, float | None]] = [(span[0].timestamp(), None)]
    shown_columns = []
    for at, rows in sorted(columns.items()):
        polled, fresh = sum(row.polled for row in rows), sum(row.fresh for row in rows)
        share = float(fresh / polled) if polled else None
        points.append((at.timestamp(), share))
        parts = [f"{row.platform} {row.fresh / row.polled:.1%}" for row in rows if row.polled]
        whole = f"{share:.1%} fresh" if share is not None else "not known"
        shown_columns.append(
            Column(
                at, round(_x(at.timestamp(), span), 1), round(_width(shown), 1), ", ".join([whole, *parts])
            )
        )
    points.append((span[1].timestamp(), None))
    line = charts.line(points, width=WIDTH, height=HEIGHT, low=0, high=1)
    threshold = round(HEIGHT * (1 - FRESH_SHARE), 1)
    return Chart([], line, shown_columns, _ticks(1.0, "{:.0%}"), marks, *span, threshold=threshold)


def _values(parts: Mapping[str, float], kinds: Sequence[str]) -> str:
    return ", ".join(
        f"{parts[kind]:,.1f} {kind.replace('_', ' ')} a minute" for kind in kinds if parts.get(kind)
    )


def _mark(action: Row[Any], start: datetime, end: datetime) -> Mark:
    subject = ", ".join(str(value) for value in dict(action.subject).values())[:80]
    why = f": {action.reason}" if action.reason else ""
    sentence = f"{action.act} by {action.operator} ({subject}){why}"
    x = round(_x(action.acted_at.timestamp(), (start, end)), 1)
    return Mark(x, action.acted_at.astimezone(UTC), sentence, "deploy" if action.act == "deploy" else "act")


def _x(at: float, span: tuple[datetime, datetime]) -> float:
    first, last = span[0].timestamp(), span[1].timestamp()
    return min(max((at - first) / (last - first), 0.0), 1.0) * WIDTH


def _width(shown: Range) -> float:
    return shown.step / (shown.hours * 3600) * WIDTH


def _ticks(top: float, shape: str) -> list[Tick]:
    return (
        [Tick(round(HEIGHT * (1 - part), 1), shape.format(top * part)) for part in (0.0, 0.5, 1.0)]
        if top
        else []
    )


def round_up(value: float) -> float:
    """Return the next number of 1, 2 or 5 and zeros, so that the scale has round numbers."""
    size = 1.0
    while value > size * 10:
        size *= 10
    return next((size * step for step in (1, 2, 5, 10) if size * step >= value), value) if value else 0.0
