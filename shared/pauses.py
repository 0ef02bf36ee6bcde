"""Pauses: what is not asked until an instant. PostgreSQL holds them, so that losing Redis lifts none."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

EVERY_PLATFORM = "*"

_READ_ENDPOINT = """
CASE a.platform
    WHEN 'x' THEN CASE WHEN a.sealed_access_token IS NULL THEN 'tweets:app' ELSE 'tweets' END
    WHEN 'linkedin' THEN CASE WHEN a.kind = 'member' THEN 'memberCreatorPostAnalytics'
                              ELSE 'organizationalEntityShareStatistics' END
    WHEN 'tiktok' THEN 'video/query'
    ELSE 'insights' END
"""
"""The endpoint class without which nothing of an ``accounts a`` can be read, as its adapter names it."""

NOT_PAUSED = f"""
NOT EXISTS (
    SELECT 1 FROM pauses w
     WHERE w.platform IN (a.platform, '*') AND w.paused_until > now()
       AND (w.kind IN ('app', 'operator_platform')
            OR (w.kind IN ('endpoint', 'breaker') AND w.subject IN ('', {_READ_ENDPOINT}))
            OR (w.kind IN ('account', 'operator_account') AND w.subject = a.account_id)
            OR (w.kind = 'operator_workspace' AND w.subject = a.workspace_id)))
"""  # noqa: S608 - its parts are constants of ours
"""Condition on an ``accounts a``: a claim skips what is paused. Other endpoints are judged by the worker."""

BACKGROUND_NOT_PAUSED = """
NOT EXISTS (
    SELECT 1 FROM pauses w
     WHERE w.platform = a.platform AND w.paused_until > now()
       AND w.kind = 'background' AND w.subject IN ('', a.account_id))
"""
"""The same for pauses that hold for background work alone."""


@dataclass(frozen=True, slots=True)
class PauseInForce:
    """One pause that has not ended yet."""

    platform: str
    kind: str
    subject: str
    paused_until: datetime
    reason: str


def pause(
    connection: Connection,
    *,
    platform: str,
    kind: str,
    subject: str,
    until: datetime,
    reason: str,
    escalates_until: datetime | None = None,
) -> datetime:
    """Place or prolong a pause and return the instant at which it ends.

    ``escalates_until`` holds instead of ``until`` when the same bucket was refused before and that pause
    ended less than ten minutes ago: the limit is then a longer one than it seemed.
    """
    ends: datetime = connection.execute(
        text(_PAUSE),
        {
            "platform": platform,
            "kind": kind,
            "subject": subject,
            "until": until,
            "escalated": escalates_until or until,
            "reason": reason,
        },
    ).scalar_one()
    return ends


_PAUSE = """
INSERT INTO pauses AS w (platform, kind, subject, paused_until, reason)
VALUES (:platform, :kind, :subject, :until, :reason)
ON CONFLICT (platform, kind, subject) DO UPDATE
   SET paused_until = GREATEST(w.paused_until,
           CASE WHEN w.paused_until BETWEEN now() - interval '10 minutes' AND now()
                THEN CAST(:escalated AS timestamptz) ELSE excluded.paused_until END),
       reason = excluded.reason,
       paused_at = CASE WHEN w.paused_until > now() THEN w.paused_at ELSE now() END,
       refusals = CASE WHEN w.paused_until > now() - interval '10 minutes' THEN w.refusals + 1 ELSE 1 END
RETURNING paused_until
"""


def in_force(
    connection: Connection, *, platform: str, account_id: str, workspace_id: str
) -> list[PauseInForce]:
    """Return the pauses that concern an account now, the longest first."""
    rows = connection.execute(
        text(
            "SELECT platform, kind, subject, paused_until, reason FROM pauses"
            " WHERE platform IN (:platform, '*') AND paused_until > now()"
            " AND CASE WHEN kind IN ('account', 'operator_account') THEN subject = :account_id"
            " WHEN kind = 'background' THEN subject IN ('', :account_id)"
            " WHEN kind = 'operator_workspace' THEN subject = :workspace_id ELSE true END"
            " ORDER BY paused_until DESC"
        ),
        {"platform": platform, "account_id": account_id, "workspace_id": workspace_id},
    )
    return [PauseInForce(*row) for row in rows]
