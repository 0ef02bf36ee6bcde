"""The figures from which attention is computed: the fleet's summary, its pauses, and the recent history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.operations.holds.hold import placed_by
from shared.operations.thresholds import FRESH_SHARE, WEBHOOK_DISABLED_SECONDS
from shared.quota.pauses import PauseInForce, PauseKey, pauses_in_force, stops
from shared.vocabulary import SyncStatus

_SUMMARY: Final = text("SELECT part, payload, counted_at FROM ops_summary WHERE part IN ('rows', 'live')")
_FAILING: Final = text("""
SELECT h.platform, CAST(sum(CAST(o.value AS int)) AS float8) AS rows,
       CAST(sum(CASE WHEN o.key IN ('retry', 'failed') THEN CAST(o.value AS int) ELSE 0 END) AS float8)
           AS failing
  FROM ops_history h CROSS JOIN LATERAL jsonb_each_text(h.outcomes) o
 WHERE h.at > now() - interval '15 minutes'
 GROUP BY 1
""")
_NOT_FRESH_SINCE: Final = text("""
SELECT platform, COALESCE(max(at) FILTER (WHERE fresh >= :share * polled), min(at)) AS since
  FROM ops_history WHERE at > now() - interval '24 hours'
 GROUP BY 1
""")
# An operator's act and its audit entry are written in one transaction, so their instants are equal.
_DISABLED: Final = text("""
SELECT e.endpoint_id, e.workspace_id, e.state_reason, e.state_changed_at
  FROM webhook_endpoints e
 WHERE e.state = 'disabled' AND e.state_changed_at > now() - make_interval(secs => :seconds)
   AND NOT EXISTS (SELECT FROM operator_acts o
                    WHERE o.act = 'webhooks disable' AND o.acted_at = e.state_changed_at)
 ORDER BY e.state_changed_at LIMIT :most
""")
_MOST_DISABLED: Final = 100
_NOW: Final = text("SELECT now()")


@dataclass(frozen=True, slots=True)
class DisabledEndpoint:
    """A webhook endpoint that our sender has disabled."""

    endpoint_id: str
    workspace_id: str
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of the fleet. An unknown figure is ``None`` or missing, never 0."""

    now: datetime
    counted_at: datetime | None = None
    """When a scheduler last wrote the summary; ``None``: never."""
    live: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Any] = field(default_factory=dict)
    stops: Sequence[PauseInForce] = ()
    pauses: Sequence[PauseInForce] = ()
    operators: Mapping[PauseKey, str] = field(default_factory=dict)
    failing: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Refreshes in the last 15 minutes by platform: those that failed, and all."""
    not_fresh_since: Mapping[str, datetime] = field(default_factory=dict)
    """By platform, when it was last as fresh as the alert's threshold; the start of the history otherwise."""
    disabled: Sequence[DisabledEndpoint] = ()
    """Webhook endpoints that were disabled lately, and not by an operator."""

    @property
    def age(self) -> timedelta | None:
        """How old the summary is."""
        return self.now - self.counted_at if self.counted_at else None

    def by_platform(self, name: str) -> dict[str, int]:
        """Return a count of rows by platform, as the row counter names it."""
        return dict(self.rows.get(name, []))

    def ageing(self, platform: str) -> int | None:
        """Return how many polled publications of a platform are not fresh; ``None``: not counted yet."""
        if not self.rows:
            return None
        return self.by_platform("polled").get(platform, 0) - self.by_platform("fresh").get(platform, 0)

    def ageing_of_blocked(self, platform: str) -> int | None:
        """Return how many publications of blocked accounts are not fresh; ``None``: not known, or none."""
        return self.by_platform("blocked").get(platform)

    def locked(self, platform: str) -> int | None:
        """Return how many publications wait for a new connection; ``None``: not known, or none."""
        counts = {(where, status): rows for where, status, rows in self.rows.get("rows", [])}
        return counts.get((platform, SyncStatus.REQUIRES_RECONNECT.value))


def read_figures(connection: Connection) -> Figures:
    """Read the figures: a few rows by key, the pauses, and a day of history."""
    parts = {row.part: row for row in connection.execute(_SUMMARY)}
    live, rows = parts.get("live"), parts.get("rows")
    pauses = pauses_in_force(connection)
    disabled = connection.execute(_DISABLED, {"seconds": WEBHOOK_DISABLED_SECONDS, "most": _MOST_DISABLED})
    return Figures(
        now=connection.execute(_NOW).scalar_one(),
        counted_at=live.counted_at if live else None,
        live=live.payload if live else {},
        rows=rows.payload if rows else {},
        stops=stops(connection),
        pauses=pauses,
        operators=placed_by(connection, pauses),
        failing={row.platform: (int(row.failing), int(row.rows)) for row in connection.execute(_FAILING)},
        not_fresh_since={
            row.platform: row.since for row in connection.execute(_NOT_FRESH_SINCE, {"share": FRESH_SHARE})
        },
        disabled=[DisabledEndpoint(*row) for row in disabled],
    )
