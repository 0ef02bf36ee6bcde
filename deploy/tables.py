"""Tables that fit their terminal: columns by priority, whole words, relative times, coloured states.

Where stdout is no terminal, a table is plain text of any width with all columns, for other programs.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

_GAP: Final = 2
"""Columns between two cells."""
_EDGES: Final = 2
_INSTANT: Final = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_DISTANT: Final = timedelta(days=45)
_STYLES: Final = {
    **dict.fromkeys(("active", "synced", "delivered", "enabled", "done", "in time"), "green"),
    **dict.fromkeys(("partial", "pending", "paused", "retry", "stopped early"), "yellow"),
    **dict.fromkeys(("failed", "requires_reconnect", "quarantined", "dead", "disabled", "late"), "bold red"),
    **dict.fromkeys(("disconnected", "revoked", "-"), "dim"),
}
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def readable(text: str, *, now: datetime | None) -> str:
    """Return text with its instants to the second or, with ``now``, relative to it (``2 min ago``)."""
    return _INSTANT.sub(lambda match: _readable(match[1], now), text)


def _readable(written: str, now: datetime | None) -> str:
    if now is None:
        return f"{written}Z"
    at = datetime.fromisoformat(written).replace(tzinfo=UTC)
    distance = at - now
    if abs(distance) > _DISTANT:
        return f"{at:%Y-%m-%d}"
    seconds = int(abs(distance).total_seconds())
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    amount = f"{seconds // size} {unit}"
    return f"in {amount}" if distance > timedelta(0) else f"{amount} ago"


def build(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[str] = (),
    optional: Sequence[str] = (),
    width: int | None = None,
) -> Table:
    """Return a table of ``width`` columns of a terminal, or plain and uncut without ``width``.

    Columns in ``right`` are aligned to the right. Where the terminal is too narrow, columns in ``optional``
    are left out, the first one first, then others from the right; a line below names them.
    """
    if width is None:
        plain = [[readable(cell, now=None) for cell in row] for row in rows]
        return _table(headings, plain, right, widths=None, ruled=False)
    now = datetime.now(UTC)
    cells = [[readable(cell, now=now) for cell in row] for row in rows]
    columns = [
        [heading.replace("_", " "), *(row[place] for row in cells)] for place, heading in enumerate(headings)
    ]
    shown = _fitting(headings, columns, optional, width)
    table = _table(
        [columns[place][0] for place in shown],
        [[row[place] for place in shown] for row in cells],
        [columns[place][0] for place in shown if headings[place] in right],
        widths=_widths([columns[place] for place in shown], width),
        ruled=any(headings),
    )
    hidden = [headings[place] for place in range(len(headings)) if place not in shown]
    if hidden:
        table.caption = f"not shown here: {', '.join(hidden)}; a wider terminal and --json have all"
        table.caption_justify = "left"
    return table


def _fitting(
    headings: Sequence[str], columns: Sequence[Sequence[str]], optional: Sequence[str], width: int
) -> list[int]:
    """Return the places of the columns that fit without a break inside a word; the first one always stays."""
    shown = list(range(len(headings)))
    leaving = [headings.index(name) for name in optional] + [
        place for place in reversed(shown) if headings[place] not in optional
    ]
    for place in leaving:
        if _total(_longest_word(columns[one]) for one in shown) <= width or len(shown) == 1:
            break
        shown.remove(place)
    return shown


def _longest_word(column: Sequence[str]) -> int:
    return max((len(word) for cell in column for word in cell.split()), default=1)


def _total(widths: Iterable[int]) -> int:
    each = list(widths)
    return sum(each) + _GAP * (len(each) - 1) + _EDGES


def _widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the width of each column: its longest word, and what is left over where a cell has more."""
    widths = [_longest_word(column) for column in columns]
    wanted = [max(map(len, column)) for column in columns]
    left = width - _total(widths)
    growing = sorted(range(len(columns)), key=lambda place: wanted[place] - widths[place])
    for number, place in enumerate(growing):
        more = max(0, min(wanted[place] - widths[place], left // (len(growing) - number)))
        widths[place] += more
        left -= more
    return widths


def _table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Sequence[str],
    *,
    widths: Sequence[int] | None,
    ruled: bool,
) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD if ruled else None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_header=any(headings),
        header_style="bold",
        caption_style="dim",
    )
    for place, heading in enumerate(headings):
        table.add_column(
            heading,
            justify="right" if heading in right else "left",
            overflow="fold",
            width=widths[place] if widths else None,
        )
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return table
