"""Metrics that a platform refuses, remembered for the whole fleet in PostgreSQL."""

from datetime import timedelta

from sqlalchemy import Engine, text

from shared.vocabulary import Platform

REMEMBERED_FOR = timedelta(hours=24)
"""How long a refused metric is left out before one job in the fleet requests it again."""

_PROBE_ALONE_FOR = timedelta(minutes=10)

_REFUSED = text("""
WITH probe AS (
    UPDATE refused_metrics SET probe_after = now() + :alone
     WHERE ctid = ANY(ARRAY(
           SELECT ctid FROM refused_metrics
            WHERE platform = :platform AND api_version = :version AND object_type = :object_type
              AND probe_after <= now()
              FOR UPDATE SKIP LOCKED LIMIT 1))
    RETURNING metric
)
SELECT metric, metric IN (SELECT metric FROM probe) AS probed FROM refused_metrics
 WHERE platform = :platform AND api_version = :version AND object_type = :object_type
""")

_REMEMBER = text("""
INSERT INTO refused_metrics (platform, api_version, object_type, metric, probe_after)
VALUES (:platform, :version, :object_type, :metric, now() + :remembered_for)
ON CONFLICT (platform, api_version, object_type, metric)
DO UPDATE SET refused_at = now(), probe_after = excluded.probe_after
""")

_FORGET = text("""
DELETE FROM refused_metrics
 WHERE platform = :platform AND api_version = :version AND object_type = :object_type AND metric = :metric
""")


class RefusedMetricMemory:
    """`worker.adapters.contract.RefusedMetrics` for one platform."""

    def __init__(self, engine: Engine, platform: Platform) -> None:
        self._engine = engine
        self._platform = platform.value
        self._probed: set[tuple[str, str, str]] = set()

    def refused(self, version: str, object_type: str) -> frozenset[str]:
        """Return the metrics to leave out now; an expired one is left to one caller, which probes it."""
        with self._engine.begin() as connection:
            rows = connection.execute(
                _REFUSED,
                {
                    "platform": self._platform,
                    "version": version,
                    "object_type": object_type,
                    "alone": _PROBE_ALONE_FOR,
                },
            )
            entries = rows.all()
        self._probed |= {(version, object_type, row.metric) for row in entries if row.probed}
        return frozenset(row.metric for row in entries if not row.probed)

    def remember(self, version: str, object_type: str, metric: str) -> None:
        """Leave ``metric`` out from now on, for `REMEMBERED_FOR`."""
        with self._engine.begin() as connection:
            parameters = self._key(version, object_type, metric)
            connection.execute(_REMEMBER, {**parameters, "remembered_for": REMEMBERED_FOR})

    def forget(self, version: str, object_type: str, metric: str) -> None:
        """Delete the entry of ``metric`` if this job has probed it: the platform reports it again."""
        if (version, object_type, metric) not in self._probed:
            return
        with self._engine.begin() as connection:
            connection.execute(_FORGET, self._key(version, object_type, metric))

    def _key(self, version: str, object_type: str, metric: str) -> dict[str, str]:
        return {"platform": self._platform, "version": version, "object_type": object_type, "metric": metric}
