"""Parts of the statements about timers and ready accounts, each with one index that can answer it."""

from typing import Final

from shared.driver.statement import Statement
from shared.quota.pauses import BACKGROUND_NOT_PAUSED, NOT_PAUSED
from shared.vocabulary import Lane, Platform

NUMBERS: Final = {Lane.BACKGROUND: 0, Lane.INTERACTIVE: 1}
"""The number of a lane in the tables: the least ``priority`` of a row in it."""

PLATFORMS: Final = [platform.value for platform in Platform]
_NOT_PAUSED: Final = {
    Lane.INTERACTIVE: NOT_PAUSED,
    Lane.BACKGROUND: f"{NOT_PAUSED} AND {BACKGROUND_NOT_PAUSED}",
}
_PRIORITY: Final = {Lane.INTERACTIVE: "AND s.priority > 0", Lane.BACKGROUND: ""}

# Rows are compared instead of columns, and `lane + 0` instead of `lane`, so that one index alone can answer:
# neither statistics nor a plan from the time of an empty table then makes PostgreSQL prefer another.
# `OFFSET 0` makes it look rows up one by one.
_TIMERS_OF: Final = "t.account_id = {account} AND t.lane + 0 = :lane"
_READY: Final = "r.account_id = {account} AND r.lane + 0 = :lane"
_SHARE: Final = """SELECT * FROM turns
              WHERE (scope, subject) >= ('{scope}', {subject}) AND (scope, subject) <= ('{scope}', {subject})
             OFFSET 0"""
_ACCOUNT: Final = "SELECT * FROM accounts WHERE account_id = {name}.account_id OFFSET 0"
_DUE: Final = """(t.lane, t.due_at) >= (CAST(:lane AS smallint), COALESCE(CAST(:timers_from AS timestamptz),
                                                                          '-infinity'))
       AND (t.lane, t.due_at) <= (CAST(:lane AS smallint), now())"""

_LAST_TIME: Final = """
SELECT GREATEST(:present, COALESCE({served}, 0), COALESCE((
       SELECT q.virtual_time FROM ready_accounts q
        WHERE (q.lane, q.platform, q.workspace_id, q.virtual_time)
              >= (CAST(:lane AS smallint), a.platform, a.workspace_id, CAST(:present AS float8))
          AND (q.lane, q.platform, q.workspace_id, q.virtual_time)
              < (CAST(:lane AS smallint), a.platform, a.workspace_id, CAST('Infinity' AS float8))
        ORDER BY q.lane DESC, q.platform DESC, q.workspace_id DESC, q.virtual_time DESC LIMIT 1), 0)
       ) AS virtual_time
"""
"""The virtual time of a workspace after which its next account is placed. A workspace that is new, or was
idle, begins at the present virtual time, without older credit."""

_ROWS_FROM: Final = f"""
SELECT min(rows_from) AS rows_from FROM (
       SELECT r.rows_from FROM ready_accounts r WHERE {_READY.format(account="c.account_id")}
        UNION ALL
       SELECT t.rows_from FROM account_timers t
        WHERE {_TIMERS_OF.format(account="c.account_id")} AND t.rows_from <= now()) each
"""
"""No due row of an account is earlier. A scan that begins here passes no entries of rows that moved on, which
an index keeps for as long as any session holds a snapshot. A timer that another session committed after this
transaction began is due later than ``now()``, and its rows may be earlier than all others."""

_NAMES: Final = ("c", "locked", "n", "q")
"""What statements call the rows whose accounts they look up."""


def by_lane(statement: str, served: str = "w.served", account: str = "a.account_id") -> dict[Lane, Statement]:
    """Return a statement by lane. ``served``: a virtual time; ``account``: whose last job it looks up."""
    return {
        lane: Statement(
            statement.format(
                not_paused=_NOT_PAUSED[lane],
                priority=_PRIORITY[lane],
                rows_from=_ROWS_FROM,
                due=_DUE,
                share=_SHARE.format(scope="workspace", subject="a.workspace_id"),
                share_of_workspace=_SHARE.format(scope="workspace", subject="w.workspace_id"),
                own_share=_SHARE.format(scope="account", subject=account),
                **{f"accounts_of_{name}": _ACCOUNT.format(name=name) for name in _NAMES},
                timers_of_locked=_TIMERS_OF.format(account="locked.account_id"),
                timers_of_served=_TIMERS_OF.format(account="served.account_id"),
                ready_of_full=_READY.format(account="f.account_id"),
                ready_of_served=_READY.format(account="served.account_id"),
                ready_of_placed=_READY.format(account="placed.account_id"),
                last_time=_LAST_TIME.format(served=served),
            )
        )
        for lane in Lane
    }
