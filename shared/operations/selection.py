"""Which publications an operator means: filters that all hold, and the statements that find their rows.

The operators' page, ``dravo resync`` and a bulk re-sync that is resumed later all use this one query builder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from sqlalchemy import Connection, Row, text

from shared.vocabulary import Platform, Reason, SyncStatus

TROUBLED: Final = frozenset(
    {
        Reason.RETRY,
        Reason.PAUSED,
        Reason.UNCONFIRMED,
        Reason.PROCESSING,
        Reason.STOPPED,
        Reason.BLOCKED,
        Reason.QUARANTINED,
    }
)
"""Reasons with an index of their own: their rows are found at once among ten million."""

REFRESHABLE: Final = """
(a.state = 'active' AND r.reason NOT IN ('quarantined', 'blocked')
 AND coalesce(p.platform_post_id, p.publish_id) IS NOT NULL)
"""
"""Condition: the row can be refreshed. Others wait for an operator, their account's owner or their id."""

SCANNED_AT_ONCE: Final = 20_000
"""Rows that one statement goes through in search of selected ones: this bounds its duration."""

_NEXT: Final = """
WITH scanned AS MATERIALIZED (
    SELECT c.publication_id AS id FROM {source} AND c.publication_id > :after
     ORDER BY c.publication_id LIMIT :scanned_at_most
), selected AS MATERIALIZED (
    SELECT p.id, a.workspace_id, {refreshable} AS refreshable
      FROM scanned f
      JOIN publications p ON p.id = f.id
      JOIN refresh_state r ON r.publication_id = f.id
      JOIN post_analytics pa ON pa.publication_id = f.id
      JOIN accounts a ON a.account_id = r.account_id
     WHERE {where} ORDER BY p.id LIMIT :most
)
SELECT s.id, s.workspace_id, s.refreshable, now() AS requested_at,
       (SELECT count(*) FROM scanned) AS scanned, (SELECT max(id) FROM scanned) AS highest
  FROM (SELECT 1) one LEFT JOIN selected s ON TRUE ORDER BY s.id
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters on publications: values of one filter are alternatives, and all filters must hold.

    Without any filter it selects every publication.
    """

    ids: tuple[int, ...] | None = None
    """Publication ids; ``None``: any, unlike an empty tuple, which selects nothing."""
    accounts: tuple[str, ...] = ()
    platforms: tuple[Platform, ...] = ()
    workspaces: tuple[str, ...] = ()
    statuses: tuple[SyncStatus, ...] = ()
    reasons: tuple[Reason, ...] = ()
    outcomes: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    """Details of the last attempt, word for word, of which the first 200 characters are compared."""
    due: bool = False
    """Only rows whose next run has come."""
    within: int | None = None
    """Only rows whose last attempt ended at most so many seconds ago."""
    created_from: datetime | None = None
    created_before: datetime | None = None
    """Exclusive."""

    @property
    def source(self) -> str:
        """The table and condition, as ``c``, that find its rows by the narrowest index that has them all."""
        if self.ids is not None:
            return "refresh_state c WHERE c.publication_id = ANY(:ids)"
        if self.accounts:
            return f"refresh_state c WHERE {_one_of('c.account_id', 'accounts', self.accounts)}"
        if self.workspaces:
            return (
                "refresh_state c WHERE c.account_id = ANY(ARRAY(SELECT account_id FROM accounts"
                f" WHERE {_one_of('workspace_id', 'workspaces', self.workspaces)}))"
            )
        if self.reasons and TROUBLED.issuperset(self.reasons):
            # As constants: the planner uses a partial index only for a condition that it can read.
            return f"refresh_state c WHERE c.reason IN ({_constants(self.reasons)})"
        if self.statuses and SyncStatus.SYNCED not in self.statuses:
            return f"post_analytics c WHERE c.sync_status IN ({_constants(self.statuses)})"
        if self.due:
            return "refresh_state c WHERE c.next_run_at <= now()"
        return "refresh_state c WHERE TRUE"

    @property
    def where(self) -> str:
        """The condition that holds for its rows alone.

        It refers to the tables ``r`` (refresh_state), ``pa`` (post_analytics) and ``a`` (accounts), and to
        ``p`` (publications) only with filters on the creation instant.
        """
        conditions = (
            (self.ids is not None, "r.publication_id = ANY(:ids)"),
            (self.accounts, _one_of("r.account_id", "accounts", self.accounts)),
            (self.platforms, _one_of("a.platform", "platforms", self.platforms)),
            (self.workspaces, _one_of("a.workspace_id", "workspaces", self.workspaces)),
            (self.statuses, _one_of("pa.sync_status", "statuses", self.statuses)),
            (self.reasons, _one_of("r.reason", "reasons", self.reasons)),
            (self.outcomes, _one_of("pa.outcome", "outcomes", self.outcomes)),
            (self.causes, _one_of("left(pa.outcome_detail, 200)", "causes", self.causes)),
            (self.due, "r.next_run_at <= now()"),
            (self.within is not None, "pa.attempted_at > now() - make_interval(secs => :within)"),
            (self.created_from, "p.created_at >= :created_from"),
            (self.created_before, "p.created_at < :created_before"),
        )
        return " AND ".join(condition for is_set, condition in conditions if is_set) or "TRUE"

    @property
    def parameters(self) -> dict[str, Any]:
        """The bind parameters of `source` and `where`."""
        lists = {name: getattr(self, name) for name in _LISTS.values()}
        return {
            **{
                name: values[0] if len(values) == 1 else list(values)
                for name, values in lists.items()
                if values
            },
            "ids": None if self.ids is None else list(self.ids),
            "within": self.within,
            "created_from": self.created_from,
            "created_before": self.created_before,
        }

    def to_audit(self) -> dict[str, Any]:
        """Return the selection as the audit log stores it; `from_audit` reads it back."""
        subject: dict[str, Any] = {} if self.ids is None else {"publications": list(self.ids)}
        for name, attribute in _LISTS.items():
            values = [str(value) for value in getattr(self, attribute)]
            if values:
                subject[name] = values[0] if len(values) == 1 else values
        if self.due:
            subject["due"] = "1"
        if self.within is not None:
            subject["within"] = str(self.within)
        for name, instant in (("from", self.created_from), ("before", self.created_before)):
            if instant is not None:
                subject[name] = instant.isoformat()
        return subject or {"all": "all"}

    @classmethod
    def from_audit(cls, subject: Mapping[str, Any]) -> Self:
        """Return the selection that an audit entry stores. Raises `ValueError` if it stores none."""
        known = {*_LISTS, "publications", "due", "within", "from", "before", "all"}
        if not subject or set(subject) - known:
            raise ValueError("the entry does not store a selection of publications")
        lists = {name: _tuple(subject.get(name, ())) for name in _LISTS}
        within, ids = subject.get("within"), subject.get("publications")
        first, before = subject.get("from"), subject.get("before")
        return cls(
            ids=None if ids is None else tuple(int(one) for one in ids),
            accounts=lists["account"],
            platforms=tuple(Platform(one) for one in lists["platform"]),
            workspaces=lists["workspace"],
            statuses=tuple(SyncStatus(one) for one in lists["status"]),
            reasons=tuple(Reason(one) for one in lists["reason"]),
            outcomes=lists["outcome"],
            causes=lists["cause"],
            due=bool(subject.get("due")),
            within=None if within is None else int(within),
            created_from=_instant(first),
            created_before=_instant(before),
        )


