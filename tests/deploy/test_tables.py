"""Tables at the width of a terminal: whole words, columns by priority, relative times, coloured states."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from deploy import tables
from deploy.tables import build, readable

NOW = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)
HEADINGS = ("account_id", "workspace_id", "state", "changed_at", "reason", "rows")
ROWS = [
    ("acc_north_instagram_facebook", "ws_north", "active", "2026-11-26T09:58:00.123456Z", "-", "48"),
    ("acc_x", "ws_lab", "requires_reconnect", "2027-11-26T10:00:00Z", "X refuses the authorization", "7"),
]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the terminal's clock stand still."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            del tz
            return NOW

    monkeypatch.setattr(tables, "datetime", Clock)


def shown(width: int | None, *, colours: bool = False, **options: tuple[str, ...]) -> str:
    """Return a table as a terminal of this width shows it."""
    out = io.StringIO()
    console = Console(
        file=out, width=width or 10_000, force_terminal=colours, color_system="standard" if colours else None
    )
    console.print(build(HEADINGS, ROWS, width=width, right=("rows",), **options))
    return out.getvalue()


@pytest.mark.parametrize("width", [50, 60, 80, 100, 140])
def test_no_word_is_broken_at_any_width(width: int) -> None:
    text = shown(width)

    assert max(map(len, text.splitlines())) <= width
    assert {"acc_north_instagram_facebook", "acc_x"} <= set(text.split())
    names = {name for heading in HEADINGS for name in heading.split("_")}
    words = {word for row in ROWS for cell in row for word in readable(cell, now=NOW).split()}
    table = text.partition("not shown")[0]
    assert {word.strip("─") for word in table.split()} - {""} <= names | words


def test_columns_leave_in_the_order_of_their_priority_and_are_named() -> None:
    text = shown(80, optional=("workspace_id", "rows"))

    assert "not shown here: workspace_id" in text
    assert "reason" in text
    assert "workspace id" not in text
    assert "not shown" not in shown(140)


def test_terminal_shows_relative_times_and_a_pipe_the_second() -> None:
    assert "2 min ago" in shown(140)
    assert "2027-11-26" in shown(140)
    assert "2026-11-26T09:58:00Z" in shown(None)
    assert "account_id" in shown(None)


@pytest.mark.parametrize(
    ("distance", "written"),
    [
        (timedelta(0), "0 s ago"),
        (timedelta(seconds=-59), "59 s ago"),
        (timedelta(minutes=90), "in 1 h"),
        (timedelta(days=-3), "3 d ago"),
        (timedelta(days=-46), "2026-10-11"),
    ],
)
def test_distance_has_one_unit_and_becomes_a_date(distance: timedelta, written: str) -> None:
    at = f"{NOW + distance:%Y-%m-%dT%H:%M:%S}.5Z"

    assert readable(f"until {at}: because", now=NOW) == f"until {written}: because"


def test_states_have_colours_on_a_terminal_only() -> None:
    assert "\x1b[32mactive" in shown(140, colours=True)
    assert "\x1b[1;31mrequires_reconnect" in shown(140, colours=True)
    assert "\x1b" not in shown(None)
