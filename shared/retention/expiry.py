"""Rows that go in batches: small tables, platforms with shorter limits, gone posts, old accounts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, text

from shared.accounts import states
from shared.erasure import requests, subject
from shared.refresh_state import ingest as refresh_state
from shared.retention.policy import DataClass, Group, Limit, Retention
from shared.retention.roll_up import members

BATCH: Final = 10_000
"""The most rows of one transaction."""
ACCOUNTS_AT_ONCE: Final = 20

_DELETE: Final = """
WITH doomed AS (SELECT t.tableoid AS part, t.ctid AS place FROM {source} WHERE {condition} LIMIT :most)
DELETE FROM {table} AS t USING doomed WHERE t.tableoid = doomed.part AND t.ctid = doomed.place
"""
# By the primary key: to find places by their address, the whole history would be read. The age once more: a
# refresh may have confirmed the reading while this statement waited for it.
_DELETE_HISTORY: Final = """
WITH doomed AS (SELECT t.publication_id, t.taken_at FROM {source} LIMIT :most)
DELETE FROM {table} AS t USING doomed
 WHERE t.publication_id = doomed.publication_id AND t.taken_at = doomed.taken_at AND {old}
"""
_OLD: Final = "t.last_seen_at < now() - CAST(:limit AS interval)"
_OF_ACCOUNTS: Final = (
    "accounts a JOIN publications p ON p.account_id = a.account_id JOIN {table} t ON t.publication_id = p.id"
)


@dataclass(frozen=True, slots=True)
class Unit:
    """One kind of rows that expire; runs once a period until a batch is not full."""

    name: str
    kind: DataClass
    period: timedelta
    run: Callable[[Connection], int]
    """Removes one batch and returns how many rows it removed; a full batch is followed by another."""
    full: int


def units(policy: Retention) -> list[Unit]:
    """Return everything that goes row by row under this policy."""
    all_units = [
        Unit(table, kind, _DAILY, _plain(table, column, policy.of(kind)), BATCH)
        for kind, table, column in SMALL
    ]
    for kind, tables in HISTORY.items():
        for group, limit in policy.shorter(kind).items():
            all_units += [
                Unit(f"{table} {group}", kind, _HOURLY, _history(table, group, limit), BATCH)
                for table in tables
            ]
    for group in Group:
        for kind, (of_group, full) in _OF_GROUP.items():
            limit_of_kind = policy.of(kind, group)
            if limit_of_kind is not None:
                all_units.append(Unit(f"{kind} {group}", kind, _HOURLY, of_group(group, limit_of_kind), full))
    return all_units


SMALL: Final = (
    (DataClass.EVENTS, "events_seen", "received_at"),
    (DataClass.EVENTS, "signals", "processed_at"),
    (DataClass.AUDIT, "operator_acts", "ended_at"),
)
_HOURLY: Final = timedelta(hours=1)
_DAILY: Final = timedelta(days=1)
_GONE_AT_ONCE: Final = 10
HISTORY: Final = {
    DataClass.READINGS: ("snapshots",),
    DataClass.DAILY: ("daily_snapshots", "last_snapshots"),
}


def _plain(table: str, column: str, limit: Limit) -> Callable[[Connection], int]:
    statement = text(
        _DELETE.format(
            table=table, source=f"{table} t", condition=f"t.{column} < now() - CAST(:limit AS interval)"
        )
    )

    def run(connection: Connection) -> int:
        if limit is None:
            return 0
        return connection.execute(statement, {"limit": limit, "most": BATCH}).rowcount

    return run


def old_readings(table: str, group: Group) -> str:
    """Return what stands after FROM for a group's readings that were last confirmed before ``:limit``."""
    return f"{_OF_ACCOUNTS.format(table=table)} WHERE {members(group)} AND {_OLD}"


