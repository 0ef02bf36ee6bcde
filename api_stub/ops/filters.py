"""The filters of the operators' page: parsed from a query string or a form, and rendered into links."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final, Self
from urllib.parse import urlencode

from shared.operations.selection import Selection
from shared.vocabulary import Platform, Reason, SyncStatus

_MAX_LENGTH: Final = 500
_ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "platform": frozenset(Platform),
    "status": frozenset(SyncStatus),
    "reason": frozenset(Reason),
    "due": frozenset({"1"}),
}


class FilterError(ValueError):
    """A filter has an invalid value; the message is shown to the operator."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Filters on publications that must all match; an empty one matches every row."""

    platform: str = ""
    status: str = ""
    reason: str = ""
    outcome: str = ""
    cause: str = ""
    """The exact detail of the last attempt."""
    account: str = ""
    workspace: str = ""
    due: str = ""
    """``1``: only rows that are due."""
    within: str = ""
    """Only rows whose last attempt ended so many seconds ago, or fewer."""

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Self:
        """Return the filter in a query string or a form. Raises `FilterError`."""
        values = {field.name: parameters.get(field.name, "").strip() for field in fields(cls)}
        for name, value in values.items():
            allowed = _ALLOWED.get(name)
            if value and allowed is not None and value not in allowed:
                raise FilterError(f"{name} must be one of: {', '.join(sorted(allowed))}")
            if len(value) > _MAX_LENGTH or "\0" in value:
                raise FilterError(f"{name} may have at most {_MAX_LENGTH} characters, and no NUL")
        within = values["within"]
        if within and not (within.isascii() and within.isdigit() and 0 < int(within) <= 86_400):
            raise FilterError("within must be a number of seconds, up to a day")
        return cls(**values)

    @property
    def active(self) -> dict[str, str]:
        """The filters that are set, by name."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name))}

    @property
    def query(self) -> str:
        """The filter as a query string."""
        return urlencode(self.active)

    def with_changes(self, **changes: str) -> Self:
        """Return this filter with some of its values changed."""
        return replace(self, **changes)

    @property
    def selection(self) -> Selection:
        """The publications that the filter selects."""
        return Selection(
            accounts=(self.account,) if self.account else (),
            platforms=(Platform(self.platform),) if self.platform else (),
            workspaces=(self.workspace,) if self.workspace else (),
            statuses=(SyncStatus(self.status),) if self.status else (),
            reasons=(Reason(self.reason),) if self.reason else (),
            outcomes=(self.outcome,) if self.outcome else (),
            causes=(self.cause,) if self.cause else (),
            due=bool(self.due),
            within=int(self.within) if self.within else None,
        )
