"""What a claim reads is bounded by its jobs, whatever the planner expects and whoever holds a snapshot."""

from collections import Counter

import pytest
from sqlalchemy import Connection, text

from shared.refresh_state.claim import Claims
from shared.refresh_state.ready.in_flight import in_flight
from shared.refresh_state.ready.memory import ClaimMemory, OldClaims
from tests.claiming import claim_due
from tests.harness import Harness

JOBS = 16
BATCH = 20
ACCOUNTS = 300
ANALYZE = "ANALYZE accounts, publications, refresh_state, account_timers, ready_accounts, turns, pauses"


def fill(harness: Harness, accounts: int, *, rows: int, first: int = 0, due: str = "now()") -> None:
    """Store TikTok accounts of a workspace each, with so many rows; triggers insert their timers."""
    numbers = f"generate_series({first}, {first + accounts - 1}) n"
    harness.execute(
        "INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id)"
        f" SELECT 'acc_' || n, 'ws_' || n, 'tiktok', n FROM {numbers}"
    )
    harness.execute(
        "WITH new AS ("
        " INSERT INTO publications"
        "       (workspace_id, post_id, account_id, platform, platform_post_id, created_at)"
        " SELECT 'ws_' || n, n || '_' || r, 'acc_' || n, 'tiktok', n || '_' || r, now()"
        f"  FROM {numbers}, generate_series(1, {rows}) r RETURNING id, account_id)"
        " INSERT INTO refresh_state (publication_id, account_id, next_run_at)"
        f" SELECT id, account_id, {due} FROM new"
    )


def claims_of(connection: Connection, memory: ClaimMemory | None = None) -> Claims:
    return claim_due(connection, jobs=JOBS, platform_jobs=10_000, memory=memory)


def entries_read(harness: Harness, memory: ClaimMemory | None = None) -> tuple[Claims, int, Counter[str]]:
    """Claim; return how many rows were read without an index, and how many entries of each index.

    Entries of rows that no longer exist are among them, as long as a snapshot needs those.
    """
    with harness.engine.begin() as connection:
        before = counted(connection)
        claims = claims_of(connection, memory)
        read = counted(connection) - before
    return claims, read.pop("rows", 0), read


def counted(connection: Connection) -> Counter[str]:
    """Return what this session has read, and not reported yet."""
    entries = connection.execute(
        text(
            "SELECT indexrelname AS name, pg_stat_get_xact_tuples_returned(indexrelid) AS read"
            "  FROM pg_stat_user_indexes UNION ALL"
            " SELECT 'rows', sum(seq_tup_read) FROM pg_stat_xact_user_tables"
        )
    )
    return Counter({row.name: int(row.read) for row in entries})


@pytest.mark.parametrize("analyzed", ["never", "empty", "one account", "right"])
def test_statistics_of_the_planner_do_not_change_what_a_claim_reads(harness: Harness, analyzed: str) -> None:
    for table in ("accounts", "refresh_state", "account_timers", "ready_accounts", "turns"):
        harness.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    if analyzed == "empty":
        harness.execute(ANALYZE)
    fill(harness, 1, rows=2_000, first=ACCOUNTS)
    if analyzed == "one account":
        harness.execute(ANALYZE)
    fill(harness, ACCOUNTS, rows=BATCH)
    if analyzed == "right":
        harness.execute(ANALYZE)

    claims, rows, entries = entries_read(harness)

    assert len(claims.jobs) == JOBS
    assert rows == 0
    assert entries.total() <= 10 * JOBS * BATCH, entries


def test_accounts_with_nothing_due_are_not_read(harness: Harness) -> None:
    fill(harness, ACCOUNTS, rows=1, due="now() + interval '1 hour'")
    claims, rows, entries = entries_read(harness)

    assert (claims.jobs, rows, entries.total()) == ((), 0, 0), entries


def test_accounts_of_remembered_claims_are_not_read_again(harness: Harness) -> None:
    fill(harness, JOBS, rows=1)
    with harness.engine.begin() as connection:
        claims_of(connection)
    with harness.engine.connect() as connection:
        now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        before = counted(connection)
        first = in_flight(connection, OldClaims(), now, 1)
        then = counted(connection)
        again = in_flight(connection, first.old_claims, now, 1)
        read = counted(connection) - then

    assert first == again
    assert (then - before)["accounts_pkey"] == JOBS
    assert read["accounts_pkey"] == 0


def test_entries_of_finished_claims_that_a_snapshot_keeps_are_not_read_again(harness: Harness) -> None:
    fill(harness, 4 * JOBS, rows=1)
    memory = ClaimMemory()
    with harness.engine.connect() as foreign:
        foreign.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        foreign.execute(text("SELECT count(*) FROM accounts"))
        for _ in range(60):
            claims, _, remembering = entries_read(harness, memory)
            assert len(claims.jobs) == JOBS
            harness.execute(
                "UPDATE refresh_state SET next_run_at = now() + interval '1 hour', claimed_at = NULL,"
                " claim_seq = claim_seq + 1 WHERE claimed_at IS NOT NULL"
            )
            harness.execute("UPDATE refresh_state SET next_run_at = now() WHERE next_run_at > now()")
        _, _, forgetful = entries_read(harness, ClaimMemory())

    assert remembering["account_timers_due"] <= forgetful["account_timers_due"] / 4
    assert remembering["refresh_state_open_claims"] < forgetful["refresh_state_open_claims"]


def test_new_row_reads_few_timers_however_many_of_its_account_wait(harness: Harness) -> None:
    account = harness.account("acc_1")
    harness.execute(
        "INSERT INTO account_timers (account_id, lane, due_at, rows_from)"
        " SELECT 'acc_1', 0, now(), now() FROM generate_series(1, 200)"
    )
    (one,) = harness.publications(account)
    harness.execute("DELETE FROM refresh_state")
    with harness.engine.begin() as connection:
        before = counted(connection)
        connection.execute(
            text(
                "INSERT INTO refresh_state (publication_id, account_id, next_run_at)"
                " VALUES (:one, 'acc_1', now())"
            ),
            {"one": one},
        )
        read = counted(connection) - before

    assert 0 < read["account_timers_pkey"] <= 4
