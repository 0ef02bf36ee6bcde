"""Meta's limits: buckets, and the headers that report their usage.

https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

import math
from dataclasses import dataclass
from typing import Any

from deploy.simulators.behaviour import Limit, LimitDecision

HOUR_SECONDS, DAY_SECONDS = 3_600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit: its name in `Conditions.limits`, the code of its refusal, its usual size.

    `kind` is the `type` in X-Business-Use-Case-Usage; None: a platform limit, reported in X-App-Usage and
    X-Page-Usage.
    """

    name: str
    code: int
    kind: str | None
    usual: Limit


APP = Bucket("app", 4, None, Limit(10**12, HOUR_SECONDS))
"""200 times the app's daily users an hour, which no simulated world reaches unless a test lowers it."""


def usage_headers(
    bucket: Bucket, key: str, app: LimitDecision, own: LimitDecision, *, now: float
) -> dict[str, Any]:
    """Return the usage headers of an answer, by name, before they are encoded as JSON."""
    if bucket.kind is None:
        return {"X-App-Usage": _shares(app), "X-Page-Usage": _shares(own)}
    entry = {
        "type": bucket.kind,
        **_shares(own),
        "estimated_time_to_regain_access": _minutes_until_reset(own, now),
    }
    return {"X-App-Usage": _shares(app), "X-Business-Use-Case-Usage": {key: [entry]}}


def _shares(spent: LimitDecision) -> dict[str, int]:
    percent = spent.percent
    return {"call_count": percent, "total_cputime": percent // 4, "total_time": percent // 3}


def _minutes_until_reset(spent: LimitDecision, now: float) -> int:
    return 0 if spent.allowed else math.ceil((spent.reset_at.timestamp() - now) / 60)
