"""Queries of the operators' pages: each is bounded by a key, by the rows that it scans, or by a summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from api_stub.ops.filters import Filter
from shared.quota.pauses import PauseInForce, pauses_in_force

PAGE: Final = 50
"""Rows of a page."""
MAX_SCANNED: Final = 20_000
"""Rows that one page scans in search of matches; the page then offers to continue."""
FIRST_SCANNED: Final = 1_000
"""Rows that are scanned first: mostly they fill the page."""
LARGEST_ID: Final = 2**63 - 1
_MAX_PAUSES: Final = 100
MAX_COUNTED: Final = 10_000
"""The most rows of a filter that are counted before a bulk action; above it the page says "more than"."""

# OFFSET 0: rows are looked up one after the other, until the page is full, whatever the statistics say.
JOINS: Final = """
 CROSS JOIN LATERAL (SELECT * FROM refresh_state WHERE publication_id = f.id OFFSET 0) r
 CROSS JOIN LATERAL (SELECT * FROM post_analytics WHERE publication_id = f.id OFFSET 0) pa
 CROSS JOIN LATERAL (SELECT * FROM accounts WHERE account_id = r.account_id OFFSET 0) a
"""
PUBLICATION: Final = "CROSS JOIN LATERAL (SELECT * FROM publications WHERE id = f.id OFFSET 0) p"
COLUMNS: Final = """
SELECT p.id, p.post_id, p.platform_post_id, p.publish_id, left(p.text, 120) AS text, p.created_at,
       p.workspace_id, r.account_id, a.platform, a.name, pa.sync_status, pa.outcome, pa.outcome_detail,
       pa.last_updated_at, pa.attempted_at, r.next_run_at, r.reason, r.attempts
"""
_SUMMARY: Final = text("""
SELECT part, payload, counted_from, counted_at, now() AS now,
       EXTRACT(epoch FROM now() - counted_at) AS age, EXTRACT(epoch FROM now() - counted_from) AS oldest
  FROM ops_summary
""")
_HISTORY: Final = text("""
SELECT date_bin(make_interval(secs => :step), at, 'epoch') AS at, platform,
       avg(fresh::float8 / NULLIF(polled, 0)) AS fresh, max(oldest_overdue_seconds) AS oldest,
       jsonb_agg(outcomes) AS outcomes
  FROM ops_history WHERE at > now() - interval '24 hours'
 GROUP BY 1, 2 ORDER BY 1, 2
""")
_HISTORY_SPAN: Final = text("""
SELECT now() - min(at) < interval '2 hours' FROM ops_history WHERE at > now() - interval '24 hours'
""")
_ACCOUNTS: Final = """
SELECT account_id, workspace_id, platform, name, state, state_reason, state_changed_at, token_expires_at,
       refresh_token_expires_at
  FROM accounts
 WHERE account_id > :after AND {where}
 ORDER BY account_id LIMIT :most
"""
_SNAPSHOTS: Final = text("""
SELECT taken_at, last_seen_at, reads, sync_status, metrics FROM snapshots
 WHERE publication_id = :id ORDER BY taken_at DESC LIMIT :most
""")


_WITH_WORDS: Final = text("""
SELECT id FROM (SELECT id, text FROM publications ORDER BY id DESC LIMIT :scanned) newest
 WHERE text ILIKE :pattern ORDER BY id DESC LIMIT :most
""")
_ACCOUNTS_NAMED: Final = text("""
SELECT account_id, name, platform, state FROM accounts
 WHERE account_id ILIKE :pattern OR name ILIKE :pattern OR platform_account_id ILIKE :pattern
 ORDER BY account_id LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class PublicationPage:
    """A page of publications, and where the next one begins."""

    rows: Sequence[Row[Any]]
    more: int | None
    """The next page begins below this id (above it, the oldest first); ``None``: this is the last page."""
    scan_limit_reached: bool
    """Whether the page ends because `MAX_SCANNED` rows were scanned, not because it is full."""


def summary(connection: Connection) -> dict[str, Row[Any]]:
    """Return the parts of the summary by name; a part that was never written is missing."""
    return {row.part: row for row in connection.execute(_SUMMARY)}


def history(connection: Connection) -> tuple[Sequence[Row[Any]], int]:
    """Return the history of 24 hours in steps, and the seconds of a step: shorter while there is little."""
    young = connection.execute(_HISTORY_SPAN).scalar_one()
    step = 60 if young else 600
    return connection.execute(_HISTORY, {"step": step}).all(), step


def pauses(connection: Connection) -> list[PauseInForce]:
    """Return the pauses in force, operators' pauses first."""
    return sorted(pauses_in_force(connection), key=lambda pause: not pause.kind.by_operator)[:_MAX_PAUSES]


