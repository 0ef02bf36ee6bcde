"""Logs and metrics of recorded outcomes, written after their transaction has committed."""

import logging
from collections import Counter
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
    for (kind, reason), rows in Counter((one.outcome, one.reason) for one in recorded).items():
        metrics.REFRESHES.labels(platform, kind.value, reason.value).inc(rows)
        if kind.answered:
            metrics.UPSTREAM_IDS.labels(platform).inc(rows)
    debug = logging.getLogger(__name__).isEnabledFor(logging.DEBUG)
    for outcome in recorded:
        synced = outcome.outcome is OutcomeKind.SYNCED
        if synced and not debug:
            continue  # preparing lines that nobody reads took more CPU time than judging the readings
        _log.log(
            logging.DEBUG if synced else logging.INFO,
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
