"""Pauses that operators place and lift, by command or on the operators' page.

An operator's pause is a row of ``pauses`` whose kind is reserved for operators: no platform's answer extends
it and no reconnect deletes it; only `resume_scope` and its own end lift it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, text

from shared.operations import audit_log
from shared.operations.audit_log import Operator
from shared.quota.pauses import EVERY_PLATFORM, UNTIL_RESUMED, PauseKey, end, make_deferred_due
from shared.vocabulary import PauseKind, Platform

_OPERATOR_KINDS: Final = [kind.value for kind in PauseKind if kind.by_operator]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a pause covers: a platform, an account, a workspace (on one platform or all), or everything."""

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
    def audited(self) -> dict[str, str]:
        """The scope as the audit log records it."""
        named = {"account": self.account_id, "workspace": self.workspace_id, "platform": self.platform}
        return {name: str(value) for name, value in named.items() if value is not None} or {"all": "all"}


_PAUSE: Final = text("""
INSERT INTO pauses AS w (platform, kind, subject, paused_until, reason)
VALUES (:platform, :kind, :subject, :until, :reason)
ON CONFLICT (platform, kind, subject) DO UPDATE
   SET paused_until = excluded.paused_until, reason = excluded.reason, paused_at = now(), refusals = 1
""")
_LOCK: Final = text("""
SELECT paused_until FROM pauses WHERE platform = :platform AND kind = :kind AND subject = :subject FOR UPDATE
""")
_PAUSED_BY_OPERATORS: Final = text("""
SELECT platform, kind, subject FROM pauses
 WHERE kind = ANY(:kinds) AND (:every OR (platform = :platform AND kind = :kind AND subject = :subject))
""")


def pause_scope(
    connection: Connection, operator: Operator, scope: Scope, reason: str, until: datetime | None = None
) -> None:
    """Pause a scope until an instant, or until `resume_scope`; a pause of the same scope is replaced."""
    before = connection.execute(_LOCK, scope.key).scalar_one_or_none()
    ends_at = until or UNTIL_RESUMED
    connection.execute(_PAUSE, {**scope.key, "until": ends_at, "reason": reason})
    if before is not None and ends_at < before:
        make_deferred_due(connection, _key(**scope.key))
    ends = {"until": until.astimezone(UTC).isoformat().replace("+00:00", "Z")} if until else {}
    audit_log.record(connection, operator, "pause", {**scope.audited, **ends}, reason=reason)


def resume_scope(connection: Connection, operator: Operator, scope: Scope, reason: str | None = None) -> int:
    """Lift the operators' pause of a scope and return how many were lifted; ``Scope()`` lifts them all.

    Pauses that a platform's limit placed stay. Nothing is recorded when nothing was paused.
    """
    paused = connection.execute(
        _PAUSED_BY_OPERATORS, {**scope.key, "kinds": _OPERATOR_KINDS, "every": scope == Scope()}
    )
    lifted = end(connection, [_key(*row) for row in paused])
    if lifted:
        audit_log.record(connection, operator, "resume", scope.audited, reason=reason)
    return len(lifted)


def _key(platform: str, kind: str, subject: str) -> PauseKey:
    return PauseKey(platform, PauseKind(kind), subject)
