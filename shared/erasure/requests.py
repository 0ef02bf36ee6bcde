"""Requests: the first transaction of an erasure, which destroys tokens and ends polling."""

import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.accounts import states
from shared.erasure.subject import Subject, SubjectKind

CODE_BYTES: Final = 15
"""Random bytes of a code: it cannot be guessed, and names nobody."""
_REQUEST_LOCK: Final = 720_571_941
SENTENCE: Final = "The account is being erased."
"""``state_reason`` of an account under erasure."""

_INSERT: Final = text("""
INSERT INTO erasures (code, kind, subject, source, phase)
VALUES (:code, :kind, CAST(:subject AS jsonb), :source, 'requested')
""")
_OPEN: Final = text("""
SELECT code FROM erasures
 WHERE ended_at IS NULL AND kind = :kind AND subject = CAST(:subject AS jsonb)
""")
_ACCOUNTS: Final = "SELECT a.account_id FROM accounts a WHERE {where} ORDER BY a.account_id"
_IDENTIFIERS: Final = """
INSERT INTO erasure_identifiers (code, kind, value)
SELECT DISTINCT :code, n.kind, n.value
  FROM accounts a CROSS JOIN LATERAL (VALUES
       ('account', a.account_id), ('platform_account', a.platform_account_id),
       ('platform_account', a.platform_user_id), ('name', a.name)
       ) AS n (kind, value)
 WHERE {where} AND n.value IS NOT NULL
ON CONFLICT DO NOTHING
"""
_UNDER_ERASURE: Final = text("""
SELECT account_id FROM accounts WHERE account_id = ANY(:accounts) AND erasure IS NOT NULL
""")
_WORKSPACES: Final = text("""
SELECT subject->>'workspace_id' FROM erasures
 WHERE ended_at IS NULL AND kind = 'workspace' AND subject->>'workspace_id' = ANY(:workspaces)
""")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is kept of an erasure: no personal data."""

    code: str
    kind: SubjectKind
    source: str
    """Who asked for it: ``command``, ``event``, ``replay``, ``retention`` or a platform."""
    phase: str
    requested_at: datetime
    ended_at: datetime | None
    rows: dict[str, int]
    """Deleted rows by table; ``redis``: keys and messages."""
    scan: dict[str, Any] | None
    """When the scan ran, what it searched, and what it found."""

    @property
    def clean(self) -> bool:
        """Whether a scan has run and found nothing."""
        return self.scan is not None and not self.scan["found"]


def request(connection: Connection, subject: Subject, source: str, *, code: str | None = None) -> str:
    """Record an erasure, destroy the subject's tokens and end its polling; return the request's code.

    The same subject again returns the code of the request under way. ``code``: the code of an erasure that a
    replay repeats.
    """
    # Accounts first: callers have locked theirs before, and another order could deadlock.
    accounts = _accounts(connection, subject)
    states.lock(connection, accounts)
    connection.execute(
        text("SELECT pg_advisory_xact_lock(:key, hashtext(:workspace))"),
        {"key": _REQUEST_LOCK, "workspace": subject.workspace_id},
    )
    bound = {"kind": subject.kind.value, "subject": json.dumps(subject.to_json())}
    if existing := connection.execute(_OPEN, bound).scalar():
        return str(existing)
    code = code or f"era_{secrets.token_hex(CODE_BYTES)}"
    connection.execute(_INSERT, {**bound, "code": code, "source": source})
    note_accounts(connection, code, subject)
    if subject.kind is SubjectKind.WORKSPACE:
        connection.execute(
            text("INSERT INTO erasure_identifiers VALUES (:code, 'workspace', :id) ON CONFLICT DO NOTHING"),
            {"code": code, "id": subject.workspace_id},
        )
        connection.execute(
            text("UPDATE api_keys SET revoked_at = now() WHERE workspace_id = :id AND revoked_at IS NULL"),
            {"id": subject.workspace_id},
        )
    states.begin_erasure(connection, subject.workspace_id, accounts, code, SENTENCE)
    if subject.kind is SubjectKind.ACCOUNT:
        states.end_polling(connection, subject.workspace_id, accounts, SENTENCE)
    return code


def note_accounts(connection: Connection, code: str, subject: Subject) -> None:
    """Note the ids and names of the subject's accounts: the proof needs them when the rows are gone."""
    statement = text(_IDENTIFIERS.format(where=subject.account_where))
    connection.execute(statement, {"code": code, **subject.bound})


def _accounts(connection: Connection, subject: Subject) -> list[str]:
    statement = text(_ACCOUNTS.format(where=subject.account_where))
    return list(connection.execute(statement, subject.bound).scalars())


def accounts_under_erasure(connection: Connection, account_ids: Collection[str]) -> frozenset[str]:
    """Return which of these accounts are being erased: nothing may be stored for them."""
    return frozenset(connection.execute(_UNDER_ERASURE, {"accounts": list(account_ids)}).scalars())


def workspaces_under_erasure(connection: Connection, workspace_ids: Collection[str]) -> frozenset[str]:
    """Return which of these workspaces are being erased."""
    return frozenset(connection.execute(_WORKSPACES, {"workspaces": list(workspace_ids)}).scalars())


_SELECT: Final = "SELECT code, kind, source, phase, requested_at, ended_at, rows, scan FROM erasures"


def certificate(connection: Connection, code: str) -> Certificate | None:
    """Return what is kept of one erasure."""
    row = connection.execute(text(f"{_SELECT} WHERE code = :code"), {"code": code}).one_or_none()
    return None if row is None else _certificate(row)


def certificates(connection: Connection, *, most: int = 100) -> Sequence[Certificate]:
    """Return what is kept of erasures, the newest first."""
    rows = connection.execute(text(f"{_SELECT} ORDER BY requested_at DESC, code LIMIT :most"), {"most": most})
    return [_certificate(row) for row in rows]


def _certificate(row: Any) -> Certificate:
    values = {**row._mapping, "kind": SubjectKind(row.kind)}
    return Certificate(**values)
