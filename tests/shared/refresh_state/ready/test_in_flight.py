"""Which jobs count as in flight, and which rows the sweep of timers covers: suspects are apart."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.refresh_state.ready.in_flight import count_again, in_flight
from shared.refresh_state.ready.memory import OldClaims
from shared.refresh_state.ready.sweep import sweep
from shared.vocabulary import Platform
from tests.harness import Harness

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)


def test_claim_is_in_flight_while_the_lease_of_one_of_its_own_rows_holds(harness: Harness) -> None:
    account = harness.account("acc_1", Platform.X)
    for claimed_at, waits in ((NOW - 3 * MINUTE, (-1, -1)), (NOW - 2 * MINUTE, (-1, 1)), (NOW, (1, 1))):
        for wait in waits:
            harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
            harness.publications(
                account, reason="claimed", claimed_at=claimed_at, next_run_at=NOW + wait * 10 * MINUTE
            )
    harness.publications(
        harness.account("acc_lost"), reason="claimed", claimed_at=NOW, next_run_at=NOW - MINUTE
    )
    harness.publications(harness.account("acc_idle"))

    with harness.engine.connect() as connection:
        first = in_flight(connection, OldClaims(None), NOW - MINUTE, 2)
        again = in_flight(connection, first.old_claims, NOW - MINUTE, 3)
        recount = count_again(connection, first, 2)
        below_cap = count_again(connection, first, 3)

    assert first.by_platform == again.by_platform == {"x": 2, "instagram": 0}
    assert (set(first.full), set(again.full)) == ({"acc_1"}, set())
    assert recount.by_platform["x"] == 2
    assert (set(recount.full), set(below_cap.full)) == ({"acc_1"}, set())
    assert (first.some_expired, again.some_expired) == (True, True)
    assert first.old_claims == again.old_claims
    assert first.old_claims.account_ids == ("acc_1", "acc_1")
    old = [NOW - 3 * MINUTE, NOW - 2 * MINUTE]
    assert list(map(datetime.fromisoformat, first.old_claims.claimed_ats)) == old


@pytest.mark.parametrize(
    ("unfinished", "claimed", "priority", "timers"),
    [
        (0, False, 0, 1),
        (0, False, 1, 2),
        (1, True, 0, 1),
        (1, True, 1, 2),
        (2, False, 0, 1),
        (2, False, 1, 2),
        (2, True, 0, 0),
        (2, True, 1, 0),
    ],
)
def test_sweep_repairs_the_timers_of_all_rows_but_suspects_with_an_open_claim(
    harness: Harness, unfinished: int, *, claimed: bool, priority: int, timers: int
) -> None:
    harness.publications(
        harness.account("acc_1"),
        unfinished=unfinished,
        claimed_at=NOW if claimed else None,
        reason="claimed" if claimed else "stale",
        priority=priority,
    )
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM account_timers")
        connection.exec_driver_sql("DELETE FROM ready_accounts")

        assert [sweep(connection).repaired for _ in range(2)] == [timers, 0]
