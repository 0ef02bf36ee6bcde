"""How long the oldest row of each class and platform has been beyond its limit."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from shared.bounded import within
from shared.retention import months
from shared.retention.expiry import GONE, HISTORY, SMALL
from shared.retention.policy import DataClass, Group, Retention
from shared.retention.roll_up import members

_PARTITIONED: Final = ((DataClass.READINGS, months.READINGS), (DataClass.DAILY, months.DAILY))
# The oldest reading of a publication is the first one by its primary key: no history is read.
_OLDEST_READING: Final = """
SELECT min(o.last_seen_at) FROM accounts a JOIN publications p ON p.account_id = a.account_id
 CROSS JOIN LATERAL (SELECT t.last_seen_at FROM {table} t
                      WHERE t.publication_id = p.id ORDER BY t.taken_at LIMIT 1) o
 WHERE {members}
"""
_OLDEST_GONE: Final = f"SELECT min(n.attempted_at) {GONE}"
_OLDEST_DISCONNECTED: Final = """
SELECT min(a.state_changed_at) FROM accounts a
 WHERE a.state = 'disconnected' AND a.erasure IS NULL AND {members}
"""
_OLDEST: Final = "SELECT min({column}) FROM {table}"
_ENDED_AT: Final = text("SELECT ended_at FROM retention_runs WHERE unit = :unit")


class Overdue(NamedTuple):
    """The oldest row of a class, for all accounts or for one group."""

    kind: DataClass
    group: Group | None
    late: timedelta
    """How long it has been beyond its limit; zero: it is within."""


class _Search(NamedTuple):
    kind: DataClass
    group: Group | None
    limit: timedelta
    unit: str
    """The unit of `expiry` that removes these rows."""
    statement: str


def overdue(connection: Connection, policy: Retention) -> Iterator[Overdue]:
    """Yield every class and group that has a limit.

    Where a search takes too long, the time since everything expired was last removed stands for it; without
    such a time nothing is yielded.
    """
    now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    for kind, table in _PARTITIONED:
        limit = policy.longest(kind)
        month = months.expired(months.months(connection, table), limit, now)
        late = timedelta() if month is None or limit is None else now - limit - month.end
        for group in Group:
            if group not in policy.shorter(kind) and policy.of(kind, group) is not None:
                yield Overdue(kind, group, late)
    for search in _searches(policy):
        if (searched := _late(connection, search, now)) is not None:
            yield Overdue(search.kind, search.group, searched)


def _late(connection: Connection, search: _Search, now: datetime) -> timedelta | None:
    oldest = within(connection, lambda: connection.execute(text(search.statement)).one())
    if oldest is None:
        ended_at = connection.execute(_ENDED_AT, {"unit": search.unit}).scalar()
        return None if ended_at is None else now - ended_at
    return timedelta() if oldest[0] is None else max(now - oldest[0] - search.limit, timedelta())


def _searches(policy: Retention) -> Iterator[_Search]:
    for kind, table, column in SMALL:
        if (limit := policy.of(kind)) is not None:
            yield _Search(kind, None, limit, table, _OLDEST.format(column=column, table=table))
    for kind, tables in HISTORY.items():
        for group, limit in policy.shorter(kind).items():
            for table in tables:
                statement = _OLDEST_READING.format(table=table, members=members(group))
                yield _Search(kind, group, limit, f"{table} {group}", statement)
    for group in Group:
        for kind, statement in (
            (DataClass.GONE, _OLDEST_GONE),
            (DataClass.DISCONNECTED, _OLDEST_DISCONNECTED),
        ):
            if (limit := policy.of(kind, group)) is not None:
                yield _Search(kind, group, limit, f"{kind} {group}", statement.format(members=members(group)))
