"""Forecast of the calls that a freshness policy makes in a day, from a sample of the rows that are polled."""

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.batches import BATCH_SIZE
from shared.freshness.leading import leading_value
from shared.freshness.plan import Known, Planner
from shared.freshness.policy import Freshness
from shared.freshness.priors import parse_priors
from shared.freshness.refit import Fitted
from shared.settings import Settings
from shared.vocabulary import Platform

_SAMPLES, _PER_SAMPLE = 100, 200
_DAY: Final = timedelta(days=1)

_LAST: Final = text("SELECT COALESCE(max(id), 0) FROM publications")
_ROWS: Final = text("""
SELECT p.id, p.platform, p.account_id, COALESCE(p.published_at, p.created_at) AS published_at, p.media_type,
       a.metrics, a.last_updated_at, a.stale_after, a.freshness, COALESCE(c.reads, 0) AS reads
  FROM (SELECT * FROM publications WHERE id > :after ORDER BY id LIMIT :most) AS p
  JOIN refresh_state r ON r.publication_id = p.id AND r.next_run_at IS NOT NULL
  JOIN post_analytics a ON a.publication_id = p.id AND a.stale_after > a.last_updated_at
  LEFT JOIN read_counts c ON c.publication_id = p.id
""")
_PRESSURES: Final = text(
    "SELECT platform, account_id, max(factor) AS factor FROM quota_pressure GROUP BY 1, 2"
)
_FITS: Final = text(
    "SELECT platform, account_id, half_life, reads_at_first, reads_at_any_age FROM growth_fits"
)
_SAMPLED: Final = text("SELECT count(*) FROM refresh_state WHERE next_run_at IS NOT NULL")


@dataclass(frozen=True, slots=True)
class Calls:
    """What the rows of one platform cost in a day, at the rate of their present intervals."""

    platform: Platform
    rows: int
    """Polled rows, estimated."""
    rows_a_day_before: float
    """Refreshes of rows by the intervals that are planned now."""
    rows_a_day_after: float
    """Refreshes of rows by the policy."""

    @property
    def batch(self) -> int:
        """Rows that one counted call may hold: Meta counts each row of a batch."""
        meta = {Platform.INSTAGRAM, Platform.FACEBOOK}
        return 1 if self.platform in meta else BATCH_SIZE[self.platform]


def forecast(connection: Connection, settings: Settings, policy: Freshness) -> list[Calls]:
    """Return the calls of a day before and after a change to ``policy``, by platform."""
    pressures = {(row.platform, row.account_id): row.factor for row in connection.execute(_PRESSURES)}
    fits = {(row.platform, row.account_id): Fitted(*row[2:]) for row in connection.execute(_FITS)}
    sampled = _sample(connection)
    polled = connection.execute(_SAMPLED).scalar_one()
    scale = polled / max(sum(map(len, sampled.values())), 1)
    calls = []
    for platform in Platform:
        rows = sampled.get(platform, [])
        before = sum(_DAY / (row.stale_after - row.last_updated_at) for row in rows)
        after = sum(_DAY / _interval(row, settings, policy, pressures, fits) for row in rows)
        calls.append(Calls(platform, round(len(rows) * scale), before * scale, after * scale))
    return calls


def _sample(connection: Connection) -> Mapping[Platform, list[Any]]:
    starts = range(0, connection.execute(_LAST).scalar_one(), _PER_SAMPLE)
    rows: dict[Platform, list[Any]] = defaultdict(list)
    for after in random.sample(starts, min(_SAMPLES, len(starts))):
        for row in connection.execute(_ROWS, {"after": after, "most": _PER_SAMPLE}):
            rows[Platform(row.platform)].append(row)
    return rows


def _interval(
    row: Any,
    settings: Settings,
    policy: Freshness,
    pressures: Mapping[tuple[str, str], float],
    fits: Mapping[tuple[str, str], Fitted],
) -> timedelta:
    """Return the interval that the policy would give a row that is refreshed with its present numbers."""
    platform = Platform(row.platform)
    prior = parse_priors(settings.freshness_priors)[platform]
    fitted = fits.get((row.platform, row.account_id)) or fits.get((row.platform, ""))
    prior = fitted.applied_to(prior) if fitted else prior
    known_pressures = [
        pressures[key] for key in ((row.platform, ""), (row.platform, row.account_id)) if key in pressures
    ]
    pressure = max(known_pressures, default=1.0)
    planner = Planner(
        policy,
        platform,
        prior,
        max(pressure, 1.0) if platform is Platform.X else pressure,
    )
    known = Known(row.id, row.published_at, row.media_type, row.freshness, row.reads)
    measured = row.freshness and "value" in row.freshness
    value = None if measured else leading_value(platform, row.metrics)
    interval: timedelta = planner.plan(known, value, row.last_updated_at).stale_after - row.last_updated_at
    return interval
