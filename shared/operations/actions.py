"""What operators do to the fleet, by command or on the page: each act is kept with who, when and what.

An operator's pause is a row of ``pauses`` under kinds of its own: no platform's answer prolongs it, no
reconnect deletes it; only `resume` and its own end lift it.
"""

import getpass
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from sqlalchemy import Connection, text

from shared.accounts import states
from shared.quota.pauses import EVERY_PLATFORM, UNTIL_RESUMED, PauseKey, end, make_deferred_due
from shared.refresh_state.make_due import make_due
from shared.refresh_state.unquarantine import accounts_of_quarantined, unquarantine
from shared.vocabulary import PauseKind, Platform, Reason

_OPERATOR_KINDS: Final = [kind.value for kind in PauseKind if kind.by_operator]


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, and through which door."""

    name: str
    via: str
    """``command`` or ``page``."""

    @classmethod
    def at_terminal(cls) -> Self:
        """Return the user of this process, and who became it with sudo."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a container's user often has no name
            user = f"uid {os.getuid()}"
        behind = os.environ.get("SUDO_USER")
        name = f"{user} (sudo by {behind})" if behind and behind != user else user
        return cls(f"{name} on {socket.gethostname()}", "command")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a pause is about: a platform, an account, a workspace (on one platform or all), or everything."""

    platform: Platform | None = None
    account_id: str | None = None
    workspace_id: str | None = None

    @property
    def key(self) -> dict[str, str]:
        """The primary key of its row in ``pauses``."""
        kind = PauseKind.OPERATOR_PLATFORM
        if self.account_id is not None:
            kind = PauseKind.OPERATOR_ACCOUNT
        elif self.workspace_id is not None:
            kind = PauseKind.OPERATOR_WORKSPACE
        return {
            "platform": self.platform.value if self.platform else EVERY_PLATFORM,
            "kind": kind.value,
            "subject": self.account_id or self.workspace_id or "",
        }

    @property
    def told(self) -> dict[str, str]:
        """The scope as its act keeps it."""
        told = {"account": self.account_id, "workspace": self.workspace_id, "platform": self.platform}
        return {name: str(value) for name, value in told.items() if value is not None} or {"all": "all"}


@dataclass(frozen=True, slots=True)
class Act:
    """One act as it was kept."""

    act_id: int
    acted_at: datetime
    ended_at: datetime | None
    operator: str
    via: str
    act: str
    subject: dict[str, Any]
    reason: str | None
    rows: int | None
    last: int | None


_PAUSE = text("""
INSERT INTO pauses AS w (platform, kind, subject, paused_until, reason)
VALUES (:platform, :kind, :subject, :until, :reason)
ON CONFLICT (platform, kind, subject) DO UPDATE
   SET paused_until = excluded.paused_until, reason = excluded.reason, paused_at = now(), refusals = 1
""")

_PAUSED_BY_OPERATORS = text("""
SELECT platform, kind, subject FROM pauses
 WHERE kind = ANY(:kinds) AND (:every OR (platform = :platform AND kind = :kind AND subject = :subject))
""")

_ONE = text("""
SELECT a.workspace_id, a.state = 'active' AND r.reason NOT IN ('quarantined', 'blocked')
       AND COALESCE(p.platform_post_id, p.publish_id) IS NOT NULL AS askable
  FROM refresh_state r
  JOIN publications p ON p.id = r.publication_id
  JOIN accounts a ON a.account_id = r.account_id
 WHERE r.publication_id = :id
