"""Claims of a harness, and jobs in flight."""

from datetime import UTC, datetime, timedelta

from shared.refresh_state.claim import Claims, claim
from shared.vocabulary import Lane, Platform
from tests.harness import Harness

LEASE = timedelta(seconds=60)


def claimed(
    harness: Harness,
    lane: Lane = Lane.BACKGROUND,
    *,
    jobs: int = 100,
    platform_jobs: int = 100,
    ahead: float = 0,
) -> Claims:
    with harness.engine.begin() as connection:
        return claim(
            connection,
            lane,
            jobs=jobs,
            platform_jobs=platform_jobs,
            lease=LEASE,
            top_up=dict.fromkeys(Platform, timedelta(seconds=ahead)),
        )


def in_flight(harness: Harness, account: str, jobs: int, *, left: timedelta = LEASE) -> list[int]:
    """Store rows of so many jobs under way, each claimed at an instant of its own."""
    ids = harness.publications(account, jobs, reason="claimed", next_run_at=datetime.now(UTC) + left)
    harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
    for number, one in enumerate(ids):
        harness.execute(
            "UPDATE refresh_state SET claimed_at = :at WHERE publication_id = :id",
            at=datetime.now(UTC) - timedelta(seconds=number + 1),
            id=one,
        )
    return ids
