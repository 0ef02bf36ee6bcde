"""Which rows an operator looks at: filters that all hold, the same in an address, a form and a statement."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self
from urllib.parse import urlencode

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
"""Reasons that have an index of their own: what needs a look is found at once among ten million rows."""

_LONGEST: Final = 500
_ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "platform": frozenset(Platform),
    "status": frozenset(SyncStatus),
    "reason": frozenset(Reason),
    "due": frozenset({"1"}),
}


class FilterError(ValueError):
    """A filter has a value that it cannot have; the message is for people."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Filters on publications; an empty one holds for every row."""

    platform: str = ""
    status: str = ""
    reason: str = ""
    outcome: str = ""
    cause: str = ""
    """The last attempt's detail, word for word."""
    account: str = ""
    workspace: str = ""
    due: str = ""
    """``1``: only rows that should be read by now."""
    within: str = ""
    """Only rows whose last attempt ended so many seconds ago, or fewer."""

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Self:
        """Return the filter that an address or a form names. Raises `FilterError`."""
        values = {one.name: given.get(one.name, "").strip() for one in fields(cls)}
        for name, value in values.items():
            allowed = _ALLOWED.get(name)
            if value and allowed is not None and value not in allowed:
                raise FilterError(f"{name} must be one of: {', '.join(sorted(allowed))}")
            if len(value) > _LONGEST or "\0" in value:
                raise FilterError(f"{name} may have at most {_LONGEST} characters, and no NUL")
        within = values["within"]
        if within and not (within.isascii() and within.isdigit() and 0 < int(within) <= 86_400):
            raise FilterError("within must be a number of seconds, up to a day")
        return cls(**values)

    @property
    def given(self) -> dict[str, str]:
        """The filters that are set, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name)}

    @property
    def query(self) -> str:
        """The filter as an address holds it."""
        return urlencode(self.given)

    def but(self, **changes: str) -> Self:
        """Return this filter with some of its values changed."""
        return replace(self, **changes)

    @property
    def parameters(self) -> dict[str, Any]:
        """The bind parameters of `source` and `where`."""
        return {**self.given, "within": int(self.within or 0)}

    @property
    def source(self) -> str:
        """Where its rows are looked for: the narrowest index that holds all of them, as ``c``."""
        if self.account:
            return "refresh_state c WHERE c.account_id = :account"
        if self.workspace:
            return (
                "refresh_state c WHERE c.account_id"
                " = ANY(ARRAY(SELECT account_id FROM accounts WHERE workspace_id = :workspace))"
            )
        if self.reason and self.reason in TROUBLED:
            # Written out: a partial index serves only a condition that the planner can read.
            return f"refresh_state c WHERE c.reason = '{Reason(self.reason).value}'"
        if self.status and self.status != SyncStatus.SYNCED:
            return f"post_analytics c WHERE c.sync_status = '{SyncStatus(self.status).value}'"
        if self.due:
            return "refresh_state c WHERE c.next_run_at <= now()"
        return "refresh_state c WHERE TRUE"

    @property
    def where(self) -> str:
        """The condition on ``p``, ``a``, ``pa`` and ``r`` that holds for its rows alone."""
        conditions = {
            "platform": "a.platform = :platform",
            "status": "pa.sync_status = :status",
            "reason": "r.reason = :reason",
            "outcome": "pa.outcome = :outcome",
            "cause": "left(pa.outcome_detail, 200) = :cause",
            "account": "r.account_id = :account",
            "workspace": "a.workspace_id = :workspace",
            "due": "r.next_run_at <= now()",
            "within": "pa.attempted_at > now() - make_interval(secs => :within)",
        }
        return " AND ".join(conditions[name] for name in self.given) or "TRUE"
