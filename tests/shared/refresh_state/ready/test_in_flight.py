"""Which jobs count as in flight, and the present virtual time."""

from datetime import UTC, datetime, timedelta

from shared.refresh_state.ready.in_flight import count_again, in_flight
from shared.refresh_state.ready.memory import OldClaims
from shared.vocabulary import Platform
from tests.harness import Harness

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)


CLAIMS = (
    ("acc_1", Platform.X, NOW, (1, 1)),
    ("acc_2", Platform.TIKTOK, NOW, (1,)),
    ("acc_lost", Platform.INSTAGRAM, NOW, (-1,)),
    ("acc_1", Platform.X, NOW - MINUTE, (1,)),
    ("acc_1", Platform.X, NOW - 2 * MINUTE, (-1, 1)),
    ("acc_1", Platform.X, NOW - 3 * MINUTE, (-1, -1)),
    ("acc_lost", Platform.INSTAGRAM, NOW - 4 * MINUTE, (-1,)),
)
"""Account, instant of the claim, and for each row of it whether its lease ends in the future."""


def test_claim_is_in_flight_while_the_lease_of_one_of_its_own_rows_holds(harness: Harness) -> None:
    for account, platform in {account: platform for account, platform, *_ in CLAIMS}.items():
        harness.account(account, platform)
    for account, _, claimed_at, waits in CLAIMS:
        for wait in waits:
            harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
            harness.publications(
                account, reason="claimed", claimed_at=claimed_at, next_run_at=NOW + wait * 10 * MINUTE
            )
    harness.publications(harness.account("acc_idle"))

    with harness.engine.connect() as connection:
        for plan in ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"):
            connection.exec_driver_sql(f"SET LOCAL {plan} = off")
        first = in_flight(connection, OldClaims(None), NOW - MINUTE, 3)
        again = in_flight(connection, first.old_claims, NOW - MINUTE, 4)
        recount = count_again(connection, first, 3)
        below_cap = count_again(connection, first, 4)
        settled = in_flight(connection, first.old_claims, NOW + MINUTE, 3)
        read_again = in_flight(connection, OldClaims(None), NOW + MINUTE, 3)
        connection.exec_driver_sql("DELETE FROM refresh_state WHERE next_run_at < now()")
        without_expired = in_flight(connection, OldClaims(None), NOW - MINUTE, 3)

    assert first.by_platform == again.by_platform == {"x": 3, "tiktok": 1, "instagram": 0}
    assert (set(first.full), set(again.full)) == ({"acc_1"}, set())
    assert (recount.by_platform["x"], recount.by_platform["instagram"]) == (3, 0)
    assert (set(recount.full), set(below_cap.full)) == ({"acc_1"}, set())
    assert (first.some_expired, again.some_expired, without_expired.some_expired) == (True, True, False)
    assert first.old_claims == again.old_claims
    assert first.old_claims.account_ids == ("acc_lost", "acc_1", "acc_1")
    assert settled == read_again
    old = [NOW - minutes * MINUTE for minutes in (4, 3, 2)]
    assert list(map(datetime.fromisoformat, first.old_claims.claimed_ats)) == old


def test_present_is_the_earliest_virtual_time_at_which_a_latest_job_of_a_workspace_began(
    harness: Harness,
) -> None:
    for scope, subject, served, cost, weight, at in (
        ("workspace", "ws_former", 3, 1, 1, NOW - MINUTE),
        ("workspace", "ws_heavy", 10, 4, 2, NOW),
        ("workspace", "ws_light", 20, 1, 1, NOW),
        ("account", "acc_1", 1, 1, 1, NOW),
        ("account", "acc_2", 1, 1, 1, NOW + MINUTE),
    ):
        harness.execute(
            "INSERT INTO turns (scope, subject, served, latest_cost, weight, served_at)"
            " VALUES (:scope, :subject, :served, :cost, :weight, :at)",
            scope=scope,
            subject=subject,
            served=served,
            cost=cost,
            weight=weight,
            at=at,
        )

    with harness.engine.connect() as connection:
        assert in_flight(connection, OldClaims(None), NOW, 1).present == 10 - 4 / 2
