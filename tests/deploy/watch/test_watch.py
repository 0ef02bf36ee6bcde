"""The views of `dravo status --watch`, the keys between them, and sparklines."""

import io
import os
import pty
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console, RenderableType
from rich.text import Text
from sqlalchemy import Connection, text

from deploy.watch.keyboard import Keyboard
from deploy.watch.screen import BOUND, FAILURES, UNKNOWN, Watch
from deploy.watch.trends import Trend, fleet_line, sparkline
from shared.database import connect
from tests.api_stub.support import Rows


@pytest.fixture
def watch(database_url: str) -> Iterator[Watch]:
    """Watch a fleet with two failed publications and an hour of history."""
    engine = connect(database_url, application="tests")
    rows = Rows(engine)
    rows.account("acc_x", platform="x")
    for number, cause in enumerate(("X did not answer.", "X does not know this post.")):
        rows.publication(
            "acc_x",
            post_id=f"post_{number}",
            analytics={"sync_status": "failed", "outcome": "failed", "outcome_detail": cause},
        )
    rows.execute(
        "INSERT INTO ops_history (at, platform, polled, fresh, outcomes)"
        " SELECT now() - make_interval(mins => n), 'x', 10, 9,"
        " jsonb_build_object('synced', 8 - n, 'failed', 1)"
        " FROM generate_series(1, 5) n"
    )

    def explain(connection: Connection, publication_id: int) -> RenderableType:
        post_ids = connection.exec_driver_sql(f"SELECT post_id FROM publications WHERE id = {publication_id}")
        return Text(f"why {post_ids.scalar_one()}")

    yield Watch(engine, overview=lambda: Text("the fleet"), explain=explain)
    engine.dispose()


def test_failures_are_found_by_indexes(watch: Watch) -> None:
    with watch.engine.connect() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(connection.execute(text(f"EXPLAIN {FAILURES.text}"), BOUND).scalars())

    assert "Seq Scan" not in plan, plan
    assert ("post_analytics_unsynced" in plan, "refresh_state_troubled" in plan) == (True, True), plan


def test_retried_publication_that_is_served_as_synced_is_a_failure(watch: Watch) -> None:
    rows = Rows(watch.engine)
    rows.publication(
        "acc_x",
        post_id="post_retried",
        platform_post_id="its_own",
        analytics={"outcome": "retry", "outcome_detail": "X is slow."},
        state={"reason": "retry"},
    )
    watch.press("f")

    assert "post_retried" in shown(watch)


def shown(watch: Watch) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(watch.render())
    return out.getvalue()


def test_keys_lead_from_the_fleet_to_the_cause_of_a_failure(watch: Watch) -> None:
    assert "the fleet" in shown(watch)
    assert "refreshes a minute: 8  ▅▆▇██" in shown(watch)
    watch.press("p")
    assert "90%" in shown(watch)
    watch.press("f")
    text = shown(watch)
    assert "X did not answer." in text
    assert text.index("▶") < text.index("post_0") < text.index("post_1")
    for key in ("down", "down", "j"):
        watch.press(key)
    shown(watch)
    watch.press("enter")
    assert "why post_1" in shown(watch)
    watch.press("escape")
    assert "Failures" in shown(watch)
    watch.press("escape")
    assert "the fleet" in shown(watch)
    assert [watch.press(key) for key in ("x", None, "q")] == [True, True, False]


def test_fleet_without_failures_says_so(watch: Watch) -> None:
    with watch.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM publications")
    watch.press("f")
    watch.press("enter")

    assert "No publication fails." in shown(watch)


def test_watch_goes_on_while_the_database_does_not_answer() -> None:
    engine = connect("postgresql+psycopg://nobody@127.0.0.1:9/none", application="tests")
    watch = Watch(engine, overview=lambda: Text("the fleet"), explain=lambda _connection, _id: Text())

    assert UNKNOWN.split()[0] in shown(watch)
    engine.dispose()


def test_sparkline_has_a_level_for_each_value_and_a_gap_for_an_unknown_one() -> None:
    assert sparkline([0, 1, None, 7, 8]) == "▁▂ ██"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([0.5, 1.0], highest=1.0) == "▅█"
    assert sparkline([]) == ""


def test_fleet_adds_platforms_up_minute_by_minute() -> None:
    line = fleet_line({"x": Trend([1, 2, 3], []), "tiktok": Trend([10], [])})

    assert line.plain.startswith("refreshes a minute: 13  ")
    assert "not known yet" in fleet_line({}).plain


@pytest.mark.parametrize(
    ("pressed", "key"), [(b"f", "f"), (b"\x1b[A", "up"), (b"\r", "enter"), (b"\x1b", "escape")]
)
def test_keyboard_reads_single_keys_from_a_terminal(
    monkeypatch: pytest.MonkeyPatch, pressed: bytes, key: str
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with Keyboard() as keyboard:
            os.write(ours, pressed)
            assert keyboard.wait(30) == key
            assert keyboard.wait(0) is None
    os.close(ours)


def test_keyboard_without_a_terminal_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin: Any = io.StringIO("q")
    monkeypatch.setattr(sys, "stdin", stdin)

    with Keyboard() as keyboard:
        assert keyboard.wait(0) is None
