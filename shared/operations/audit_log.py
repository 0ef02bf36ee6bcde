"""The audit log of operators: who did what, when, why, to which rows, and how far it has come.

Every operation of this package records itself here, in the transaction that it takes effect in.
"""

import getpass
import json
import os
import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, and whether by the command line or on the operators' page."""

    name: str
    via: str
    """``command`` or ``page``."""

    @classmethod
    def at_terminal(cls) -> Self:
        """Return the user of this process, and who became that user with sudo."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a container's user often has no name
            user = f"uid {os.getuid()}"
        behind = os.environ.get("SUDO_USER")
        name = f"{user} (sudo by {behind})" if behind and behind != user else user
        return cls(f"{name} on {socket.gethostname()}", "command")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the audit log."""

    entry_id: int
    started_at: datetime
    ended_at: datetime | None
    """``None``: under way, or stopped before its end."""
    operator: str
    via: str
    action: str
    """``pause``, ``resume``, ``try`` (a stop), ``resync``, ``release`` (from quarantine) or ``erase``."""
    subject: dict[str, Any]
    """A scope, filters or ids."""
    reason: str | None
    rows: int | None
    """Publications that it was done to."""
    last: int | None
    """The last publication that it went through; a stopped bulk re-sync resumes after it."""


_INSERT: Final = text("""
INSERT INTO operator_acts (operator, via, act, subject, reason, rows, ended_at)
VALUES (:operator, :via, :action, CAST(:subject AS jsonb), :reason, :rows, CASE WHEN :ended THEN now() END)
RETURNING act_id
""")
_INSERT_DEPLOYMENT: Final = text("""
INSERT INTO operator_acts (operator, via, act, subject, ended_at)
SELECT 'scheduler', 'service', 'deploy', jsonb_build_object('version', CAST(:version AS text)), now()
 WHERE :version IS DISTINCT FROM (
       SELECT subject ->> 'version' FROM operator_acts WHERE act = 'deploy' ORDER BY act_id DESC LIMIT 1)
""")
_UPDATE: Final = text("""
UPDATE operator_acts SET rows = :rows, last = :last, ended_at = CASE WHEN :ended THEN now() END
 WHERE act_id = :entry_id
""")
_SELECT: Final = """
SELECT act_id, acted_at, ended_at, operator, via, act, subject, reason, rows, last FROM operator_acts
"""


def record(
    connection: Connection,
    operator: Operator,
    action: str,
    subject: dict[str, Any],
    *,
    reason: str | None = None,
    rows: int | None = None,
    ended: bool = True,
) -> int:
    """Add an entry and return its id. ``ended=False``: `record_progress` follows."""
    entry_id: int = connection.execute(
        _INSERT,
        {
            "operator": operator.name,
            "via": operator.via,
            "action": action,
            "subject": json.dumps(subject),
            "reason": reason,
            "rows": rows,
            "ended": ended,
        },
    ).scalar_one()
    return entry_id


def record_deployment(connection: Connection, version: str) -> None:
    """Add an entry when this version follows another one, so that charts mark deployments."""
    connection.execute(_INSERT_DEPLOYMENT, {"version": version})


def sentence(entry: AuditEntry) -> str:
    """Return an entry as one sentence, like ``anna paused X until …: credits low``."""
    subject = {name: value for name, value in entry.subject.items() if name not in {"until", "all"}}
    what = ", ".join(f"{_NOUNS.get(name, name)} {_short(value)}".strip() for name, value in subject.items())
    until = f" until {entry.subject['until']}" if "until" in entry.subject else ""
    rows = f" ({entry.rows:,} {'publication' if entry.rows == 1 else 'publications'})" if entry.rows else ""
    counted = rows if entry.action in {"resync", "release"} else ""
    why = f": {entry.reason}" if entry.reason else ""
    verb = _VERBS.get(entry.action, entry.action)
    return f"{entry.operator} {verb} {what or 'everything'}{until}{counted}{why}"


_VERBS: Final = {
    "pause": "paused",
    "resume": "resumed",
    "try": "tried to end the stop of",
    "resync": "re-synced",
    "release": "released from quarantine",
    "deploy": "started",
    "erase": "erased",
}
_NOUNS: Final = {"platform": "", "publications": "publication", "cause": "failures with the cause"}


def _short(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value[:3]) + (
            f" and {len(value) - 3} more" if len(value) > 3 else ""
        )
    return str(value)


def record_progress(
    connection: Connection, entry_id: int, *, rows: int, last: int | None, ended: bool = False
) -> None:
    """Update how many rows an entry was done to, the last one it went through, and whether that was all."""
    connection.execute(_UPDATE, {"entry_id": entry_id, "rows": rows, "last": last, "ended": ended})


def entries(connection: Connection, *, most: int = 50, before: int | None = None) -> list[AuditEntry]:
    """Return entries, the newest first; ``before``: only those with a lower id."""
    statement = text(
        f"{_SELECT} WHERE CAST(:before AS bigint) IS NULL OR act_id < :before"
        " ORDER BY act_id DESC LIMIT :most"
    )
    return [AuditEntry(*row) for row in connection.execute(statement, {"most": most, "before": before})]


def entry(connection: Connection, entry_id: int, *, lock: bool = False) -> AuditEntry | None:
    """Return one entry; ``lock``: no other transaction changes it until this one ends."""
    statement = text(f"{_SELECT} WHERE act_id = :entry_id{' FOR UPDATE' if lock else ''}")
    row = connection.execute(statement, {"entry_id": entry_id}).one_or_none()
    return AuditEntry(*row) if row else None
