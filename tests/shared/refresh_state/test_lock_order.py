"""Statements over several rows lock them in one order, so that two of them never wait for each other."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, text

from shared.accounts import reseal, states
from shared.changes import maintenance
from shared.ingestion.importer import import_accounts
from shared.operations.audit_log import Operator
from shared.operations.quarantine import release_from_quarantine
from shared.outcome_kinds import OutcomeKind
from shared.quota import pauses
from shared.quota.pauses import PauseKey
from shared.refresh_queue import RefreshJob
from shared.refresh_state import ingest
from shared.refresh_state.finish import NextRun, finish, lock_claims
from shared.refresh_state.make_due import make_due
from shared.refresh_state.release_claim import release_claim
from shared.refresh_state.replan import replan
from shared.retention import roll_up
from shared.vocabulary import PauseKind, Reason, SyncStatus
from tests.harness import Harness
from tests.shared.ingestion.rows import VAULT, account
from worker.claims import StartedRow, extend, start
from worker.outcomes.outcome import Outcome
from worker.readings import Publication
from worker.record import record

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
SECONDS = timedelta(seconds=60)
SHUFFLED = (
    # Without an index the rows come as they lie in the table: the lowest id last.
    "SET LOCAL enable_indexscan = off",
    "SET LOCAL enable_indexonlyscan = off",
    "SET LOCAL enable_bitmapscan = off",
    "SET LOCAL enable_mergejoin = off",
    "SET LOCAL lock_timeout = '5s'",
)
PUT = """
UPDATE refresh_state SET reason = :reason, next_run_at = CAST(:at AS timestamptz), claim_seq = 4,
       claimed_at = CAST(:claimed AS timestamptz)
 WHERE publication_id = ANY(:ids)
