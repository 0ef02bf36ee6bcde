"""A claim finds a row whatever moves it earlier: triggers insert timers, and the sweep repairs a loss."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from shared.refresh_state import claim
from shared.refresh_state.claim import Claims
from shared.refresh_state.ready.queue import TIMERS_AT_ONCE, Served, add_due, settle
from shared.refresh_state.ready.reading import next_timer
from shared.refresh_state.ready.sweep import sweep
from shared.vocabulary import Lane, Platform
from tests.claiming import claim_due
from tests.harness import Harness

LATER = datetime.now(UTC) + timedelta(hours=1)
LEASE = timedelta(seconds=60)


def claims_of(connection: Connection, lane: Lane = Lane.BACKGROUND, jobs: int = 100) -> Claims:
    return claim_due(connection, lane, jobs=jobs, platform_jobs=1000, lease=LEASE)


def claimed(harness: Harness, lane: Lane = Lane.BACKGROUND, jobs: int = 100) -> list[int]:
    with harness.engine.begin() as connection:
        return [one for job in claims_of(connection, lane, jobs).jobs for one, _ in job.claims]


def timers(harness: Harness) -> int:
    count: int = harness.execute("SELECT count(*) FROM account_timers")[0][0]
    return count


@pytest.mark.parametrize(
    "change",
    [
        "next_run_at = now()",
        "next_run_at = now() - interval '1 year'",
        "next_run_at = NULL",
        "claimed_at = now() - interval '2 minutes', reason = 'claimed', next_run_at = now() - interval '1 s'",
    ],
)
def test_row_that_any_session_moves_earlier_is_claimed(harness: Harness, change: str) -> None:
    (one,) = harness.publications(harness.account("acc_1"), next_run_at=LATER)
    assert claimed(harness) == []
    harness.execute(f"UPDATE refresh_state SET {change}")
    harness.execute("UPDATE refresh_state SET next_run_at = now() WHERE next_run_at IS NULL")

    assert claimed(harness) == [one]


def test_row_that_gains_priority_is_claimed_in_the_interactive_lane(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    assert claimed(harness, Lane.INTERACTIVE) == []
    harness.execute("UPDATE refresh_state SET priority = 1")

    assert claimed(harness, Lane.INTERACTIVE) == [one]


def test_row_that_becomes_due_while_its_account_is_claimed_is_claimed_next(harness: Harness) -> None:
    due, later = harness.publications(harness.account("acc_1"), 2)
    harness.execute(
        "UPDATE refresh_state SET next_run_at = :at WHERE publication_id = :id", at=LATER, id=later
    )
    with harness.engine.connect() as writing:
        writing.execute(
            text("UPDATE refresh_state SET next_run_at = now() WHERE publication_id = :id"), {"id": later}
        )
        assert claimed(harness) == [due]
        writing.commit()

    assert claimed(harness) == [later]


def test_changes_of_one_transaction_insert_one_timer_of_an_account(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"), 50, next_run_at=LATER)
    harness.execute("DELETE FROM account_timers RETURNING 1")
    harness.execute("UPDATE refresh_state SET next_run_at = now()")

    assert timers(harness) == 1


def test_served_account_keeps_one_timer_however_often_its_rows_moved(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 5, next_run_at=LATER)
    for one in ids:
        harness.execute("UPDATE refresh_state SET next_run_at = now() WHERE publication_id = :id", id=one)
    assert claimed(harness) == ids

    assert timers(harness) == 1


def test_lease_end_of_a_started_claim_has_a_timer(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    assert claimed(harness) == [one]

    assert harness.execute(
        "SELECT t.due_at = r.next_run_at FROM account_timers t JOIN refresh_state r USING (account_id)"
    ) == [(True,)]


def test_accounts_beyond_what_one_claim_reads_join_the_queue(harness: Harness) -> None:
    accounts = TIMERS_AT_ONCE + 20
    for number in range(accounts):
        harness.account(f"acc_{number:03}", workspace_id=f"ws_{number}")
    harness.execute(
        "INSERT INTO publications (workspace_id, post_id, account_id, platform, platform_post_id, created_at)"
        " SELECT workspace_id, account_id, account_id, platform, account_id, now() FROM accounts"
    )
    harness.execute("INSERT INTO post_analytics (publication_id) SELECT id FROM publications")
    harness.execute(
        "INSERT INTO refresh_state (publication_id, account_id, next_run_at)"
        " SELECT id, account_id, now() FROM publications"
    )
    with harness.engine.begin() as connection:
        assert claims_of(connection, jobs=1).more_due
        assert add_due(connection, Lane.BACKGROUND)
        assert not add_due(connection, Lane.BACKGROUND)
        assert not claims_of(connection, jobs=1).more_due
        assert len(claims_of(connection, jobs=500).jobs) == accounts - 2


def test_account_that_is_paused_is_read_once_and_claimed_when_the_pause_ends(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', 'account', 'acc_1', now() + interval '1 hour', 'limit')"
    )
    assert claimed(harness) == []
    assert timers(harness) == 0
    assert harness.execute("SELECT virtual_time FROM ready_accounts") == [(float("inf"),)]

    harness.execute("DELETE FROM pauses")
    assert claimed(harness) == [one]


@pytest.mark.parametrize("paused", [True, False], ids=["paused", "due later"])
def test_accounts_without_rows_to_claim_hide_no_other(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, *, paused: bool
) -> None:
    monkeypatch.setattr(claim, "_HEAD", 2)
    for number in range(5):
        account = harness.account(f"acc_{number}", workspace_id=f"ws_{number}")
        harness.publications(account, next_run_at=datetime.now(UTC) + timedelta(hours=-1 if paused else 1))
    harness.execute("UPDATE account_timers SET due_at = now()")
    if paused:
        harness.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            " VALUES ('instagram', 'account', '', now() + interval '1 hour', 'limit')"
        )
    (one,) = harness.publications(harness.account("acc_x", Platform.X))

    assert claimed(harness, jobs=1) == [one]


def test_timer_of_an_account_that_does_not_exist_is_deleted(harness: Harness) -> None:
    harness.execute(
        "INSERT INTO account_timers (account_id, lane, due_at, rows_from)"
        " VALUES ('gone', 0, '-infinity', now())"
    )
    assert claimed(harness) == []

    assert timers(harness) == 0


def test_row_that_a_change_moves_before_the_others_while_a_claim_runs_is_claimed_next(
    harness: Harness,
) -> None:
    early, later = harness.publications(harness.account("acc_1"), 2, next_run_at=LATER)
    move = "UPDATE refresh_state SET next_run_at = now() - interval '{}' WHERE publication_id = :id"
    harness.execute(move.format("1 s"), id=early)
    with harness.engine.begin() as connection:
        connection.execute(text("SELECT now()"))
        harness.execute(move.format("2 s"), id=later)
        claims = claims_of(connection)
    assert [one for job in claims.jobs for one, _ in job.claims] == [early]

    assert claimed(harness) == [later]


def test_account_that_is_connected_while_a_claim_looks_at_its_timer_is_claimed_next(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_new"))
    read_before_it_existed = Served("acc_new", None, None, 1, 0)
    with harness.engine.begin() as connection:
        settle(connection, Lane.BACKGROUND, 0, [read_before_it_existed])
    assert timers(harness) == 0

    assert claimed(harness) == [one]


def test_sweep_inserts_the_timers_that_are_missing_and_no_others(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 2, priority=1)
    harness.publications(harness.account("acc_2"), next_run_at=LATER)
    harness.publications(harness.account("acc_3"), next_run_at=None, reason="stopped")
    harness.execute("DELETE FROM account_timers WHERE account_id <> 'acc_2' RETURNING 1")
    assert claimed(harness) == []
    harness.execute("UPDATE accounts SET name = 'written last' WHERE account_id = 'acc_1'")

    with harness.scheduler.begin() as connection:
        connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        steps = []
        after = ""
        for _ in range(3):
            step = sweep(connection, after, accounts=2)
            steps.append((step.last, step.repaired))
            after = step.last

    assert steps == [("acc_2", 2), ("", 0), ("acc_2", 0)]
    assert claimed(harness, Lane.INTERACTIVE) == ids


@pytest.mark.parametrize(("paused", "wait"), [(True, None), (False, timedelta())])
def test_account_that_is_due_is_asked_for_again_at_once_unless_it_is_paused(
    harness: Harness, paused: bool, wait: timedelta | None
) -> None:
    harness.publications(harness.account("acc_1"), priority=1, reason="forced")
    if paused:
        harness.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            " VALUES ('instagram', 'account', 'acc_1', now() + interval '1 hour', 'test')"
        )

    assert claimed(harness, Lane.INTERACTIVE, jobs=0 if not paused else 100) == []

    with harness.engine.begin() as connection:
        assert next_timer(connection, Lane.INTERACTIVE) == wait
