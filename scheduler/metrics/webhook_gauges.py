"""The queries behind the fleet metrics of the delta feed and its webhooks, as in `gauges`."""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from shared.observability.metrics import (
    FEED_HELD,
    SENDERS_ALIVE,
    WEBHOOK_ENDPOINTS,
    WEBHOOK_UNDELIVERED,
    FleetGauge,
)

Sample = tuple[FleetGauge, tuple[str, ...], float]
STATES = ("enabled", "failing", "disabled")

_ENDPOINTS = text("""
SELECT CASE WHEN state = 'enabled' AND failing_since IS NOT NULL THEN 'failing' ELSE state END, count(*)
  FROM webhook_endpoints GROUP BY 1
""")
_UNDELIVERED = text("""
SELECT COALESCE(max(EXTRACT(epoch FROM now() - first.changed_at)), 0)
  FROM webhook_endpoints e
 CROSS JOIN LATERAL (
       SELECT c.changed_at FROM changes c
        WHERE c.workspace_id = e.workspace_id
          AND (c.changed_in, c.publication_id) > (e.changed_in, e.changed_key)
        ORDER BY c.changed_in, c.publication_id LIMIT 1) first
 WHERE e.state = 'enabled' AND e.failing_since IS NULL
""")
_SENDERS = text("SELECT count(*) FROM webhook_senders WHERE seen_at > now() - interval '15 seconds'")
# Transactions of every database of the cluster, and prepared ones: their numbers are the cluster's.
_HELD = text("""
SELECT COALESCE((
    SELECT EXTRACT(epoch FROM now() - began_at) FROM (
        SELECT backend_xid AS number, xact_start AS began_at FROM pg_stat_activity
         WHERE backend_xid IS NOT NULL
        UNION ALL SELECT transaction, prepared FROM pg_prepared_xacts) writing
     ORDER BY age(number) DESC LIMIT 1), 0)
""")


def webhooks(connection: Connection) -> Iterator[Sample]:
    """Yield the endpoints by state, the age of the oldest undelivered change, and the senders alive."""
    counts: dict[str, int] = {row[0]: row[1] for row in connection.execute(_ENDPOINTS)}
    for state in STATES:
        yield WEBHOOK_ENDPOINTS, (state,), counts.get(state, 0)
    yield WEBHOOK_UNDELIVERED, (), float(connection.execute(_UNDELIVERED).scalar_one())
    yield SENDERS_ALIVE, (), connection.execute(_SENDERS).scalar_one()


def feed_held(connection: Connection) -> Iterator[Sample]:
    """Yield the age of the writing transaction that holds the horizon of the delta feed."""
    yield FEED_HELD, (), max(0.0, float(connection.execute(_HELD).scalar_one()))
