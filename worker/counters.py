"""What a worker counts of its work."""

from typing import Final

from shared.observability import metrics
from shared.outcome_kinds import OutcomeKind
from shared.vocabulary import Platform, Reason
from worker.outcomes import Outcome

_ALERTED: Final = (
    (OutcomeKind.QUARANTINED, Reason.QUARANTINED),
    (OutcomeKind.MISCONFIGURED, Reason.RETRY),
)
"""Outcomes of which the first one alerts: an increase is seen only from a series that began at 0."""

for _platform in Platform:
    for _outcome, _reason in _ALERTED:
        metrics.REFRESHES.labels(_platform.value, _outcome.value, _reason.value)


def count_outcome(platform: Platform, outcome: Outcome) -> None:
    """Count one recorded outcome: a hook for `worker.context.WorkerContext`."""
    metrics.REFRESHES.labels(platform.value, outcome.outcome.value, outcome.reason.value).inc()
    if outcome.outcome.answered:
        metrics.UPSTREAM_IDS.labels(platform.value).inc()
