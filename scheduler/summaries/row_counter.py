"""Exact row counts of the whole fleet, maintained slice by slice, so that no request counts rows.

A slice is a range of publication ids; counting one takes about a tenth of a second. At any moment the figures
are the sum of each slice's latest count, so none is older than one round: a thousand rows are counted anew
every few seconds, ten million every few minutes, at the same small load. Rare rows are counted, too, where a
sample would report zero.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.outcome_kinds import OutcomeGroup, OutcomeKind
from shared.vocabulary import PauseKind

SLICE: Final = 20_000
"""Ids of a slice."""
RECENT_SECONDS: Final = 60
"""Attempts that ended within so long are counted by outcome: the fleet's throughput a minute."""
_MOST_CAUSES: Final = 40

_NEXT: Final = text("SELECT min(publication_id), now() FROM refresh_state WHERE publication_id > :after")
_LARGEST: Final = text("SELECT max(publication_id) FROM refresh_state")

_BAD: Final = ", ".join(f"'{kind.value}'" for kind in OutcomeKind if kind.group is OutcomeGroup.BAD)
_TROUBLED: Final = f"(pa.sync_status IN ('failed', 'requires_reconnect') OR pa.outcome IN ({_BAD}))"
_BLOCKED: Final = PauseKind.BLOCKED.value

# A row that waits for its stale_after is fresh; every other reason says that it should be read by now.
_COUNT: Final = text(f"""
SELECT a.platform, pa.sync_status, r.reason, COALESCE(r.next_run_at <= now(), FALSE) AS due,
       r.next_run_at IS NOT NULL AS polled, r.reason = 'stale' AND r.next_run_at > now() AS fresh,
       b.subject IS NOT NULL AS blocked,
       CASE WHEN pa.attempted_at > now() - make_interval(secs => :recent) THEN pa.outcome END AS recent,
       CASE WHEN {_TROUBLED} THEN pa.outcome END AS troubled,
       CASE WHEN {_TROUBLED} THEN left(pa.outcome_detail, 200) END AS cause,
       count(*) AS rows
  FROM refresh_state r
  JOIN post_analytics pa ON pa.publication_id = r.publication_id
  JOIN accounts a ON a.account_id = r.account_id
  LEFT JOIN pauses b ON b.platform = a.platform AND b.subject = a.account_id AND b.kind = '{_BLOCKED}'
 WHERE r.publication_id > :after AND r.publication_id <= :upto
 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
""")


@dataclass(frozen=True, slots=True)
class _Slice:
    counted_at: datetime
    groups: tuple[Any, ...]


@dataclass(slots=True)
class RowCounter:
    """The latest count of every slice, and how far the current round has come."""

    slices: dict[int, _Slice] = field(default_factory=dict)
    complete: bool = False
    """Whether every row was counted at least once."""
    progress: float = 0.0
    """Part of the ids that the current round has gone through."""
    _after: int = 0
    _seen: set[int] = field(default_factory=set)

    def step(self, connection: Connection) -> bool:
        """Count the next slice; return whether that ended a round."""
        first, now = connection.execute(_NEXT, {"after": self._after}).one()
        if first is None:
            return self._end_round()
        number = (first - 1) // SLICE
        upto = (number + 1) * SLICE
        bound = {"after": number * SLICE, "upto": upto, "recent": RECENT_SECONDS}
        self.slices[number] = _Slice(now, tuple(connection.execute(_COUNT, bound).all()))
        self._seen.add(number)
        self._after = upto
        self.progress = min(1.0, upto / (connection.execute(_LARGEST).scalar_one_or_none() or upto))
        return self._end_round() if self.progress == 1.0 else False

    def _end_round(self) -> bool:
        self.slices = {number: one for number, one in self.slices.items() if number in self._seen}
        self.complete = True
        self._after, self._seen = 0, set()
        return True

    @property
    def counted_from(self) -> datetime | None:
        """When the oldest slice in the figures was counted; ``None``: there are no rows."""
        return min((one.counted_at for one in self.slices.values()), default=None)

    def payload(self) -> dict[str, Any]:
        """Return the figures by name: lists of the values that rows are grouped by, the count last."""
        rows: Counter[tuple[str, ...]] = Counter()
        runs: Counter[tuple[str, ...]] = Counter()
        due: Counter[tuple[str, ...]] = Counter()
        polled: Counter[tuple[str, ...]] = Counter()
        fresh: Counter[tuple[str, ...]] = Counter()
        blocked: Counter[tuple[str, ...]] = Counter()
        recent: Counter[tuple[str, ...]] = Counter()
        causes: Counter[tuple[str, ...]] = Counter()
        for group in (group for one in self.slices.values() for group in one.groups):
            rows[group.platform, group.sync_status] += group.rows
            runs[group.platform, group.reason] += group.rows
            due[(group.platform,)] += group.rows if group.due else 0
            polled[(group.platform,)] += group.rows if group.polled else 0
            fresh[(group.platform,)] += group.rows if group.fresh else 0
            if group.blocked and group.polled and not group.fresh:
                blocked[(group.platform,)] += group.rows
            if group.recent is not None:
                recent[group.platform, group.recent] += group.rows
            if group.troubled is not None:
                causes[group.platform, group.troubled, group.cause or ""] += group.rows
        counters = {
            "rows": rows,
            "runs": runs,
            "due": due,
            "polled": polled,
            "fresh": fresh,
            "blocked": blocked,
            "recent": recent,
        }
        return {
            **{
                name: [[*values, number] for values, number in sorted(one.items())]
                for name, one in counters.items()
            },
            "causes": [[*values, number] for values, number in causes.most_common(_MOST_CAUSES)],
            "more_causes": max(0, len(causes) - _MOST_CAUSES),
        }
