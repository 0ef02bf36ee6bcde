"""Pauses: platforms, endpoints, accounts and workspaces that are not called until an instant.

They are stored in PostgreSQL: losing Redis lifts none.

A *stop* is a pause whose cause only an operator can end (`PauseKind.needs_operator`). Its row stays when it
ends: it is then being tried, and the first job whose calls are accepted deletes it (`end`).

A pause defers rows: a worker that encounters it moves their next run to its end. A pause that ends early, for
whatever reason, therefore makes these rows due in the transaction that ends it (`end`), and a worker defers
rows only while it locks the pause (`lock_if_in_force`). Both lock the pause before any row of
``refresh_state``.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.driver.statement import Statement
from shared.quota.read_endpoints import read_endpoint_sql
from shared.refresh_state import make_due as refresh_state
from shared.vocabulary import PauseKind, PauseSubject

EVERY_PLATFORM: Final = "*"

UNTIL_RESUMED: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""``paused_until`` of a pause without an end. `PauseInForce.ends_at` is the value to show."""

_SUBJECT_CONDITIONS: Final[Mapping[PauseSubject, str]] = {
    PauseSubject.PLATFORM: "TRUE",
    PauseSubject.ENDPOINT: f"w.subject IN ('', {read_endpoint_sql('a')})",
    PauseSubject.ACCOUNT: "w.subject IN ('', a.account_id)",
    PauseSubject.WORKSPACE: "w.subject = a.workspace_id",
}


def _applies(*, background_only: bool) -> str:
    """Return the condition that a ``pauses w`` of these kinds is in force for an ``accounts a``."""
    named = []
    for subject, condition in _SUBJECT_CONDITIONS.items():
        kinds = [
            f"'{kind.value}'"
            for kind in PauseKind
            if kind.subject is subject and kind.background_only is background_only
        ]
        if kinds:
            named.append(f"(w.kind IN ({', '.join(kinds)}) AND {condition})")
    anywhere = f"w.platform IN (a.platform, '{EVERY_PLATFORM}') AND w.paused_until > now()"
    return f"{anywhere} AND ({' OR '.join(named)})"


_ALL_WORK = _applies(background_only=False)
_BACKGROUND_WORK = _applies(background_only=True)

NOT_PAUSED = f"NOT EXISTS (SELECT 1 FROM pauses w WHERE {_ALL_WORK})"
"""Condition on an ``accounts a``: a claim skips paused accounts, and the worker checks other endpoints."""

BACKGROUND_NOT_PAUSED = f"NOT EXISTS (SELECT 1 FROM pauses w WHERE {_BACKGROUND_WORK})"
"""The same for pauses that hold for background work alone."""

APPLIES_NOW = f"(({_ALL_WORK}) OR ({_BACKGROUND_WORK}))"
"""Condition on a ``pauses w`` and an ``accounts a``: the pause is in force for the account."""

_KNOWN: Final = [kind.value for kind in PauseKind]
_COLUMNS: Final = "w.platform, w.kind, w.subject, w.paused_at, w.paused_until, w.reason, w.refusals"
_IN_FORCE: Final = text(f"""
SELECT {_COLUMNS} FROM pauses w WHERE w.paused_until > now() AND w.kind = ANY(:known)
 ORDER BY w.paused_until, w.platform, w.kind, w.subject
""")
_OF_ACCOUNTS: Final = Statement(f"""
SELECT a.account_id, {_COLUMNS}
  FROM accounts a
  JOIN pauses w ON {APPLIES_NOW}
    OR (:of_job AND w.platform = a.platform
        AND (w.paused_until > now() AND w.kind = ANY(:endpoint_kinds)
             OR w.paused_until <= now() AND w.kind = ANY(:stops) AND w.subject IN ('', a.account_id)))
 WHERE a.account_id = ANY(:account_ids)
 ORDER BY w.paused_until DESC, w.kind, w.subject
""")
_STOPS: Final = [kind.value for kind in PauseKind if kind.needs_operator]
_STOPS_STANDING: Final = text(f"""
SELECT {_COLUMNS} FROM pauses w
 WHERE w.kind = ANY(:stops) AND w.paused_until > now() - CAST(:remembered AS interval)
 ORDER BY w.paused_at, w.platform, w.kind, w.subject
""")
STOP_REMEMBERED: Final = timedelta(days=1)
"""How long after its end a stop counts that no call has confirmed or ended since."""
_OF_ENDPOINTS: Final = [kind.value for kind in PauseKind if kind.subject is PauseSubject.ENDPOINT]


@dataclass(frozen=True, slots=True, order=True)
class PauseKey:
    """The primary key of a row of ``pauses``. Locks are taken in this order."""

    platform: str
    """A platform, or ``*`` for all of them."""
    kind: PauseKind
    subject: str


@dataclass(frozen=True, slots=True)
class PauseInForce:
    """One pause that has not ended yet."""

    platform: str
    """A platform, or ``*`` for all of them."""
    kind: PauseKind
    subject: str
    paused_at: datetime
    paused_until: datetime
    reason: str
    refusals: int

    @property
    def key(self) -> PauseKey:
        """Its primary key."""
        return PauseKey(self.platform, self.kind, self.subject)

    @property
    def ends_at(self) -> datetime | None:
        """When it ends by itself; ``None``: only when an operator resumes it."""
        return self.paused_until if self.paused_until < UNTIL_RESUMED else None

    def is_tried(self, now: datetime) -> bool:
        """Whether it is a stop that has ended, and the next call decides whether it begins again."""
        return self.kind.needs_operator and self.paused_until <= now


def pauses_in_force(connection: Connection) -> list[PauseInForce]:
    """Return every pause in force, the first to end first."""
    return [_pause_in_force(row) for row in connection.execute(_IN_FORCE, {"known": _KNOWN})]


