"""Re-plans rows that another freshness policy planned, slice by slice: they do not become due at once."""

from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Engine, text

from scheduler.outages import outages_logged
from shared.freshness.leading import leading_value
from shared.freshness.plan import Known, Planner, part_of_row
from shared.freshness.policy import Freshness
from shared.freshness.priors import parse_priors
from shared.refresh_state.replan import replan
from shared.settings import Settings
from shared.vocabulary import Platform

REPLAN_EVERY: Final = timedelta(seconds=5)
ROWS: Final = 2_000
"""Publications that one run looks at: ten million take seven hours."""
_SPREAD: Final = timedelta(hours=6)
"""Rows that the policy wants at once are spread over so long, or over a fixed interval that is shorter."""

_ROWS: Final = text("""
SELECT p.id, p.platform, COALESCE(p.published_at, p.created_at) AS published_at, p.media_type,
       a.metrics, a.last_updated_at, a.freshness, now() AS now
  FROM (SELECT * FROM publications WHERE id > :after ORDER BY id LIMIT :most) AS p
  JOIN post_analytics a ON a.publication_id = p.id
 ORDER BY p.id
""")
_log = structlog.get_logger(__name__)


class Replanning:
    """One pass over all rows after the start of a scheduler: settings are read then."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._policy = Freshness.parse(settings.freshness)
        self._engine = engine
        self._after: int | None = 0
        self._moved = 0

    def run(self) -> None:
        """Re-plan the next slice; without an effect once the pass has ended."""
        if self._after is None:
            return
        with outages_logged(), self._engine.begin() as connection:
            rows = connection.execute(_ROWS, {"after": self._after, "most": ROWS}).all()
            planned = {row.id: self._planned(row) for row in rows if self._is_others(row)}
            self._moved += replan(connection, planned) if planned else 0
            self._after = rows[-1].id if rows else None
            if self._after is None and self._moved:
                _log.info("rows_replanned", rows=self._moved, policy=self._policy.name)

    def _is_others(self, row: Any) -> bool:
        """Return whether another policy planned the row; `replan` moves it if it is fresh."""
        planned_by = (row.freshness or {}).get("policy")
        return row.last_updated_at is not None and planned_by != self._policy.name

    def _planned(self, row: Any) -> datetime:
        platform = Platform(row.platform)
        prior = parse_priors(self._settings.freshness_priors)[platform]
        planner = Planner(self._policy, platform, prior)
        known = Known(row.id, row.published_at, row.media_type, row.freshness, 0)
        measured = row.freshness and "value" in row.freshness
        value = None if measured else leading_value(platform, row.metrics)
        wanted = planner.plan(known, value, row.last_updated_at).stale_after
        spread = min(_SPREAD, self._policy.interval or _SPREAD) * part_of_row(row.id)
        earliest: datetime = row.now + spread
        return max(wanted, earliest)
