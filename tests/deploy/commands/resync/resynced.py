"""Rows that a re-sync has made due, and their outcomes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.database import connect
from tests.deploy.commands.fake_worker import FakeWorker

LATER = "UPDATE refresh_state SET next_run_at = now() + interval '1 hour', reason = 'stale', priority = 0"


def due(sql: Any) -> list[str]:
    rows = sql(
        "SELECT post_id FROM publications p JOIN refresh_state r ON r.publication_id = p.id"
        " WHERE r.next_run_at <= now() ORDER BY post_id"
    )
    return [post_id for (post_id,) in rows]


def ids_of_x(sql: Any) -> list[int]:
    return [one for (one,) in sql("SELECT id FROM publications WHERE account_id = 'acc_x'")]


@pytest.fixture
def worker(database_url: str) -> Iterator[Callable[..., FakeWorker]]:
    engine = connect(database_url, application="tests", pool_size=1)
    yield lambda **outcomes: FakeWorker(engine, outcomes)
    engine.dispose()
