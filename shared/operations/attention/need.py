"""One line of what needs an operator now."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Severity = Literal["critical", "warning"]


@dataclass(frozen=True, slots=True)
class Need:
    """One line: what is wrong, since when, what ages meanwhile, and what to do."""

    alert: str
    """The alert that fires for it, and the name of its page in the runbook."""
    severity: Severity
    cause: str
    to_do: str
    since: datetime | None = None
    """``None``: not known."""
    ageing: int | None = None
    """Publications whose numbers grow old meanwhile; ``None``: not known, or none."""
    action: str | None = None
    """What a button does: ``try`` or ``resume``."""
    subject: dict[str, str] = field(default_factory=dict)
    """``platform``, ``account`` or ``all``, where it is about one: the fields of the button's form."""
    rows: dict[str, str] = field(default_factory=dict)
    """The filter of the publications concerned, as the operators' page names it."""
    page: str | None = None
    """The page that shows it where it is not about publications, below ``/ops/``."""
