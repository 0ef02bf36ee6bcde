"""The estimate of a re-sync before it runs: rows, calls to platforms, dollars where a platform charges."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Any

from sqlalchemy import Connection, Row, text

from shared.batches import BATCH_SIZE, IDS_PER_INSTAGRAM_LOGIN_CALL, LINKEDIN_MEMBER_CALLS
from shared.operations.selection import REFRESHABLE, Selection
from shared.quota.spending import BILLABLE_TODAY, dollars
from shared.settings import Settings
from shared.vocabulary import Platform

_COUNTS = f"""
SELECT a.platform, a.login, a.kind, count(*) AS rows, count(*) FILTER (WHERE {REFRESHABLE}) AS refreshable,
       count(*) FILTER (WHERE {REFRESHABLE} AND p.platform_post_id IS NULL) AS unresolved,
       count(*) FILTER (WHERE {REFRESHABLE} AND {BILLABLE_TODAY}) AS unread_today
  FROM publications p
  JOIN accounts a ON a.account_id = p.account_id
  JOIN post_analytics pa ON pa.publication_id = p.id
  JOIN refresh_state r ON r.publication_id = p.id
 WHERE {{where}} AND p.id > :after
 GROUP BY p.account_id, a.platform, a.login, a.kind
"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The number of selected rows and the cost of fetching each of them once."""

    rows: int
    refreshable: int
    calls: int
    """HTTP calls to platforms when every batch of an account is full."""
    dollars: float

    @property
    def unavailable(self) -> int:
        """Rows that cannot be refreshed: account to be reconnected, in quarantine, or platform id unknown."""
        return self.rows - self.refreshable


def estimate(connection: Connection, selection: Selection, settings: Settings, *, after: int = 0) -> Estimate:
    """Count the selected rows with ids above ``after``, and the calls and dollars of one fetch of each."""
    statement = text(_COUNTS.format(where=selection.where))
    accounts = connection.execute(statement, {**selection.parameters, "after": after})
    return _sum(accounts, settings)


def _sum(accounts: Iterable[Row[Any]], settings: Settings) -> Estimate:
    rows = refreshable = calls = posts = 0
    for account in accounts:
        rows += account.rows
        refreshable += account.refreshable
        calls += _calls(account)
        if account.platform == Platform.X:
            posts += account.unread_today
    return Estimate(rows, refreshable, calls, dollars(posts, settings))


def _calls(account: Row[Any]) -> int:
    if account.platform == Platform.LINKEDIN and account.kind == "member":
        return int(account.refreshable * LINKEDIN_MEMBER_CALLS)
    size = BATCH_SIZE[Platform(account.platform)]
    if account.login == "instagram":
        size = IDS_PER_INSTAGRAM_LOGIN_CALL
    return int(ceil(account.refreshable / size) + account.unresolved)
