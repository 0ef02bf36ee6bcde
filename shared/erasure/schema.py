"""Which tables hold data of a subject: derived from the database, so that a new table is not overlooked.

A table with a column ``publication_id``, ``account_id`` or ``workspace_id`` is erased by that column. Every
other table, and one that names accounts in another column as well, stands here with what an erasure does to
its rows; `unclassified` returns those that are not, and a
test fails when there is one. The scan searches them all the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, text

PUBLICATION: Final = "publication_id"
ACCOUNT: Final = "account_id"
WORKSPACE: Final = "workspace_id"
KEYS: Final = (PUBLICATION, ACCOUNT, WORKSPACE)

OWN: Final = frozenset({"erasures", "erasure_identifiers", "alembic_version"})
"""Tables of the erasure itself, and the schema's version."""


class Treatment(StrEnum):
    """What happens to a row that names a subject in a table without a key column."""

    DELETE = "delete"
    REWRITE = "rewrite"
    """The names are taken out of it."""
    RENEWED = "renewed"
    """A service replaces its rows every few seconds or minutes; the scan waits for that."""
    NOBODY = "nobody"
    """Its rows are counts and names nobody."""


TREATMENTS: Final[Mapping[str, Treatment]] = {
    "pauses": Treatment.DELETE,
    "turns": Treatment.DELETE,
    "refused_metrics": Treatment.DELETE,
    "events_seen": Treatment.DELETE,
    "operator_acts": Treatment.REWRITE,
    "signals": Treatment.DELETE,
    "webhook_notices": Treatment.DELETE,
    "webhook_refused_rows": Treatment.DELETE,
    "ops_summary": Treatment.RENEWED,
    "ops_history": Treatment.NOBODY,
    "post_reads": Treatment.NOBODY,
    "changes_backfill": Treatment.NOBODY,
    "webhook_probe": Treatment.NOBODY,
    "webhook_senders": Treatment.NOBODY,
    "retention_runs": Treatment.NOBODY,
    "growth_predictions": Treatment.NOBODY,
}

SEARCHED_UP_TO: Final = 100_000
"""Rows up to which a table with key columns is also searched for names; larger ones by their keys alone."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, not one of its partitions."""

    name: str
    keys: tuple[str, ...]
    """Its columns among `KEYS`."""
    rows: int
    """PostgreSQL's estimate; -1 before the first ANALYZE."""

    @property
    def treatment(self) -> Treatment | None:
        """What happens to its rows that name a subject; ``None``: a key finds them, or nobody said."""
        return TREATMENTS.get(self.name)


_TABLES: Final = text("""
SELECT c.relname AS name,
       COALESCE(array_agg(a.attname::text) FILTER (WHERE a.attname = ANY(:keys)), '{}') AS keys,
       c.reltuples::bigint AS rows
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT c.relispartition AND c.relname <> ALL(:own)
 GROUP BY c.oid ORDER BY c.relname
""")


def tables(connection: Connection) -> list[Table]:
    """Return every table that may hold data of a subject, in order of their names."""
    rows = connection.execute(_TABLES, {"keys": list(KEYS), "own": sorted(OWN)})
    return [Table(row.name, tuple(row.keys), int(row.rows)) for row in rows]


def unclassified(all_tables: Iterable[Table]) -> list[str]:
    """Return the tables of which nobody has said what an erasure does to them."""
    return [table.name for table in all_tables if not table.keys and table.treatment is None]
