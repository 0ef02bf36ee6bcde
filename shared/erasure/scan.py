"""The proof: a search of tables, Redis and log files for ids and names of a subject after its erasure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.erasure.identifiers import OUR_IDS, Identifiers, load
from shared.erasure.places import tombstones
from shared.erasure.places.log_files import LOG_LINES, LogFiles
from shared.erasure.places.names import rows_that_name
from shared.erasure.places.redis_keys import count as count_in_redis
from shared.erasure.schema import ACCOUNT, PUBLICATION, SEARCHED_UP_TO, WORKSPACE, Table
from shared.redis_client import RedisClient

_LOOKED_UP_AT_ONCE: Final = 1_000
# By lists of values: a join with all identifiers would read the whole history.
_BY_KEY: Final = "SELECT count(*) FROM {table} WHERE {column} = ANY(CAST(:values AS {type}[]))"
_VALUES: Final = text("""
SELECT value FROM erasure_identifiers WHERE code = :code AND kind = :kind AND value > :after
 ORDER BY value LIMIT :most
""")
_KINDS: Final = {
    PUBLICATION: ("publication", "bigint"),
    ACCOUNT: ("account", "text"),
    WORKSPACE: ("workspace", "text"),
}
_STAYS: Final = {(tombstones.TABLE, PUBLICATION): tombstones.IS_BLANK}
"""Rows that an erasure leaves, by table and key column."""
_OWN_KEY: Final = {"publications": (("id", "publication", "bigint"),)}
"""Key columns of another name."""


def scan(
    connection: Connection, client: RedisClient, logs: LogFiles | None, code: str, tables: Sequence[Table]
) -> dict[str, Any]:
    """Search everything; return when, how many tables, which by keys alone, and what was found by place."""
    matches: Counter[str] = Counter()
    for table in tables:
        matches[table.name] += _by_keys(connection, code, table)
    searched = [table for table in tables if not table.keys or table.rows <= SEARCHED_UP_TO]
    for table in searched:
        for identifiers in _identifiers(connection, code, table):
            matches[table.name] += sum(1 for _ in rows_that_name(connection, table.name, identifiers))
    for identifiers in load(connection, code):
        matches["redis"] += count_in_redis(client, identifiers)
        matches[LOG_LINES] += logs.count(identifiers) if logs else 0
    return {
        "scanned_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "tables": len(tables),
        "log_files": len(logs.files()) if logs else 0,
        "by_keys_alone": sorted({table.name for table in tables} - {table.name for table in searched}),
        "found": {place: number for place, number in sorted(matches.items()) if number},
    }


def _by_keys(connection: Connection, code: str, table: Table) -> int:
    """Count the rows with a key of the subject."""
    columns = [(key, *_KINDS[key]) for key in table.keys] + list(_OWN_KEY.get(table.name, ()))
    number = 0
    for column, kind, type_ in columns:
        statement = _BY_KEY.format(table=table.name, column=column, type=type_)
        if stays := _STAYS.get((table.name, column)):
            statement += f" AND NOT ({stays})"
        for values in _values(connection, code, kind):
            number += connection.execute(text(statement), {"values": values}).scalar_one()
    return number


def _values(connection: Connection, code: str, kind: str) -> Iterator[list[str]]:
    """Yield the identifiers of a kind, some at a time."""
    after = ""
    while True:
        bound = {"code": code, "kind": kind, "after": after, "most": _LOOKED_UP_AT_ONCE}
        values = list(connection.execute(_VALUES, bound).scalars())
        if values:
            yield values
        if len(values) < _LOOKED_UP_AT_ONCE:
            return
        after = values[-1]


def _identifiers(connection: Connection, code: str, table: Table) -> list[Identifiers]:
    """Return what to search a table's text for.

    The same page may be connected twice and two posts may name it: where rows belong to somebody by a key,
    only ids that Dravo gave count.
    """
    return list(load(connection, code, OUR_IDS) if table.keys else load(connection, code))
