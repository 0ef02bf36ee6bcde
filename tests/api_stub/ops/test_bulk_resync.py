"""Bulk re-syncs in the background of the page: what ends one, and that the next one runs."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from api_stub.ops.bulk_resync import BackgroundResyncs
from shared.operations import bulk_resync


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Return the steps that were run, each with its entry and its lane; the entry 13 loses its database."""
    made: list[tuple[int, bool]] = []

    def run(_engine: object, entry_id: int, _pace: object, *, interactive: bool) -> Iterator[int]:
        for number in range(3):
            if entry_id == 13:
                raise OperationalError("UPDATE", {}, Exception())
            made.append((entry_id, interactive))
            yield number

    monkeypatch.setattr(bulk_resync, "run", run)
    return made


def test_resync_after_one_that_failed_is_run_in_the_background_lane(steps: list[Any]) -> None:
    resyncs = BackgroundResyncs(cast(Engine, None))
    try:
        resyncs.resume(13)
        resyncs.resume(7)
        resyncs.wait()
        assert steps == [(7, False)] * 3
        assert resyncs.running == set()
    finally:
        resyncs.stop()


def test_stop_ends_a_resync_after_its_step(steps: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    resyncs = BackgroundResyncs(cast(Engine, None))
    resumed: list[set[int]] = []

    def submit(run: Any, *arguments: Any, **options: Any) -> None:
        resumed.append(set(resyncs.running))
        resyncs.stop()
        run(*arguments, **options)

    monkeypatch.setattr(resyncs._pool, "submit", submit)
    resyncs.resume(7)

    assert (steps, resumed, resyncs.running) == ([(7, False)], [{7}], set())