_LISTS: Final[Mapping[str, str]] = {
    "account": "accounts",
    "platform": "platforms",
    "workspace": "workspaces",
    "status": "statuses",
    "reason": "reasons",
    "outcome": "outcomes",
    "cause": "causes",
}
"""Filters with alternatives: the name in the audit log, and the attribute."""


def next_rows(
    connection: Connection, selection: Selection, *, after: int, most: int
) -> tuple[Sequence[Row[Any]], int | None]:
    """Return the next selected rows with ids above ``after``, and after which id to continue, if at all.

    A row has ``id``, ``workspace_id``, ``refreshable`` and ``requested_at`` (the transaction's time).
    """
    statement = _NEXT.format(source=selection.source, where=selection.where, refreshable=REFRESHABLE)
    bound = {"after": after, "scanned_at_most": SCANNED_AT_ONCE, "most": most}
    matches = connection.execute(text(statement), {**selection.parameters, **bound}).all()
    rows = [row for row in matches if row.id is not None]
    if len(rows) == most:
        return rows, int(rows[-1].id)
    return rows, matches[0].highest if matches[0].scanned == SCANNED_AT_ONCE else None


def _one_of(column: str, name: str, values: Sequence[str]) -> str:
    # With =, an index on (column, x) also gives the order of x; with ANY it does not.
    return f"{column} = :{name}" if len(values) == 1 else f"{column} = ANY(:{name})"


def _constants(values: Sequence[Reason] | Sequence[SyncStatus]) -> str:
    return ", ".join(f"'{value.value}'" for value in values)


def _tuple(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(one) for one in value)


def _instant(value: Any) -> datetime | None:
    if value is None:
        return None
    instant = datetime.fromisoformat(value)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
