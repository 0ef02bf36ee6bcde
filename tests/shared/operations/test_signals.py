"""Signals bring rows forward that wait for their ``stale_after``, and no others."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from shared.freshness.signals import SignalSource
from shared.operations.signals import observe, observe_siblings
from tests.harness import Harness

NOW = datetime.now(UTC)
STORED = {
    "policy": "adaptive",
    "age": 200.0,
    "value": 1000.0,
    "observed": 8.0,
    "expected": 8.0,
    "half_life": 24.3,
    "pressure": 1.0,
}
LATER = NOW + timedelta(days=20)


@pytest.fixture
def row(harness: Harness) -> int:
    """Return a publication that the adaptive rule has planned for a day in three weeks."""
    return planned(harness, "acc_1")


def planned(harness: Harness, account: str, **state: Any) -> int:
    (one,) = harness.publications(
        harness.account(account), **{"next_run_at": LATER, "reason": "stale", **state}
    )
    harness.execute(
        "UPDATE post_analytics SET freshness = :stored, stale_after = :later, last_updated_at = now()"
        " WHERE publication_id = :id",
        stored=Jsonb(STORED),
        later=LATER,
        id=one,
    )
    harness.execute(
        "UPDATE publications SET created_at = :at, post_id = 'post_1' WHERE id = :id",
        at=NOW - timedelta(hours=210),
        id=one,
    )
    return one


def seen(harness: Harness, one: int, kind: SignalSource = SignalSource.PUSH, **settings: str) -> int:
    with harness.engine.begin() as connection:
        changed = harness.context.settings.model_copy(update=settings)
        return observe(connection, changed, "ws_1", [one], kind)


def test_push_moves_the_next_run_and_stale_after_forward(harness: Harness, row: int) -> None:
    assert seen(harness, row) == 1

    state = harness.state(row)
    assert NOW < state.next_run_at < NOW + timedelta(days=1)
    assert state.stale_after == state.next_run_at
    assert (state.reason, state.claim_seq) == ("stale", 0)


def test_signal_without_precision_moves_nothing(harness: Harness, row: int) -> None:
    assert seen(harness, row, SignalSource.READ) == 0
    assert seen(harness, row, signal_precision="push=0") == 0
    assert harness.state(row).next_run_at == LATER


def test_row_that_is_planned_sooner_or_is_claimed_stays_as_it_is(harness: Harness) -> None:
    soon = NOW + timedelta(minutes=3)
    sooner = planned(harness, "acc_2", next_run_at=soon)
    claimed = planned(harness, "acc_3", reason="claimed", claimed_at=NOW)

    assert seen(harness, sooner) + seen(harness, claimed) == 0
    assert harness.state(sooner).next_run_at == soon


def test_row_of_another_workspace_is_never_moved(harness: Harness, row: int) -> None:
    with harness.engine.begin() as connection:
        assert observe(connection, harness.context.settings, "ws_2", [row], SignalSource.PUSH) == 0


def test_growth_is_a_signal_for_the_same_post_elsewhere(harness: Harness, row: int) -> None:
    sibling = planned(harness, "acc_2")

    with harness.engine.begin() as connection:
        assert observe_siblings(connection, harness.context.settings, "ws_1", [row]) == 1

    assert harness.state(sibling).next_run_at < LATER
    assert harness.state(row).next_run_at == LATER