def stops(connection: Connection) -> list[PauseInForce]:
    """Return the stops, the oldest first, also those that are being tried (`PauseInForce.is_tried`)."""
    bound = {"stops": _STOPS, "remembered": STOP_REMEMBERED}
    return [_pause_in_force(row) for row in connection.execute(_STOPS_STANDING, bound)]


def pauses_of_accounts(
    connection: Connection, account_ids: Sequence[str], *, of_job: bool = False
) -> dict[str, list[PauseInForce]]:
    """Return the pauses that apply to these accounts now, by account, the last to end first.

    An account without any is absent. ``of_job``: also pauses of other endpoints of its platform, which a
    single call may need, and the stops that are being tried.
    """
    pauses_by_account: dict[str, list[PauseInForce]] = defaultdict(list)
    bound = {
        "account_ids": sorted(set(account_ids)),
        "of_job": of_job,
        "endpoint_kinds": _OF_ENDPOINTS,
        "stops": _STOPS,
    }
    for row in _OF_ACCOUNTS.all(connection, bound):
        pauses_by_account[row.account_id].append(_pause_in_force(row))
    return dict(pauses_by_account)


def _pause_in_force(row: Any) -> PauseInForce:
    return PauseInForce(
        platform=row.platform,
        kind=PauseKind(row.kind),
        subject=row.subject,
        paused_at=row.paused_at,
        paused_until=row.paused_until,
        reason=row.reason,
        refusals=row.refusals,
    )


def pause(
    connection: Connection,
    *,
    platform: str,
    kind: PauseKind,
    subject: str,
    until: datetime,
    reason: str,
) -> datetime:
    """Place or extend a pause and return the instant at which it ends."""
    ends: datetime = connection.execute(
        text(_PAUSE),
        {
            "platform": platform,
            "kind": kind.value,
            "subject": subject,
            "until": until,
            "reason": reason,
            "is_stop": kind.needs_operator,
        },
    ).scalar_one()
    return ends


# The row of a stop is deleted when a call is accepted, so one that exists goes on from its first refusal.
_PAUSE = """
INSERT INTO pauses AS w (platform, kind, subject, paused_until, reason)
VALUES (:platform, :kind, :subject, :until, :reason)
ON CONFLICT (platform, kind, subject) DO UPDATE
   SET paused_until = GREATEST(w.paused_until, excluded.paused_until),
       reason = excluded.reason,
       paused_at = CASE WHEN :is_stop OR w.paused_until > now() THEN w.paused_at ELSE now() END,
       refusals = CASE WHEN :is_stop OR w.paused_until > now() - interval '10 minutes'
                       THEN w.refusals + 1 ELSE 1 END
RETURNING paused_until
"""


def lock_if_in_force(connection: Connection, key: PauseKey) -> datetime | None:
    """Return when a pause ends, and lock it so that it cannot end earlier until the transaction ends.

    ``None``: it is not in force. Waits for a transaction that is ending it.
    """
    ends: datetime | None = connection.execute(_LOCK_IN_FORCE, _bound(key)).scalar_one_or_none()
    return ends


def end(connection: Connection, keys: Iterable[PauseKey]) -> list[PauseKey]:
    """End these pauses, make the rows due that they deferred, and return the pauses that existed.

    Waits for the workers that are deferring rows because of them.
    """
    existing = [key for key in sorted(set(keys)) if connection.execute(_END, _bound(key)).rowcount]
    for key in existing:
        make_deferred_due(connection, key)
    return existing


def try_now(connection: Connection, keys: Sequence[PauseKey]) -> list[PauseKey]:
    """End these stops for a trial and return those that were in force; their deferred rows stay deferred.

    One call decides: refused, it places the stop again; accepted, it ends it for all (`end`).
    """
    return [key for key in sorted(set(keys)) if connection.execute(_TRY, _bound(key)).rowcount]


def shorten(connection: Connection, key: PauseKey, until: datetime) -> None:
    """Let a pause end at ``until`` if it would last longer, and make the rows due that it deferred."""
    if connection.execute(_SHORTEN, {**_bound(key), "until": until, "least": _LEAST_SHORTENING}).rowcount:
        make_deferred_due(connection, key)


def make_deferred_due(connection: Connection, key: PauseKey) -> int:
    """Make the rows due that a pause may have deferred, after it ended or was shortened; return how many.

    Rows to which another pause applies become due too: claims skip them until that pause ends.
    """
    return refresh_state.make_deferred_due(
        connection,
        platform=None if key.platform == EVERY_PLATFORM else key.platform,
        account_id=(key.kind.subject is PauseSubject.ACCOUNT and key.subject) or None,
        workspace_id=(key.kind.subject is PauseSubject.WORKSPACE and key.subject) or None,
    )


def _bound(key: PauseKey) -> dict[str, str]:
    return {"platform": key.platform, "kind": key.kind.value, "subject": key.subject}


_LEAST_SHORTENING: Final = timedelta(minutes=1)
_SHORTEN: Final = text("""
UPDATE pauses SET paused_until = :until
 WHERE platform = :platform AND kind = :kind AND subject = :subject
   AND paused_until > CAST(:until AS timestamptz) + CAST(:least AS interval)
""")
_LOCK_IN_FORCE: Final = text("""
SELECT paused_until FROM pauses
 WHERE platform = :platform AND kind = :kind AND subject = :subject AND paused_until > now() FOR SHARE
""")
_TRY: Final = text("""
UPDATE pauses SET paused_until = now()
 WHERE platform = :platform AND kind = :kind AND subject = :subject AND paused_until > now()
""")
_END: Final = text("DELETE FROM pauses WHERE platform = :platform AND kind = :kind AND subject = :subject")
