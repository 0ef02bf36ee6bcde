"""Claims due rows as a scheduler does, without topping jobs up with rows that are not due yet."""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, Engine

from shared.refresh_queue import RefreshJob
from shared.refresh_state.claim import Claims, claim
from shared.refresh_state.ready.memory import ClaimMemory
from shared.vocabulary import Lane, Platform

LEASE: Final = timedelta(seconds=60)


def claim_due(
    connection: Connection,
    lane: Lane = Lane.BACKGROUND,
    *,
    jobs: int = 100,
    platform_jobs: int = 100,
    shared_jobs: int | None = None,
    lease: timedelta = LEASE,
    memory: ClaimMemory | None = None,
) -> Claims:
    """Claim what is due in a lane; only the limits that a test is about are named."""
    return claim(
        connection,
        lane,
        jobs=jobs,
        platform_jobs=platform_jobs,
        shared_jobs=shared_jobs,
        lease=lease,
        top_up=dict.fromkeys(Platform, timedelta()),
        memory=memory,
    )


def due_jobs(engine: Engine, lane: Lane = Lane.BACKGROUND) -> tuple[RefreshJob, ...]:
    """Claim what is due in a lane, in a transaction of its own, and return the jobs."""
    with engine.begin() as connection:
        return claim_due(connection, lane).jobs
