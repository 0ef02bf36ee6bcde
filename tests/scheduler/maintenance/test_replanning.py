"""Rows of another policy are re-planned gradually and never to a later instant."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from scheduler.maintenance import replanning
from scheduler.maintenance.replanning import Replanning
from shared.freshness.plan import Known, Planner
from shared.freshness.policy import Freshness
from shared.freshness.priors import parse_priors
from shared.vocabulary import Platform
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
    ours = stored(harness, 3, "fixed:6h")
    harness.execute("UPDATE refresh_state SET reason = 'retry' WHERE publication_id = :id", id=ours[0])
    harness.execute(
        "UPDATE post_analytics SET freshness = NULL, last_updated_at = NULL WHERE publication_id = :id",
        id=ours[1],
    )
    before = [harness.state(one).next_run_at for one in ours]

    replan(harness, "fixed:6h")

    assert HOUR * 0.9 < waits(harness, sooner)[0] <= HOUR
    assert [harness.state(one).next_run_at for one in ours] == before


def test_row_that_waits_for_something_else_than_its_age_stays(harness: Harness) -> None:
    ids = stored(harness, 2, "adaptive")
    harness.execute("UPDATE refresh_state SET reason = 'retry' WHERE publication_id = :id", id=ids[0])

    replan(harness, "fixed:30h")

    retried, stale = waits(harness, ids)
    assert retried > 399 * HOUR
    assert 28.9 * HOUR < stale <= 29 * HOUR, "from its last refresh, and not sooner than the policy wants"


def test_rule_decides_by_age_and_numbers_where_the_policy_becomes_adaptive(harness: Harness) -> None:
    ids = stored(harness, 2, "fixed:30d", due_in=9000 * HOUR)
    measured = {"policy": "fixed:30d", "value": 300.0, "age": 200.0, "expected": 50.0, "counted": 0}
    harness.execute(
        "UPDATE post_analytics SET freshness = CAST(:measured AS jsonb) WHERE publication_id = :id",
        measured=json.dumps(measured),
        id=ids[1],
    )
    harness.execute("UPDATE publications SET published_at = now() - interval '10 days'")
    prior = parse_priors(harness.context.settings.freshness_priors)[Platform.INSTAGRAM]
    planner = Planner(Freshness.parse("adaptive"), Platform.INSTAGRAM, prior)

    replan(harness, "adaptive")

    for publication_id, value, known in zip(ids, (900.0, None), (None, measured), strict=True):
        ((published_at, refreshed_at),) = harness.execute(
            "SELECT published_at, last_updated_at FROM publications"
            " JOIN post_analytics ON publication_id = id WHERE id = :id",
            id=publication_id,
        )
        row = Known(publication_id, published_at, None, known, 0)
        planned = planner.plan(row, value, refreshed_at).stale_after
        assert planned - refreshed_at > 8 * HOUR, "later than rows that are due at once are spread"
        assert harness.state(publication_id).next_run_at == planned


def test_pass_goes_on_slice_by_slice_and_ends(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replanning, "ROWS", 2)
    ids = stored(harness, 5, "adaptive")

    replan(harness, "fixed:1h", runs=2)
    assert sum(one <= HOUR for one in waits(harness, ids)) == 4

    with capture_logs() as logged:
        replan(harness, "fixed:1h", runs=7)
    assert max(waits(harness, ids)) <= HOUR
    assert [(line["event"], line["rows"]) for line in logged] == [("rows_replanned", 1)], "once for each pass"
