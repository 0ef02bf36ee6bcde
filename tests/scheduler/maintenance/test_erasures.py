"""The scheduler's tick that runs erasures, in its own database role."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from scheduler.maintenance.erasures import Erasures
from shared import database
from shared.erasure.ledger import Ledger
from shared.erasure.run import ROLE
from shared.redis_client import RedisClient
from tests.harness import Harness
from tests.shared.erasure.subjects import fill, request_account, traces


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = database.connect(database_url, application="tests", role=ROLE)
    yield opened
    opened.dispose()


def test_tick_does_one_step_and_rests_until_nothing_is_left(
    harness: Harness, client: RedisClient, engine: Engine
) -> None:
    fill(harness, client)
    request_account(harness)
    erasures = Erasures(engine, client, None)

    rests = []
    harness.execute("CREATE TABLE notes (note TEXT)")
    with capture_logs() as logged:
        while (rest := erasures.run()) is not None:
            rests.append(rest)

    assert len(rests) > 5
    assert all(timedelta() < rest <= timedelta(seconds=5) for rest in rests)
    assert traces(harness, client, "acc_gone") == []
    assert [line["event"] for line in logged] == ["erasure_ended", "erasure_tables_unclassified"]


def test_scan_that_finds_something_is_logged(harness: Harness, client: RedisClient, engine: Engine) -> None:
    fill(harness, client)
    harness.execute("CREATE TABLE notes AS SELECT 'acc_gone' AS note")
    request_account(harness)
    erasures = Erasures(engine, client, None)

    with capture_logs() as logged:
        while erasures.run() is not None:
            pass

    assert [(line["event"], line.get("found")) for line in logged] == [("erasure_incomplete", {"notes": 1})]


def test_ledger_that_cannot_be_written_and_missing_rights_end_the_tick_with_a_log_line(
    harness: Harness, client: RedisClient, engine: Engine, tmp_path: Path
) -> None:
    fill(harness, client)
    request_account(harness)

    with capture_logs() as logged:
        assert Erasures(engine, client, Ledger(tmp_path / "absent" / "ledger")).run() is None
        assert Erasures(harness.scheduler, client, None).run() is None

    assert [line["event"] for line in logged] == ["erasure_ledger_failed", "erasure_step_failed"]
