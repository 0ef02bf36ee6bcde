"""What a claim reads: the head of the queue and the first timers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest

from shared.refresh_state.ready import reading
from shared.refresh_state.ready.memory import QueueStart
from shared.vocabulary import Lane, Platform
from tests.harness import Harness
from tests.shared.refresh_state.ready.queued import HOUR, NOW, accounts, counted, ready, timer, transaction


def test_claim_reads_the_head_of_the_queue_and_the_first_timers(harness: Harness) -> None:
    accounts(harness, ["dead", "paused", "beyond", "full", "q1", "q2", "q3", "suspect"])
    harness.execute("UPDATE accounts SET state = 'disconnected' WHERE account_id = 'dead'")
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', 'background', 'paused', now() + interval '1 hour', 'limit')"
    )
    counted(harness, "workspace", "ws_1", served=7, weight=2)
    counted(harness, "account", "q1", served_at=NOW)
    ids = {}
    for name in ("dead", "paused", "beyond", "full", "q1", "q2", "q3"):
        harness.publications(name, next_run_at=NOW + HOUR)
        harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
        harness.publications(name, next_run_at=NOW - HOUR)
        harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
        (ids[name],) = harness.publications(name, next_run_at=NOW - 2 * HOUR)
    lost: dict[str, Any] = {"unfinished": 2, "claimed_at": NOW - 3 * HOUR, "reason": "claimed"}
    (suspect,) = harness.publications("suspect", next_run_at=NOW - HOUR, **lost)
    harness.publications(harness.account("x", Platform.X), next_run_at=NOW - HOUR, **lost)
    harness.execute("DELETE FROM account_timers")
    for place, name in reversed(tuple(enumerate(("full", "q1", "q2", "q3")))):
        ready(harness, name, float(place))
    ready(harness, "x", 5.0)
    for hours, name in ((7, "beyond"), (8, "paused"), (9, "dead")):
        timer(harness, name, NOW - 2 * HOUR, due_at=NOW - hours * HOUR)

    with transaction(harness) as connection:
        rows = reading.read(
            connection, Lane.BACKGROUND, QueueStart(), full=["full"], most=2, next_suspect=suspect
        )

    two_hours, an_hour = ((NOW - hours * HOUR).timestamp() for hours in (2, 1))
    assert {row.account_id: (row.virtual_time, row.readable, row.due_at) for row in rows} == {
        "full": (0.0, True, two_hours),
        "q1": (1.0, True, two_hours),
        "q2": (2.0, True, two_hours),
        "x": (5.0, True, None),
        "dead": (None, False, two_hours),
        "paused": (None, False, two_hours),
        "suspect": (None, True, an_hour),
    }
    assert {(row.timers, row.first_timer) for row in rows} == {(2, NOW - 9 * HOUR)}
    assert {row.account_id: (row.weight, row.served) for row in rows}["q1"] == (2.0, 7.0)
    assert {row.account_id: row.served_at for row in rows}["q1"] == NOW.timestamp()


def test_interactive_claim_reads_rows_that_somebody_waits_for_alone(harness: Harness) -> None:
    accounts(harness, ["paused", "background", "later"])
    timer(harness, "later", NOW + HOUR, lane=1)
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', 'background', 'paused', now() + interval '1 hour', 'limit')"
    )
    for name in ("paused", "background"):
        harness.publications(name, next_run_at=NOW - 2 * HOUR)
        timer(harness, name, NOW - 3 * HOUR, lane=1)
    harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
    harness.publications("paused", next_run_at=NOW - HOUR, priority=1)

    with transaction(harness) as connection:
        rows = reading.read(connection, Lane.INTERACTIVE, QueueStart(), full=[], most=9, next_suspect=None)

    assert {row.account_id: (row.readable, row.due_at) for row in rows} == {
        "paused": (True, (NOW - HOUR).timestamp()),
        "background": (True, None),
    }


@pytest.mark.parametrize(
    ("hours", "place", "wait"),
    [
        ((3, 2), inf, 2 * HOUR),
        ((25,), inf, None),
        ((-1, 2), inf, timedelta()),
        ((), inf, None),
        ((2,), 7.0, timedelta()),
    ],
)
def test_next_timer_is_the_first_one_of_a_day_unless_an_account_waits_in_the_queue(
    harness: Harness, hours: Sequence[int], place: float, wait: timedelta | None
) -> None:
    accounts(harness, ["acc_1"])
    ready(harness, "acc_1", place)
    for number in hours:
        timer(harness, "acc_1", NOW, due_at=datetime.now(UTC) + number * HOUR)
    with transaction(harness) as connection:
        actual = reading.next_timer(connection, Lane.BACKGROUND)
        assert reading.next_timer(connection, Lane.INTERACTIVE) is None

    if wait:
        assert actual is not None
        assert timedelta() <= wait - actual < timedelta(minutes=5)
    else:
        assert actual == wait
