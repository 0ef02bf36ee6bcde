"""What a step touches, and so which steps can influence each other under READ COMMITTED.

Tables are found in the text of a statement, which may find too many: two steps that are independent and
treated as dependent cost a run, and no interleaving is missed.
"""

import re
from dataclasses import dataclass
from typing import Final

_TABLES: Final = (
    "accounts|publications|refresh_state|post_analytics|snapshots|publication_counts|pauses|refused_metrics|turns"
    "|post_reads|events_seen|operator_acts|account_timers|ready_accounts|changes|daily_snapshots|last_snapshots"
    "|retention_runs|erasures|erasure_identifiers|webhook_endpoints|webhook_notices|webhook_refused_rows"
    "|webhook_deliveries|webhook_probe|signals"
)
_NAMED: Final = re.compile(rf"\b({_TABLES})(?:_\d{{4}}_\d\d|_default)?\b")
_WRITTEN: Final = re.compile(
    rf"\b(INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|ALTER TABLE)\s+(?:ONLY\s+)?({_TABLES})(?:_\w+)?\b"
)
_LOCKING: Final = re.compile(r"\bFOR (?:NO KEY UPDATE|UPDATE|SHARE|KEY SHARE)\b")
_ADVISORY: Final = re.compile(r"\bpg_(?:try_)?advisory")
_COMMENT: Final = re.compile(r"--[^\n]*")
_PLACEMENT: Final = re.compile(r"^\s*(SAVEPOINT|RELEASE|ROLLBACK|SET)\b", re.IGNORECASE)
_FOLLOWS: Final = {
    ("INSERT INTO", "publications"): {"publication_counts", "accounts", "changes"},
    ("DELETE FROM", "publications"): {
        *("publication_counts", "refresh_state", "post_analytics", "changes"),
        *("snapshots", "daily_snapshots", "last_snapshots"),
    },
    ("UPDATE", "publications"): {"publication_counts", "changes"},
    ("INSERT INTO", "post_analytics"): {"changes"},
    ("UPDATE", "post_analytics"): {"changes"},
    ("INSERT INTO", "refresh_state"): {"account_timers"},
    ("UPDATE", "refresh_state"): {"account_timers"},
}
"""What triggers, cascades and foreign keys touch along with a table."""


@dataclass(frozen=True, slots=True)
class Step:
    """A statement or a COMMIT that an operation is about to execute."""

    label: str
    """A short description: ``UPDATE refresh_state``, ``COMMIT``."""
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    """Tables that it writes or locks rows of; for a COMMIT what its transaction wrote or locked."""
    commits: bool = False
    begins: bool = False
    """The first of its transaction: it fixes ``now()``."""
    several: bool = False
    """It released locks, so that statements of other sessions ran too, or it writes and commits at once."""

    @property
    def touches(self) -> frozenset[str]:
        """Everything that it reads, writes or locks."""
        return self.reads | self.writes

    def depends_on(self, other: "Step") -> bool:
        """Return whether the order of the two can make a difference.

        Uncommitted writes are invisible: before the COMMIT they affect other statements only through locks.
        """
        if self.several or other.several:
            return True
        if self.commits and other.commits:
            return False
        if self.commits or other.commits:
            commit, statement = (self, other) if self.commits else (other, self)
            return statement.begins or bool(commit.writes & statement.touches)
        return bool(self.writes & other.writes)


def step_of(statement: str, *, begins: bool) -> Step | None:
    """Return the step that a statement is, or ``None`` when it cannot affect another session."""
    if _PLACEMENT.match(statement):
        return None
    sql = _COMMENT.sub("", statement)
    named = {match[1] for match in _NAMED.finditer(sql)}
    written: set[str] = set()
    parts = []
    for verb, table in _WRITTEN.findall(sql):
        written |= {table} | _FOLLOWS.get((verb, table), set())
        parts.append(f"{verb.split()[0]} {table}")
    if _LOCKING.search(sql):
        written |= named
        parts.append("LOCK " + "+".join(sorted(named)))
    if _ADVISORY.search(sql):
        written.add("advisory lock")
        parts.append("LOCK advisory")
    if not named and not written:
        return None
    label = ", ".join(dict.fromkeys(parts)) or "SELECT " + "+".join(sorted(named))
    return Step(label, frozenset(named), frozenset(written), begins=begins)
