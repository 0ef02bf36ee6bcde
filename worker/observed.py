"""What a worker counts of its work."""

from typing import Final

from shared import metrics
from shared.vocabulary import Platform, Reason
from worker.outcomes import Outcome

_TOLD_BY_PLATFORM: Final = frozenset(
    {"synced", "partial", "unavailable", "window_closed", "missing", "gone", "processing"}
)
"""Outcomes that rest on an answer about this very publication."""

_ALERTED: Final = (("quarantined", Reason.QUARANTINED), ("misconfigured", Reason.RETRY))
"""Outcomes of which the first one alerts: an increase is seen only from a series that began at 0."""

for _platform in Platform:
    for _outcome, _reason in _ALERTED:
        metrics.REFRESHES.labels(_platform.value, _outcome, _reason.value)


def count_outcome(platform: Platform, outcome: Outcome) -> None:
    """Count one recorded outcome: a hook for `worker.job.Tools`."""
    metrics.REFRESHES.labels(platform.value, outcome.outcome, outcome.reason.value).inc()
    if outcome.outcome in _TOLD_BY_PLATFORM:
        metrics.UPSTREAM_IDS.labels(platform.value).inc()
