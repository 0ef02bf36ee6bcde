"""Logs and metrics of recorded outcomes, written after their transaction has committed."""

import logging
from collections.abc import Sequence
from typing import Final

import structlog

from shared.observability import metrics
from shared.outcome_kinds import OutcomeKind
from shared.vocabulary import Platform, Reason
from worker.outcomes.outcome import Outcome
from worker.readings import Account

_ALERTED: Final = (
    (OutcomeKind.QUARANTINED, Reason.QUARANTINED),
    (OutcomeKind.MISCONFIGURED, Reason.RETRY),
)
"""Outcomes whose first occurrence alerts: Prometheus sees an increase only in a series that began at 0."""

_log = structlog.get_logger(__name__)

for _platform in Platform:
    for _kind, _reason in _ALERTED:
        metrics.REFRESHES.labels(_platform.value, _kind.value, _reason.value)


def announce(account: Account, recorded: Sequence[Outcome], *, fenced: int) -> None:
    """Log and count recorded outcomes, and the ``fenced`` rows whose claim no longer stood."""
    platform = account.platform.value
    for outcome in recorded:
        metrics.REFRESHES.labels(platform, outcome.outcome.value, outcome.reason.value).inc()
        if outcome.outcome.answered:
            metrics.UPSTREAM_IDS.labels(platform).inc()
        _log.log(
            logging.DEBUG if outcome.outcome is OutcomeKind.SYNCED else logging.INFO,
            "refreshed",
            outcome=outcome.outcome.value,
            platform=platform,
            account_id=account.account_id,
            publication_id=outcome.row.publication.id,
            detail=outcome.detail,
        )
    if fenced:
        metrics.FENCED_WRITES.labels(platform).inc(fenced)
        _log.info("fenced", account_id=account.account_id, rows=fenced)