"""
WAITS = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = :pid"
Id = TypeVar("Id", int, str)


def rows_of(table: str, key: str) -> tuple[str, str]:
    """Return the statement that locks a row, and the one that finds which rows nobody has locked."""
    return (
        f"SELECT 1 FROM {table} WHERE {key} = :id FOR UPDATE",
        f"SELECT {key} FROM {table} WHERE {key} = ANY(:ids) FOR UPDATE SKIP LOCKED",
    )


OF_ROWS = rows_of("refresh_state", "publication_id")
OF_ACCOUNTS = rows_of("accounts", "account_id")


def started(one: int) -> StartedRow:
    publication = Publication(one, None, None, None, NOW)
    return StartedRow(publication, 4, 1, 1, None, SyncStatus.PENDING, {}, (), None, None)


def outcome(one: int) -> Outcome:
    return Outcome(started(one), OutcomeKind.RETRY, Reason.RETRY, NOW, attempts=1)


ADA = Operator("ada", "command")
STATEMENTS: dict[str, tuple[str, Callable[[Connection, list[int]], object]]] = {
    "make_due": (
        "stale",
        lambda connection, ids: make_due(connection, "ws_1", ids, Reason.MANUAL),
    ),
    "start": (
        "claimed",
        lambda connection, ids: start(
            connection, RefreshJob("acc_1", tuple((one, 4) for one in ids)), SECONDS
        ),
    ),
    "extend": (
        "claimed",
        lambda connection, ids: extend(connection, [started(one) for one in ids], [], SECONDS),
    ),
    "record": (
        "claimed",
        lambda connection, ids: record(connection, "ws_1", [outcome(one) for one in ids]),
    ),
    "finish": (
        "claimed",
        lambda connection, ids: finish(
            connection, [NextRun(one, 4, NOW, Reason.STALE, 0, None) for one in ids]
        ),
    ),
    "lock of claims": (
        "claimed",
        lambda connection, ids: lock_claims(connection, [(one, 4) for one in ids]),
    ),
    "release of claims": (
        "claimed",
        lambda connection, ids: release_claim(
            connection, [RefreshJob("acc_1", tuple((one, 4) for one in ids))]
        ),
    ),
    "require_reconnect": (
        "claimed",
        lambda connection, _: states.require_reconnect(connection, "ws_1", "acc_1", "Reconnect."),
    ),
    "reconnect": (
        "blocked",
        lambda connection, _: states.reconnect(connection, "ws_1", "acc_1"),
    ),
    "end of a pause": (
        "paused",
        lambda connection, _: pauses.make_deferred_due(connection, PauseKey("*", PauseKind.ACCOUNT, "acc_1")),
    ),
    "arrival of ids": (
        "stopped",
        lambda connection, ids: ingest.lock(connection, ids),
    ),
    "replanning": (
        "stale",
        lambda connection, ids: replan(connection, dict.fromkeys(ids, datetime.now(UTC))),
    ),
    "release from quarantine": (
        "quarantined",
        lambda connection, ids: release_from_quarantine(connection, ADA, ids),
    ),
}


def test_every_statement_over_several_rows_locks_the_lowest_id_first(harness: Harness) -> None:
    account_id = harness.account("acc_1")
    later = datetime.now(UTC) + timedelta(hours=1)
    ids = harness.publications(account_id, 3, next_run_at=later, claim_seq=4, claimed_at=NOW)
    first, *others = ids
    for name, (reason, statement) in STATEMENTS.items():
        states = "requires_reconnect" if name == "reconnect" else "active"
        harness.execute("UPDATE accounts SET state = :state", state=states)
        values = {
            "reason": reason,
            "at": None if reason in {"blocked", "quarantined", "stopped"} else later,
            "claimed": NOW if reason == "claimed" else None,
        }
        for some in (others, [first]):  # what is written last lies last in the table
            harness.execute(PUT, **values, ids=some)
            # A statement that joins both tables may take their rows in the order of either.
            harness.execute("UPDATE publications SET text = 'written' WHERE id = ANY(:ids)", ids=some)

        assert (name, locked_while_waiting_for(harness, OF_ROWS, first, ids, statement)) == (name, [])


ACCOUNTS: dict[str, Callable[[Connection, list[str]], object]] = {
    "lock of states": states.lock,
    "hold of states": states.lock_shared,
    "import of accounts": lambda connection, ids: import_accounts(
        connection, VAULT, [account(account_id=one, platform_account_id=f"pa_{one}") for one in ids]
    ),
    "re-sealing": lambda connection, ids: connection.execute(reseal._LOCKED, {"ids": ids}),
    "renumbering of a dump": lambda connection, _: maintenance.renumber(connection),
    "fill of the feed": lambda connection, _: connection.execute(maintenance._ACCOUNTS, {"rows": 9}),
}
CHANGED = """
ALTER TABLE accounts DISABLE TRIGGER USER;
UPDATE accounts SET changed_in = {};
ALTER TABLE accounts ENABLE TRIGGER USER
"""


def test_every_statement_over_several_accounts_locks_the_lowest_id_first(harness: Harness) -> None:
    ids = [harness.account(f"acc_{number}") for number in (1, 2, 3)]
    for some in (ids[1:], ids[:1]):  # what is written last lies last in the table
        harness.execute("UPDATE accounts SET name = 'written' WHERE account_id = ANY(:ids)", ids=some)

    for name, statement in ACCOUNTS.items():
        harness.execute(CHANGED.format("NULL" if name == "fill of the feed" else "'9000000000'"))
        locked = locked_while_waiting_for(harness, OF_ACCOUNTS, ids[0], ids, statement)
        assert (name, locked) == (name, [])


OTHERS: dict[str, tuple[tuple[str, str], Callable[[Connection, list[int]], object]]] = {
    "roll-up": (
        rows_of("publications", "id"),
        lambda connection, ids: connection.execute(roll_up._EXISTING, {"ids": ids}),
    ),
    "renumbering of a dump": (
        rows_of("changes", "publication_id"),
        lambda connection, _: maintenance.renumber(connection),
    ),
}


def test_statements_of_maintenance_lock_the_lowest_id_first(harness: Harness) -> None:
    first, *others = ids = harness.publications(harness.account("acc_1"), 3)
    harness.execute(CHANGED.format("'1'"))
    for some in (others, [first]):  # what is written last lies last in the table
        harness.execute("UPDATE publications SET text = 'written' WHERE id = ANY(:ids)", ids=some)
        harness.execute(
            "UPDATE changes SET changed_in = '9000000000' WHERE publication_id = ANY(:ids)", ids=some
        )

    for name, (of, statement) in OTHERS.items():
        assert (name, locked_while_waiting_for(harness, of, first, ids, statement)) == (name, [])


def test_maintenance_does_not_wait_for_sessions_that_refer_to_its_rows(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 2)
    harness.execute(CHANGED.format("NULL"))
    with harness.engine.begin() as other, harness.engine.begin() as acting:
        for table in ("accounts", "publications"):
            other.execute(text(f"SELECT FROM {table} FOR KEY SHARE"))
        acting.exec_driver_sql("SET LOCAL lock_timeout = '1s'")

        assert acting.execute(roll_up._EXISTING, {"ids": ids}).scalars().all() == ids
        assert acting.execute(maintenance._ACCOUNTS, {"rows": 9}).rowcount == 1


def locked_while_waiting_for(
    harness: Harness,
    of: tuple[str, str],
    first: Id,
    ids: list[Id],
    statement: Callable[[Connection, list[Id]], object],
) -> list[Id]:
    """Run a statement while another transaction has the first row; return what it locked before it waits.

    ``of``: the statement that locks the first row, and the one that finds which rows nobody has locked.
    """
    lock, lockable_of = of
    with (
        harness.engine.connect() as holder,
        harness.engine.connect() as acting,
        harness.engine.connect() as watching,
    ):
        holder.execute(text(lock), {"id": first})
        for setting in SHUFFLED:
            acting.exec_driver_sql(setting)
        pid = acting.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        thread = threading.Thread(target=statement, args=(acting, list(reversed(ids))))
        thread.start()
        while thread.is_alive() and not watching.execute(text(WAITS), {"pid": pid}).scalar_one():
            watching.rollback()  # the next look sees the present
        assert thread.is_alive(), "it never asked for the row"
        lockable = set(watching.execute(text(lockable_of), {"ids": ids}).scalars())
        holder.rollback()
        watching.rollback()
        thread.join()
        acting.rollback()
    return [one for one in ids if one not in lockable and one != first]
