"""The three waits: for a new publication's first row, for a forced refresh, for a manual re-sync."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from sqlalchemy import Engine

from deploy.bench.throughput.rows import Database
from shared.refresh_state.make_due import make_due
from shared.vocabulary import Reason

_TIMEOUT: Final = 60.0
_DONE: Final = """
SELECT extract(epoch FROM a.attempted_at - CAST(%s AS timestamptz))::float8
  FROM post_analytics a WHERE a.publication_id = %s AND a.attempted_at > %s AND a.sync_status = 'synced'
"""
_PUBLISHED: Final = """
SELECT extract(epoch FROM a.attempted_at - e.received_at)::float8
  FROM events_seen e JOIN publications p ON p.post_id = 'new_' || e.event_id
  JOIN post_analytics a ON a.publication_id = p.id
 WHERE e.event_id = %s AND a.sync_status = 'synced'
"""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the waits are measured on."""

    api: httpx.Client
    """Of the read API, with a key of the workspace."""
    token: str
    """For events."""
    database: Database
    engine: Engine
    posts: Iterator[tuple[int, str, str]]
    """Publications: id, post id and workspace; each is used once."""
    platform_seconds: float
    """How long a platform call takes."""


def first_row(pipeline: Pipeline, name: str) -> float:
    """Publish; return the seconds from the event's transaction to the first row's."""
    number = time.time_ns() % 10**17
    data = {
        "post_id": f"new_{name}",
        "account_id": "acc_tiktok_0",
        "platform_post_id": f"73{number:017}",
        "created_at": datetime.now(UTC).isoformat(),
    }
    event = {"event_id": name, "type": "publication.published", "data": data}
    headers = {"Authorization": f"Bearer {pipeline.token}"}
    pipeline.api.post("/internal/events", json=event, headers=headers).raise_for_status()
    return _until(pipeline, _PUBLISHED, name)


def forced(pipeline: Pipeline) -> float:
    """Read a post with ``refresh=true``; return the seconds beyond the time of the platform call."""
    _, post_id, _ = next(pipeline.posts)
    began = time.perf_counter()
    answer = pipeline.api.get("/v1/analytics/posts", params={"postId": post_id, "refresh": "true"})
    took = time.perf_counter() - began
    answer.raise_for_status()
    return took - pipeline.platform_seconds


def resync(pipeline: Pipeline) -> float:
    """Re-sync one publication; return the seconds from the commit to the new row's transaction."""
    publication_id, _, workspace_id = next(pipeline.posts)
    with pipeline.engine.begin() as connection:
        make_due(connection, workspace_id, [publication_id], Reason.MANUAL)
    requested_at = _one(pipeline, "SELECT clock_timestamp()")
    return _until(pipeline, _DONE, requested_at, publication_id, requested_at)


def _until(pipeline: Pipeline, query: str, *parameters: object) -> float:
    ends = time.monotonic() + _TIMEOUT
    while (seconds := _one(pipeline, query, *parameters)) is None:
        if time.monotonic() > ends:
            raise RuntimeError("a row was not refreshed within a minute")
        time.sleep(0.005)
    return float(seconds)


def _one(pipeline: Pipeline, query: str, *parameters: object) -> Any:
    row = pipeline.database.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None
