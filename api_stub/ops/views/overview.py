"""The data of the overview, computed from the summary tables. An unknown figure stays ``None``, never 0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row

from api_stub.ops import queries
from api_stub.ops.drawing import charts, timecharts
from shared.operations import audit_log, thresholds
from shared.operations.attention.needs import Attention, needs_you_now
from shared.operations.audit_log import AuditEntry
from shared.outcome_kinds import OutcomeGroup, OutcomeKind, outcome_kind
from shared.quota.pauses import PauseInForce
from shared.vocabulary import AccountState, Platform, SyncStatus

STALE_AFTER_SECONDS: Final = 30.0
"""Figures older than this are shown as outdated: no scheduler updates them."""

_SPARK: Final = (150, 28)


@dataclass(frozen=True, slots=True)
class PlatformSummary:
    """The figures of one platform."""

    name: str
    total: int
    statuses: Mapping[str, int]
    polled: int
    fresh: int
    due: int
    overdue_seconds: float | None
    """The longest wait of a due row that is not paused."""
    paused_seconds: float | None
    """The longest wait of a due row that is paused."""
    line: charts.Line

    @property
    def share(self) -> float | None:
        """The share of polled rows that are fresh; ``None`` when no row is polled."""
        return self.fresh / self.polled if self.polled else None


@dataclass(frozen=True, slots=True)
class Overview:
    """The data of the overview page."""

    rows_age: float | None
    """Seconds since the oldest row count; ``None``: not every row was counted yet."""
    live_age: float | None
    progress: float | None
    """The share of rows counted so far, during the first count; else ``None``."""
    platforms: Sequence[PlatformSummary]
    recent: Sequence[tuple[str, str, int]]
    """Outcome, its group, and the rows whose last attempt had it within the last minute."""
    charts: timecharts.TimeCharts
    causes: Sequence[Sequence[Any]]
    more_causes: int
    reconnect: Sequence[tuple[str, int]]
    accounts: int | None
    accounts_to_reconnect: Sequence[Row[Any]]
    quarantined: int | None
    quarantined_or_more: bool
    claimed: int | None
    queues: Mapping[str, int] | None
    workers: Mapping[str, int] | None
    redis_error: str | None
    pauses: Sequence[PauseInForce]
    audit_log: Sequence[AuditEntry]
    attention: Attention
    delays: Sequence[tuple[str, float | None, float | None]]
    """By workspace: how long its longest due row waits, and how long one that is being refreshed waited."""
    accuracy: Sequence[tuple[str, Mapping[str, float]]]
    """By workspace: the share of the last day's reads that was probably within 5 %, by platform."""
    overdue_threshold: int = thresholds.OVERDUE_SECONDS

    @staticmethod
    def delay_level(seconds: float) -> str:
        """Return the class of a scheduling delay, by the threshold of DravoOverdue."""
        return "bad" if seconds > thresholds.OVERDUE_SECONDS else ""

    @property
    def total(self) -> int:
        """The number of all rows."""
        return sum(platform.total for platform in self.platforms)

    @property
    def due(self) -> int:
        """The number of due rows."""
        return sum(platform.due for platform in self.platforms)

    @property
    def share(self) -> float | None:
        """The share of all polled rows that are fresh."""
        polled = sum(platform.polled for platform in self.platforms)
        return sum(platform.fresh for platform in self.platforms) / polled if polled else None

    @property
    def overdue_seconds(self) -> float | None:
        """The longest wait of a due row that is not paused, on any platform."""
        return max(
            (platform.overdue_seconds for platform in self.platforms if platform.overdue_seconds),
            default=None,
        )

    @property
    def paused_seconds(self) -> float | None:
        """The longest wait of a due row that is paused, on any platform."""
        return max(
            (platform.paused_seconds for platform in self.platforms if platform.paused_seconds), default=None
        )

    @property
    def synced_per_minute(self) -> int:
        """The number of rows that were synced within the last minute."""
        return sum(rows for outcome, _, rows in self.recent if outcome == OutcomeKind.SYNCED)

    @property
    def others_per_minute(self) -> Sequence[tuple[str, int]]:
        """The other outcomes of the last minute, the most frequent first."""
        return [(outcome, rows) for outcome, _, rows in self.recent if outcome != OutcomeKind.SYNCED]

    @property
    def fresh_level(self) -> str:
        """The class of the share of fresh rows, by the threshold of DravoNotFresh."""
        return "waiting" if self.share is not None and self.share < thresholds.FRESH_SHARE else ""

    @property
    def overdue_level(self) -> str:
        """The class of the oldest overdue row, by the threshold of DravoOverdue."""
        return "bad" if (self.overdue_seconds or 0) > thresholds.OVERDUE_SECONDS else ""

    @property
    def reconnect_level(self) -> str:
        """The class of the accounts to reconnect, by the threshold of DravoAccountsNeedReconnect."""
        many = self.to_reconnect > thresholds.RECONNECT_SHARE * (self.accounts or 0)
        return "waiting" if self.to_reconnect and many else ""

    @property
    def failed(self) -> int:
        """The number of rows in the status ``failed``."""
        return sum(platform.statuses.get(SyncStatus.FAILED, 0) for platform in self.platforms)

    @property
    def to_reconnect(self) -> int:
        """The number of accounts that require a reconnect."""
        return sum(number for _, number in self.reconnect)

    @property
    def outdated(self) -> bool:
        """Whether no scheduler updates the figures."""
        return self.live_age is None or self.live_age > STALE_AFTER_SECONDS


