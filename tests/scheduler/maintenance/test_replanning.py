"""Rows of another policy are re-planned gradually and never to a later instant."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from scheduler.maintenance import replanning
from scheduler.maintenance.replanning import Replanning
from tests.harness import Harness

HOUR = timedelta(hours=1)


def stored(harness: Harness, number: int, policy: str, due_in: timedelta = 400 * HOUR) -> list[int]:
    """Store rows that were refreshed an hour ago and that this policy planned."""
    ids = harness.publications(harness.account(f"acc_{policy}"), number, reason="stale")
    harness.execute(
        "UPDATE post_analytics SET last_updated_at = now() - interval '1 hour',"
        " stale_after = now() + :due_in, metrics = '{\"views\": 900}',"
        " freshness = jsonb_build_object('policy', CAST(:policy AS text)) WHERE publication_id = ANY(:ids)",
        due_in=due_in,
        policy=policy,
        ids=ids,
    )
    harness.execute(
        "UPDATE refresh_state r SET next_run_at = a.stale_after FROM post_analytics a"
        " WHERE a.publication_id = r.publication_id AND r.publication_id = ANY(:ids)",
        ids=ids,
    )
    return ids


def replan(harness: Harness, policy: str, runs: int = 3) -> None:
    settings = harness.context.settings.model_copy(update={"freshness": policy})
    ticks = Replanning(settings, harness.scheduler)
    for _ in range(runs):
        ticks.run()


def waits(harness: Harness, ids: list[int]) -> list[timedelta]:
    rows: list[Any] = [harness.state(one) for one in ids]
    assert all(row.stale_after == row.next_run_at for row in rows)
    found_at: list[datetime] = [row.next_run_at - row.wait for row in rows]
    return [row.next_run_at - at for row, at in zip(rows, found_at, strict=True)]


def test_rows_of_a_slower_policy_are_due_by_the_new_one_without_a_stampede(harness: Harness) -> None:
    ids = stored(harness, 200, "adaptive")

    replan(harness, "fixed:30m")

    lengths = sorted(waits(harness, ids))
    assert lengths[0] < HOUR / 20
    assert lengths[-1] <= HOUR / 2
    thirds = [sum(third * HOUR / 6 <= one < (third + 1) * HOUR / 6 for one in lengths) for third in range(3)]
    assert min(thirds) > 40


def test_row_that_would_be_due_later_and_rows_of_this_policy_stay(harness: Harness) -> None:
    sooner = stored(harness, 1, "fixed:2h", due_in=HOUR)
    ours = stored(harness, 1, "adaptive")

    replan(harness, "fixed:6h")
    assert HOUR * 0.9 < waits(harness, sooner)[0] <= HOUR

    replan(harness, "adaptive")
    assert waits(harness, ours)[0] <= 6 * HOUR
    assert waits(harness, sooner)[0] <= HOUR


def test_rule_decides_where_the_policy_becomes_adaptive(harness: Harness) -> None:
    ids = stored(harness, 3, "fixed:30d")

    replan(harness, "adaptive")

    assert all(timedelta() < one < 24 * HOUR for one in waits(harness, ids))


def test_pass_goes_on_slice_by_slice_and_ends(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replanning, "ROWS", 2)
    ids = stored(harness, 5, "adaptive")

    replan(harness, "fixed:1h", runs=2)
    assert sum(one <= HOUR for one in waits(harness, ids)) == 4

    replan(harness, "fixed:1h", runs=5)
    assert max(waits(harness, ids)) <= HOUR