def _history(table: str, group: Group, limit: timedelta) -> Callable[[Connection], int]:
    """Delete readings whose last confirmation is older than a platform allows, the newest one included."""
    statement = text(_DELETE_HISTORY.format(table=table, source=old_readings(table, group), old=_OLD))
    return lambda connection: connection.execute(statement, {"limit": limit, "most": BATCH}).rowcount


# The row stays, so that the post is known to be gone and is not imported as a new one.
GONE: Final = """
  FROM post_analytics n
  JOIN publications p ON p.id = n.publication_id JOIN accounts a ON a.account_id = p.account_id
 WHERE n.outcome = 'gone' AND n.sync_status <> 'requires_reconnect' AND {members}
   AND (p.text IS NOT NULL OR n.metrics <> '{{}}'
        OR EXISTS (SELECT FROM snapshots s WHERE s.publication_id = p.id)
        OR EXISTS (SELECT FROM daily_snapshots s WHERE s.publication_id = p.id)
        OR EXISTS (SELECT FROM last_snapshots s WHERE s.publication_id = p.id))
"""
"""The posts of a group that are gone and still have text or counters."""
_GONE_IDS: Final = f"""
SELECT n.publication_id {GONE}
   AND n.attempted_at < now() - CAST(:limit AS interval)
 ORDER BY n.publication_id LIMIT :most
"""
_STILL_GONE: Final = text("""
SELECT publication_id FROM post_analytics WHERE publication_id = ANY(:ids) AND outcome = 'gone'
""")
_PURGE: Final = (
    text("UPDATE publications SET text = NULL WHERE id = ANY(:ids)"),
    text("UPDATE post_analytics SET metrics = '{}', snapshot_at = NULL WHERE publication_id = ANY(:ids)"),
    text("DELETE FROM snapshots WHERE publication_id = ANY(:ids)"),
    text("DELETE FROM daily_snapshots WHERE publication_id = ANY(:ids)"),
    text("DELETE FROM last_snapshots WHERE publication_id = ANY(:ids)"),
)


def _gone(group: Group, limit: timedelta) -> Callable[[Connection], int]:
    """Remove text and counters of posts that their platform confirmed as gone."""
    statement = text(_GONE_IDS.format(members=members(group)))

    def run(connection: Connection) -> int:
        candidates = list(connection.execute(statement, {"limit": limit, "most": _GONE_AT_ONCE}).scalars())
        # A refresh by hand may find the post again meanwhile: only a statement that begins when the rows are
        # locked sees that.
        refresh_state.lock(connection, candidates)
        ids = list(connection.execute(_STILL_GONE, {"ids": candidates}).scalars())
        for purge in _PURGE:
            connection.execute(purge, {"ids": ids})
        return len(ids)

    return run


_OLD_ACCOUNTS: Final = """
SELECT a.account_id FROM accounts a
 WHERE a.state = 'disconnected' AND a.erasure IS NULL AND {members}
   AND a.state_changed_at <= now() - CAST(:limit AS interval)
 ORDER BY a.state_changed_at LIMIT :most
"""


def _disconnected(group: Group, limit: timedelta) -> Callable[[Connection], int]:
    """Request the erasure of accounts that were disconnected long enough ago."""
    statement = text(_OLD_ACCOUNTS.format(members=members(group)))

    def run(connection: Connection) -> int:
        ids = list(connection.execute(statement, {"limit": limit, "most": ACCOUNTS_AT_ONCE}).scalars())
        states.lock(connection, ids)
        for account_id in (
            connection.execute(statement, {"limit": limit, "most": ACCOUNTS_AT_ONCE}).scalars().all()
        ):
            erased = subject.account(connection, account_id)
            if erased is not None:
                requests.request(connection, erased, "retention")
        return len(ids)

    return run


_OF_GROUP: Final[
    Mapping[DataClass, tuple[Callable[[Group, timedelta], Callable[[Connection], int]], int]]
] = {
    DataClass.GONE: (_gone, _GONE_AT_ONCE),
    DataClass.DISCONNECTED: (_disconnected, ACCOUNTS_AT_ONCE),
}