def read(connection: Connection, shown: timecharts.Range) -> Overview:
    """Read the data of the overview: the summary tables, and a few rows by index."""
    now = queries.database_now(connection)
    parts = queries.summary(connection)
    rows = parts["rows"].payload if "rows" in parts else {}
    live = parts["live"].payload if "live" in parts else {}
    history, _ = queries.history(connection)
    by_state = [(platform, state, number) for platform, state, number in live.get("accounts", [])]
    return Overview(
        rows_age=float(parts["rows"].oldest) if rows else None,
        live_age=float(parts["live"].age) if live else None,
        progress=live.get("progress"),
        platforms=_platforms(rows, live, history, now),
        recent=_recent(rows),
        charts=timecharts.read(connection, shown, now),
        causes=rows.get("causes", []),
        more_causes=rows.get("more_causes", 0),
        reconnect=[
            (platform, number)
            for platform, state, number in sorted(by_state)
            if state == AccountState.REQUIRES_RECONNECT
        ],
        accounts=sum(number for _, _, number in by_state) if live else None,
        accounts_to_reconnect=queries.accounts(connection, state=AccountState.REQUIRES_RECONNECT)[:5],
        quarantined=live.get("quarantined"),
        quarantined_or_more=live.get("quarantined_or_more", False),
        claimed=live.get("claimed"),
        queues=live.get("queues"),
        workers=live.get("workers"),
        redis_error=live.get("redis_error"),
        pauses=queries.pauses(connection),
        audit_log=audit_log.entries(connection, most=5),
        attention=needs_you_now(connection),
        delays=live.get("delays", []),
        accuracy=_accuracy(queries.accuracy(connection)),
    )


def _platforms(
    rows: Mapping[str, Any], live: Mapping[str, Any], history: Sequence[Row[Any]], now: datetime
) -> list[PlatformSummary]:
    statuses: dict[str, dict[str, int]] = {}
    for platform, status, number in rows.get("rows", []):
        statuses.setdefault(platform, {})[status] = number
    polled, fresh, due = (dict(rows.get(name, [])) for name in ("polled", "fresh", "due"))
    overdue = {(platform, paused): seconds for platform, paused, seconds in live.get("overdue", [])}
    order = {one.value: place for place, one in enumerate(Platform)}
    return [
        PlatformSummary(
            name=platform,
            total=sum(statuses[platform].values()),
            statuses=statuses[platform],
            polled=polled.get(platform, 0),
            fresh=fresh.get(platform, 0),
            due=due.get(platform, 0),
            overdue_seconds=overdue.get((platform, False)),
            paused_seconds=overdue.get((platform, True)),
            line=charts.line(
                [
                    *((row.at.timestamp(), row.fresh) for row in history if row.platform == platform),
                    (now.timestamp(), fresh.get(platform, 0) / (polled.get(platform) or 1)),
                ],
                width=_SPARK[0],
                height=_SPARK[1],
                low=0,
                high=1,
            ),
        )
        for platform in sorted(statuses, key=lambda name: order.get(name, len(order)))
    ]


def _accuracy(rows: Sequence[Row[Any]]) -> list[tuple[str, Mapping[str, float]]]:
    by_workspace: dict[str, dict[str, float]] = {}
    for row in rows:
        by_workspace.setdefault(row.workspace_id, {})[row.platform] = row.share
    return list(by_workspace.items())


def _recent(rows: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    by_outcome: dict[str, int] = {}
    for _, outcome, number in rows.get("recent", []):
        by_outcome[outcome] = by_outcome.get(outcome, 0) + number
    ranked = sorted(by_outcome.items(), key=lambda one: -one[1])
    return [(outcome, group_of(outcome), number) for outcome, number in ranked]


def group_of(outcome: str) -> str:
    """Return the group of an outcome; one that only a newer version knows is shown as bad."""
    kind = outcome_kind(outcome)
    return (kind.group if kind else OutcomeGroup.BAD).value