def publications(
    connection: Connection, wanted: Filter, *, below: int | None = None, oldest_first: bool = False
) -> PublicationPage:
    """Return a page of the filter's rows: the longest overdue first if it is about those, else the newest.

    ``oldest_first``: in the order of import; the page then begins above ``below``.
    """
    selection = wanted.selection
    by_due_time = selection.due and selection.source.startswith("refresh_state")
    overdue_first = by_due_time and below is None and not oldest_first
    order = "c.publication_id" if oldest_first else "c.publication_id DESC"
    order = "c.next_run_at, c.publication_id" if overdue_first else order
    beyond, edge = (">", "max") if oldest_first else ("<", "min")
    statement = f"""
    WITH scanned AS MATERIALIZED (
        SELECT c.publication_id AS id, row_number() OVER (ORDER BY {order}) AS place FROM {selection.source}
           AND (CAST(:below AS bigint) IS NULL OR c.publication_id {beyond} :below)
         ORDER BY {order} LIMIT :scanned
    ), found AS MATERIALIZED (
        SELECT f.id, f.place FROM scanned f {JOINS} WHERE {selection.where} ORDER BY f.place LIMIT :most
    )
    {COLUMNS}, (SELECT count(*) FROM scanned) AS seen, (SELECT {edge}(id) FROM scanned) AS lowest
      FROM (SELECT 1) one LEFT JOIN (found f {PUBLICATION} {JOINS}) ON TRUE
     ORDER BY f.place
    """
    bound = {**selection.parameters, "below": below, "most": PAGE + 1}
    for scanned in sorted({min(FIRST_SCANNED, MAX_SCANNED), MAX_SCANNED}):
        rows = connection.execute(text(statement), {**bound, "scanned": scanned}).all()
        seen, lowest = rows[0].seen, rows[0].lowest
        rows = [row for row in rows if row.id is not None]
        full, scan_limit_reached = len(rows) > PAGE, seen == scanned
        if full or not scan_limit_reached:
            break
    if overdue_first:
        # The first page has the longest overdue ones; the following go through all of them, by id.
        return PublicationPage(
            rows[:PAGE], LARGEST_ID if full or scan_limit_reached else None, scan_limit_reached=False
        )
    if full:
        return PublicationPage(rows[:PAGE], rows[PAGE - 1].id, scan_limit_reached=False)
    return PublicationPage(rows, lowest if scan_limit_reached else None, scan_limit_reached)


def count(connection: Connection, wanted: Filter) -> dict[str, int]:
    """Return how many rows the filter holds by platform, of the first `MAX_COUNTED` that are found."""
    selection = wanted.selection
    statement = f"""
    SELECT platform, count(*) AS rows FROM (
        SELECT a.platform
          FROM (SELECT c.publication_id AS id FROM {selection.source} LIMIT :scanned) f {JOINS}
         WHERE {selection.where} LIMIT :most) found
     GROUP BY 1
    """
    bound = {**selection.parameters, "scanned": MAX_SCANNED * 5, "most": MAX_COUNTED + 1}
    return {row.platform: row.rows for row in connection.execute(text(statement), bound)}


def accounts(
    connection: Connection, *, state: str = "", platform: str = "", workspace: str = "", after: str = ""
) -> Sequence[Row[Any]]:
    """Return a page of accounts and one more if there is one, by id."""
    wanted = {"state": state, "platform": platform, "workspace_id": workspace}
    where = " AND ".join(f"{name} = :{name}" for name, value in wanted.items() if value) or "TRUE"
    statement = text(_ACCOUNTS.format(where=where))
    return connection.execute(statement, {**wanted, "after": after, "most": PAGE + 1}).all()


def count_accounts(
    connection: Connection, *, state: str = "", platform: str = "", workspace: str = ""
) -> int:
    """Return how many accounts a filter holds, of the first `MAX_COUNTED`."""
    wanted = {"state": state, "platform": platform, "workspace_id": workspace}
    where = " AND ".join(f"{name} = :{name}" for name, value in wanted.items() if value) or "TRUE"
    statement = f"SELECT count(*) FROM (SELECT FROM accounts WHERE {where} LIMIT :most) found"
    return int(connection.execute(text(statement), {**wanted, "most": MAX_COUNTED + 1}).scalar_one())


def with_words(connection: Connection, words: str) -> list[int]:
    """Return the newest publications whose text has these words, among the newest `MAX_SCANNED`."""
    bound = {"pattern": _pattern(words), "scanned": MAX_SCANNED, "most": PAGE}
    return list(connection.execute(_WITH_WORDS, bound).scalars())


def accounts_named(connection: Connection, words: str) -> Sequence[Row[Any]]:
    """Return accounts whose id, name or id at the platform has these words."""
    return connection.execute(_ACCOUNTS_NAMED, {"pattern": _pattern(words), "most": PAGE}).all()


def _pattern(words: str) -> str:
    escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def snapshots(connection: Connection, publication_id: int, most: int = 500) -> Sequence[Row[Any]]:
    """Return a publication's newest snapshots, the oldest first."""
    return connection.execute(_SNAPSHOTS, {"id": publication_id, "most": most}).all()[::-1]


def database_now(connection: Connection) -> datetime:
    """Return the database's time, by which rows become due."""
    now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    return now


_ACCURACY: Final = text("""
WITH day AS (
    SELECT workspace_id, platform, CAST(sum(reads) AS float8) AS reads, sum(within) AS within
      FROM read_accuracy WHERE hour > now() - interval '1 day' GROUP BY 1, 2
), most AS (
    SELECT workspace_id, sum(reads) AS reads FROM day GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
)
SELECT workspace_id, platform, day.within / day.reads AS share
  FROM day JOIN most USING (workspace_id) ORDER BY most.reads DESC, workspace_id
""")


def accuracy(connection: Connection) -> Sequence[Row[Any]]:
    """Return the shares of reads within 5 % of the ten workspaces with most reads in the last day."""
    return connection.execute(_ACCURACY).all()
