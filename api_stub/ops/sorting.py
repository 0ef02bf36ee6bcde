"""The orders of the list of publications that no index keeps: those rows are sorted that one scan finds.

The list itself goes through all rows by id, the newest or the oldest first. Another order sorts the first
`queries.MAX_SCANNED` rows of the filter, so that a page costs the same among a thousand and ten million.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from api_stub.ops.filters import Filter
from api_stub.ops.queries import COLUMNS, JOINS, MAX_SCANNED, PAGE, PUBLICATION, PublicationPage
from shared.vocabulary import SyncStatus

_WORST_FIRST: Final = (
    SyncStatus.FAILED,
    SyncStatus.REQUIRES_RECONNECT,
    SyncStatus.PARTIAL,
    SyncStatus.PENDING,
    SyncStatus.SYNCED,
)
_STATUSES: Final = ", ".join(f"'{status.value}'" for status in _WORST_FIRST)


@dataclass(frozen=True, slots=True)
class Order:
    """One order of the list."""

    label: str
    """What comes first, for people."""
    key: str
    """The expression that rows are sorted by; those that are equal are the newest first."""
    by_due_time: bool = False
    """Whether the scan begins with the rows that have been due for longest."""


ORDERS: Final[Mapping[str, Order]] = {
    "late": Order("the longest overdue first", "r.next_run_at NULLS LAST", by_due_time=True),
    "status": Order("the worst status first", f"array_position(ARRAY[{_STATUSES}], pa.sync_status::text)"),
    "platform": Order("by platform", "a.platform"),
    "attempt": Order("the latest attempt first", "pa.attempted_at DESC NULLS LAST"),
    "fetched": Order("the longest not fetched first", "pa.last_updated_at NULLS FIRST"),
}
"""The orders by their name in the query string; ``oldest`` and no name are those of `queries`."""


def sorted_publications(
    connection: Connection, wanted: Filter, order: Order, *, skip: int
) -> PublicationPage:
    """Return a page of the filter's rows in an order; its ``more`` is how many rows the next one skips."""
    selection = wanted.selection
    by_due_time = order.by_due_time and selection.source.startswith("refresh_state")
    scan = "c.next_run_at, c.publication_id" if by_due_time else "c.publication_id DESC"
    statement = f"""
    WITH scanned AS MATERIALIZED (
        SELECT c.publication_id AS id FROM {selection.source} ORDER BY {scan} LIMIT :scanned
    ), found AS MATERIALIZED (
        SELECT f.id, row_number() OVER (ORDER BY {order.key}, f.id DESC) AS place
          FROM scanned f {JOINS} WHERE {selection.where} ORDER BY place LIMIT :most OFFSET :skip
    )
    {COLUMNS}, (SELECT count(*) FROM scanned) AS seen
      FROM (SELECT 1) one LEFT JOIN (found f {PUBLICATION} {JOINS}) ON TRUE
     ORDER BY f.place
    """
    bound = {**selection.parameters, "scanned": MAX_SCANNED, "most": PAGE + 1, "skip": skip}
    rows = connection.execute(text(statement), bound).all()
    scan_limit_reached = rows[0].seen == MAX_SCANNED
    rows = [row for row in rows if row.id is not None]
    return PublicationPage(rows[:PAGE], skip + PAGE if len(rows) > PAGE else None, scan_limit_reached)
