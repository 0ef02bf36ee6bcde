"""Trials of stops: one call tests whether the cause that an operator removed is really gone.

A stop (`PauseKind.needs_operator`) ends by itself from time to time for such a call. `try_stops` makes that
happen now: the stop ends, and one of its publications becomes due. The first job goes with one call; refused,
the stop begins again, and accepted, it ends for all. Pauses that a platform's limit placed stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from shared.operations import audit_log
from shared.operations.audit_log import Operator
from shared.operations.pause import Scope
from shared.quota.pauses import NOT_PAUSED, PauseInForce, PauseKey, stops, try_now
from shared.refresh_state.make_due import make_due
from shared.vocabulary import Platform, Reason

# One index probe an account, as a claim: the row that has been due for longest, or will be due first.
_PROBE: Final = text(f"""
SELECT a.workspace_id, r.publication_id
  FROM accounts a
 CROSS JOIN LATERAL (
       SELECT r.publication_id, r.next_run_at FROM refresh_state r
        WHERE r.account_id = a.account_id AND r.next_run_at IS NOT NULL AND r.claimed_at IS NULL
          AND r.unfinished = 0
        ORDER BY r.next_run_at LIMIT 1) r
 WHERE a.platform = :platform AND :subject IN ('', a.account_id) AND a.state = 'active' AND {NOT_PAUSED}
 ORDER BY r.next_run_at LIMIT 1
""")
_STANDING: Final = text("""
SELECT paused_until > now() AS refused, reason FROM pauses
 WHERE platform = :platform AND kind = :kind AND subject = :subject
""")


class NothingToTryError(Exception):
    """No stop can be tried; the message is one sentence for operators."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Stops that are being tried, each with the publication whose call decides."""

    probes: dict[PauseKey, int]


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How far a trial is: every stop is in one of the three."""

    accepted: tuple[PauseKey, ...]
    """The platform accepted a call, so the stop has ended."""
    refused: tuple[PauseKey, ...]
    waiting: tuple[PauseKey, ...]
    """No call was answered yet."""
    reasons: tuple[str, ...]
    """Why the platform refused, one sentence for each stop in ``refused``."""


def try_stops(connection: Connection, operator: Operator, scope: Scope) -> Trial:
    """Let one call try each stop of a scope now. Raises `NothingToTryError`.

    A stop for which no publication can be called now, because a limit or an operator also pauses it, is not
    tried.
    """
    standing = [stop for stop in stops(connection) if _covers(scope, stop)]
    if not standing:
        raise NothingToTryError(f"nothing on {_name(scope)} waits for an operator: see `dravo pauses`")
    try_now(connection, [stop.key for stop in standing])
    probes: dict[PauseKey, int] = {}
    for stop in standing:
        row = connection.execute(_PROBE, {"platform": stop.platform, "subject": stop.subject}).one_or_none()
        if row is not None:
            make_due(connection, row.workspace_id, [row.publication_id], Reason.MANUAL)
            probes[stop.key] = row.publication_id
    if not probes:
        raise NothingToTryError(
            f"{_name(scope)} cannot be called now: another pause holds every account, or none has a"
            " publication to refresh: see `dravo pauses`"
        )
    audit_log.record(connection, operator, "try", scope.audited, rows=len(probes))
    return Trial(probes)


def trial_result(connection: Connection, tried: Sequence[PauseKey]) -> TrialResult:
    """Return what became of stops that `try_stops` tried."""
    accepted, refused, waiting, reasons = [], [], [], []
    for key in tried:
        bound = {"platform": key.platform, "kind": key.kind.value, "subject": key.subject}
        row = connection.execute(_STANDING, bound).one_or_none()
        if row is None:
            accepted.append(key)
        elif row.refused:
            refused.append(key)
            reasons.append(row.reason)
        else:
            waiting.append(key)
    return TrialResult(tuple(accepted), tuple(refused), tuple(waiting), tuple(reasons))


def _covers(scope: Scope, stop: PauseInForce) -> bool:
    return (scope.platform is None or scope.platform == stop.platform) and (
        scope.account_id is None or scope.account_id == stop.subject
    )


def _name(scope: Scope) -> str:
    platform = Platform(scope.platform).label if scope.platform else "any platform"
    return f"account {scope.account_id}" if scope.account_id else platform
