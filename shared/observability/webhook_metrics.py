"""The metrics of senders; labels and units as in `shared.observability.metrics`.

outcome    how a delivery ended: ``delivered``, ``refused``, ``timeout``, ``unreachable``, ``blocked`` …
"""

from prometheus_client import Counter, Histogram

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15)
_LAG_SECONDS = (0.5, 1, 2, 5, 15, 60, 300, 3_600, 21_600, 86_400)

DELIVERIES = Counter("dravo_webhook_deliveries", "Attempts to deliver to a webhook endpoint.", ["outcome"])
CHANGES = Counter("dravo_webhook_changes", "Changes that webhook endpoints took.")
SECONDS = Histogram("dravo_webhook_delivery_seconds", "Duration of an attempt to deliver.", buckets=_SECONDS)
LAG_SECONDS = Histogram(
    "dravo_webhook_lag_seconds",
    "From a change to its delivery: the oldest change of each delivery.",
    buckets=_LAG_SECONDS,
)
