"""The shutdown of a worker: queued jobs are due again at once, and jobs in flight have a bounded time."""

import queue
import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from shared.refresh_queue import RefreshJob
from tests.harness import Harness
from tests.worker.running import claims
from worker.queue import shutdown
from worker.queue.shutdown import shut_down


class StoppingWorker:
    """Stands in for a worker with queued messages, and notes how it is stopped."""

    def __init__(self, *messages: dict[str, Any], ends: bool = True) -> None:
        self.work_queue: queue.Queue[Any] = queue.Queue()
        for kwargs in messages:
            self.work_queue.put(SimpleNamespace(message=SimpleNamespace(kwargs=kwargs)))
        self.stopped_with: list[int] = []
        self.may_end = threading.Event()
        if ends:
            self.may_end.set()

    def stop(self, milliseconds: int) -> None:
        """Note the grace, and end when the test says so."""
        self.stopped_with.append(milliseconds)
        self.may_end.wait(60)


def message(job: RefreshJob) -> dict[str, Any]:
    return {"account_id": job.account_id, "claims": [list(claim) for claim in job.claims]}


def stop(worker: StoppingWorker, engine: Any) -> None:
    shut_down(worker, engine)  # type: ignore[arg-type] # what a shutdown needs of a worker


def test_claims_of_queued_jobs_are_released(harness: Harness) -> None:
    queued, running = (
        harness.publications(harness.account(name))[0] for name in ("acc_queued", "acc_running")
    )
    jobs = {job.account_id: job for job in claims(harness)}
    worker = StoppingWorker({"account_id": "acc_queued"}, message(jobs["acc_queued"]), {})

    stop(worker, harness.context.engine)

    assert worker.stopped_with == [9_000]
    states = [harness.state(one) for one in (queued, running)]
    assert [(row.claimed_at is None, row.wait <= timedelta()) for row in states] == [
        (True, True),
        (False, False),
    ]


def test_worker_that_does_not_end_is_left_after_the_grace(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "GRACE", timedelta(milliseconds=50))
    worker = StoppingWorker(ends=False)

    stop(worker, harness.context.engine)

    assert worker.stopped_with == [50]
    worker.may_end.set()


def test_worker_stops_although_the_database_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    def away() -> None:
        raise OperationalError("UPDATE", {}, Exception("away"))

    worker = StoppingWorker()
    stop(worker, SimpleNamespace(begin=away))

    assert worker.stopped_with == [9_000]
    assert "claims_not_released" in capsys.readouterr().out


@pytest.mark.parametrize(("release_takes", "left"), [(3.0, 6.0), (20.0, 0.0)])
def test_jobs_in_flight_have_what_the_release_leaves_of_the_grace(
    monkeypatch: pytest.MonkeyPatch, release_takes: float, left: float
) -> None:
    clock = SimpleNamespace(at=1_000.0)
    done: list[object] = []
    thread = SimpleNamespace(start=lambda: done.append("stop"), join=done.append)

    def away() -> None:
        clock.at += release_takes
        raise OperationalError("UPDATE", {}, Exception("away"))

    monkeypatch.setattr(shutdown, "time", SimpleNamespace(monotonic=lambda: clock.at))

    def started(*, daemon: bool, **_: object) -> object:
        assert daemon, "a job that hangs does not keep the process alive"
        return thread

    monkeypatch.setattr(shutdown, "threading", SimpleNamespace(Thread=started))
    stop(StoppingWorker(), SimpleNamespace(begin=away))

    assert done == ["stop", left]