""")

_KEEP = text("""
INSERT INTO operator_acts (operator, via, act, subject, reason, rows, ended_at)
VALUES (:operator, :via, :act, CAST(:subject AS jsonb), :reason, :rows, CASE WHEN :ended THEN now() END)
RETURNING act_id
""")

_COLUMNS = "act_id, acted_at, ended_at, operator, via, act, subject, reason, rows, last"


def pause(
    connection: Connection, operator: Operator, scope: Scope, reason: str, until: datetime | None = None
) -> None:
    """Ask nothing within a scope until an instant, or until it is resumed; a pause there is replaced."""
    before = connection.execute(
        text(
            "SELECT paused_until FROM pauses"
            " WHERE platform = :platform AND kind = :kind AND subject = :subject FOR UPDATE"
        ),
        scope.key,
    ).scalar_one_or_none()
    ends_at = until or UNTIL_RESUMED
    connection.execute(_PAUSE, {**scope.key, "until": ends_at, "reason": reason})
    if before is not None and ends_at < before:
        make_deferred_due(connection, _key(**scope.key))
    ends = {"until": until.astimezone(UTC).isoformat().replace("+00:00", "Z")} if until else {}
    _keep(connection, operator, "pause", {**scope.told, **ends}, reason=reason)


def resume(connection: Connection, operator: Operator, scope: Scope, reason: str | None = None) -> int:
    """Lift the operators' pause of a scope and return how many were lifted; everything's lifts them all.

    What a platform's own limit holds back stays so. Nothing is kept when nothing was paused.
    """
    paused = connection.execute(
        _PAUSED_BY_OPERATORS, {**scope.key, "kinds": _OPERATOR_KINDS, "every": scope == Scope()}
    )
    lifted = end(connection, [_key(*row) for row in paused])
    if lifted:
        _keep(connection, operator, "resume", scope.told, reason=reason)
    return len(lifted)


def release(connection: Connection, operator: Operator, publication_ids: Sequence[int] | None) -> list[int]:
    """Let quarantined publications (``None``: all of them) be tried again; return which ones were."""
    ids = None if publication_ids is None else sorted(set(publication_ids))
    states.hold(connection, accounts_of_quarantined(connection, ids))
    released = unquarantine(connection, ids, unreadable=states.UNREADABLE)
    if released:
        told = {"all": "all"} if ids is None else {"publications": released}
        _keep(connection, operator, "release", told, rows=len(released))
    return released


def resync_one(connection: Connection, operator: Operator, publication_id: int) -> bool:
    """Make one publication due now; return whether it can be asked for at all, which is kept either way."""
    row = connection.execute(_ONE, {"id": publication_id}).one_or_none()
    if row is None:
        return False
    make_due(connection, row.workspace_id, [publication_id], Reason.MANUAL)
    _keep(connection, operator, "resync", {"publications": [publication_id]}, rows=int(row.askable))
    return bool(row.askable)


def begin_resync(
    connection: Connection, operator: Operator, subject: dict[str, Any], reason: str | None = None
) -> int:
    """Keep that a re-sync begins and return its id, for `note_progress`."""
    return _keep(connection, operator, "resync", subject, reason=reason, ended=False)


def note_progress(
    connection: Connection, act_id: int, *, rows: int, last: int | None, ended: bool = False
) -> None:
    """Keep how many rows an act was done to, the last one it went through, and whether that was all."""
    connection.execute(
        text(
            "UPDATE operator_acts SET rows = :rows, last = :last, ended_at = CASE WHEN :ended THEN now() END"
            " WHERE act_id = :act_id"
        ),
        {"act_id": act_id, "rows": rows, "last": last, "ended": ended},
    )


def acts(connection: Connection, *, most: int = 50, before: int | None = None) -> list[Act]:
    """Return the acts, the newest first; ``before``: only those with a lower id."""
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM operator_acts"
            " WHERE CAST(:before AS bigint) IS NULL OR act_id < :before ORDER BY act_id DESC LIMIT :most"
        ),
        {"most": most, "before": before},
    )
    return [Act(*row) for row in rows]


def act_of(connection: Connection, act_id: int) -> Act | None:
    """Return one act."""
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM operator_acts WHERE act_id = :act_id"),
        {"act_id": act_id},
    ).one_or_none()
    return Act(*row) if row else None


def _key(platform: str, kind: str, subject: str) -> PauseKey:
    return PauseKey(platform, PauseKind(kind), subject)


def _keep(
    connection: Connection,
    operator: Operator,
    act: str,
    subject: dict[str, Any],
    *,
    reason: str | None = None,
    rows: int | None = None,
    ended: bool = True,
) -> int:
    act_id: int = connection.execute(
        _KEEP,
        {
            "operator": operator.name,
            "via": operator.via,
            "act": act,
            "subject": json.dumps(subject),
            "reason": reason,
            "rows": rows,
            "ended": ended,
        },
    ).scalar_one()
    return act_id
