"""The filters that select the publications of a re-sync, as one SQL condition."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from deploy.console import UsageError
from shared.vocabulary import Platform, SyncStatus

_BARE_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters on publications: those of one kind are alternatives, and all kinds must hold."""

    ids: tuple[int, ...] | None = None
    """Publication ids; ``None``: not filtered by id."""
    accounts: tuple[str, ...] = ()
    platforms: tuple[Platform, ...] = ()
    workspaces: tuple[str, ...] = ()
    statuses: tuple[SyncStatus, ...] = ()
    created_from: datetime | None = None
    created_before: datetime | None = None
    """Exclusive."""
    after: int = 0
    """Only publications with a higher id: a stopped run continues there."""
    parameters: dict[str, object] = field(init=False)
    where: str = field(init=False)
    """A condition on ``p`` (publications) and ``pa`` (post_analytics), with ``parameters`` bound."""

    def __post_init__(self) -> None:
        filters: list[tuple[str, str, object]] = [
            ("p.id = ANY(:ids)", "ids", None if self.ids is None else list(self.ids)),
            ("p.account_id = ANY(:accounts)", "accounts", list(self.accounts) or None),
            ("p.platform = ANY(:platforms)", "platforms", [one.value for one in self.platforms] or None),
            ("p.workspace_id = ANY(:workspaces)", "workspaces", list(self.workspaces) or None),
            ("pa.sync_status = ANY(:statuses)", "statuses", [one.value for one in self.statuses] or None),
            ("p.created_at >= :created_from", "created_from", self.created_from),
            ("p.created_at < :created_before", "created_before", self.created_before),
            ("p.id > :after", "after", self.after or None),
        ]
        used = [(condition, name, value) for condition, name, value in filters if value is not None]
        object.__setattr__(self, "where", " AND ".join(condition for condition, _, _ in used) or "TRUE")
        object.__setattr__(self, "parameters", {name: value for _, name, value in used})


def first_instant(value: str, option: str) -> datetime:
    """Return the instant of a value of ``--from``; a bare date is its UTC midnight."""
    return _parse(value, option)


def end_instant(value: str, option: str) -> datetime:
    """Return the first instant after a value of ``--to``: a bare date means the whole UTC day."""
    step = timedelta(days=1) if _BARE_DATE.fullmatch(value) else timedelta(microseconds=1)
    try:
        return _parse(value, option) + step
    except OverflowError:
        raise _not_an_instant(option) from None


def _parse(value: str, option: str) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _not_an_instant(option) from None


def _not_an_instant(option: str) -> UsageError:
    return UsageError(f"{option} must be a date or an instant, like 2026-06-23 or 2026-06-23T10:15:30Z")
