"""A history of months for tests of retention, and runs of it."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from shared.retention.policy import Retention
from shared.retention.run import Done, step
from tests.harness import Harness

DAY = timedelta(days=1)


def month_start(ago: int) -> datetime:
    """Return the first instant of the month that was so many months ago."""
    now = datetime.now(UTC)
    number = now.year * 12 + now.month - 1 - ago
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def make_months(harness: Harness, *ago: int) -> list[str]:
    """Create the partitions of these months and return their names."""
    with harness.engine.begin() as connection:
        for number in ago:
            connection.execute(
                text("SELECT make_snapshot_partition(:month)"), {"month": month_start(number).date()}
            )
    return [f"snapshots_{month_start(number):%Y_%m}" for number in ago]


def reading(
    harness: Harness, publication: int, at: datetime, views: int | None, *, newest: bool = False
) -> None:
    """Store a reading; ``newest``: the publication's analytics row refers to it."""
    metrics = "{}" if views is None else f'{{"views": {views}}}'
    harness.execute(
        "INSERT INTO snapshots VALUES (:id, :at, :at, 1, 1, 'synced', CAST(:metrics AS jsonb))",
        id=publication,
        at=at,
        metrics=metrics,
    )
    if newest:
        harness.execute(
            "UPDATE post_analytics SET snapshot_at = :at, last_updated_at = :at,"
            " metrics = CAST(:metrics AS jsonb) WHERE publication_id = :id",
            id=publication,
            at=at,
            metrics=metrics,
        )


def run(harness: Harness, setting: str = "on", *, most: int = 60) -> list[Done]:
    """Run steps until nothing is due."""
    steps = []
    while (done := step(harness.engine, Retention.parse(setting))) is not None:
        steps.append(done)
        assert len(steps) < most
    return steps


def stored(harness: Harness, table: str) -> list[tuple[int, datetime, dict[str, int]]]:
    """Return the readings in a table."""
    rows = harness.execute(f"SELECT publication_id, taken_at, metrics FROM {table} ORDER BY 1, 2")
    return [(row.publication_id, row.taken_at, row.metrics) for row in rows]
