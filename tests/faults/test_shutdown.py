"""How services end: what is in flight is finished, the rest given back, nothing left behind."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil publishes no types
import pytest

from tests.faults.harness.environment import LEASE, Stage, stage
from tests.faults.harness.fleet import GRACE_SECONDS, ROOT, Member, frozen
from tests.faults.harness.waiting import until
from tests.faults.judge.observations import begin, collect, lost_jobs
from tests.servers import fast_parent, server_directory

PATIENCE = 30.0
IN_FLIGHT = """
SELECT count(*) FROM faults.steps s
  JOIN refresh_state r ON r.publication_id = s.publication_id AND r.claim_seq = s.seq
 WHERE s.kind = 'started' AND r.claimed_at IS NOT NULL
"""


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with server_directory(fast_parent()) as made:
        yield made


@pytest.fixture(scope="module")
def on_stage(directory: Path) -> Iterator[Stage]:
    with stage(directory, seed=3, workers=1) as set_up:
        yield set_up


@pytest.fixture
def busy(on_stage: Stage) -> Iterator[Stage]:
    """Give a stage whose only worker has calls under way that take a while."""
    on_stage.behave(latency_seconds=1.0)
    yield on_stage
    on_stage.behave()
    for module in ("worker", "scheduler", "api_stub"):
        if not on_stage.fleet.of(module):
            on_stage.fleet.start(module, name=f"{module}-a")
    on_stage.await_api()
    on_stage.await_reads(on_stage.now(), 3 * LEASE.total_seconds())


def a_worker_at_work(busy: Stage) -> Member:
    begin(busy)
    until(lambda: busy.value(IN_FLIGHT) > 0, PATIENCE, "a job in flight")
    return busy.fleet.of("worker")[0]


def claims_that_wait(busy: Stage) -> set[tuple[int, int]]:
    """Return the claims in messages that any worker may still take."""
    claims: set[tuple[int, int]] = set()
    with busy.redis() as client:
        for lane in ("background", "interactive"):
            for one in client.lrange(f"dramatiq:{lane}", 0, -1):
                message = json.loads(client.hget(f"dramatiq:{lane}.msgs", one))
                claims |= {(claim[0], claim[1]) for claim in message["kwargs"].get("claims", [])}
    return claims


def test_sigterm_finishes_what_is_in_flight_and_gives_back_the_rest(busy: Stage) -> None:
    beginning = begin(busy)
    worker = a_worker_at_work(busy)

    assert busy.fleet.end(worker) == []
    ended_at = busy.now()

    evidence = collect(busy, beginning, ended_at)
    assert busy.value(IN_FLIGHT) == 0
    assert lost_jobs(evidence) == 0
    held = busy.query("SELECT publication_id, claim_seq FROM refresh_state WHERE claimed_at IS NOT NULL")
    assert set(held) <= claims_that_wait(busy), "what nobody can take must not wait for the end of its lease"


def test_a_second_sigterm_ends_a_worker_now(busy: Stage) -> None:
    busy.behave(latency_seconds=2.4)
    worker = a_worker_at_work(busy)

    worker.signal(signal.SIGTERM)
    with busy.redis() as client:
        until(lambda: client.zcard("dravo:alive") == 0, PATIENCE, "a worker that takes no more jobs")
    worker.signal(signal.SIGTERM)

    assert worker.process.wait(1) == 1
    del busy.fleet.members[worker.name]


@pytest.mark.parametrize("module", ["worker", "scheduler", "api_stub"])
def test_a_service_dies_with_its_parent(busy: Stage, directory: Path, module: str) -> None:
    log = directory / f"orphan-{module}.log"
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-m', {module!r}], stderr=open({str(log)!r}, 'wb'))\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    environment = {**busy.environment, "DRAVO_API_PORT": "0", "DRAVO_LOG_FORMAT": "json"}
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    ready = {"worker": b"worker_started", "scheduler": b"scheduler_started", "api_stub": b"api_listening"}
    until(lambda: ready[module] in log.read_bytes(), PATIENCE, f"a running {module}")

    parent.kill()
    parent.wait()
    parent.stdout.close()

    until(lambda: not child.is_running() or child.status() == "zombie", GRACE_SECONDS, f"the end of {module}")


@pytest.mark.parametrize("module", ["worker", "scheduler", "api_stub"])
def test_sigterm_to_a_frozen_service_ends_it_when_it_wakes(busy: Stage, module: str) -> None:
    member = busy.fleet.of(module)[0]
    member.signal(signal.SIGSTOP)
    until(member.frozen, PATIENCE, f"a frozen {module}")

    member.signal(signal.SIGTERM)
    member.signal(signal.SIGCONT)

    assert member.process.wait(GRACE_SECONDS) == 0
    del busy.fleet.members[member.name]


def test_everything_ends_in_time_though_both_stores_hang(busy: Stage) -> None:
    with frozen(busy.valkey.pid, busy.postgres.pid):
        wrong = busy.fleet.end()

    # Exit code 1 is the truth here: claims could not be given back.
    assert [one for one in wrong if not one.endswith("ended with 1")] == []


def test_everything_ends_in_time_and_leaves_nothing_behind(busy: Stage) -> None:
    began = time.monotonic()

    assert busy.fleet.end() == []

    assert time.monotonic() - began < GRACE_SECONDS
