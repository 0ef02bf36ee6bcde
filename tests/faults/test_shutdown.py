"""How services stop: jobs in flight are finished, other claims are released, no process is left behind."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import psutil
import pytest

from shared.accounts.vault import new_key
from shared.process import STOP_WITHIN
from tests.faults.harness.environment import Environment, open_environment
from tests.faults.harness.fleet import GRACE_SECONDS, ROOT, Member, frozen, own_environment
from tests.faults.harness.waiting import wait_until
from tests.faults.judge.observations import collect, lost_jobs, take_baseline
from tests.servers import fast_parent, server_directory

TIMEOUT = 30.0
READY = {"worker": "worker_started", "scheduler": "scheduler_started", "api_stub": "api_listening"}
"""What each service logs when it serves."""
NUMBERS = count()
IN_FLIGHT = """
SELECT count(*) FROM faults.row_changes s
  JOIN refresh_state r ON r.publication_id = s.publication_id AND r.claim_seq = s.seq
 WHERE s.kind = 'started' AND r.claimed_at IS NOT NULL
"""


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with server_directory(fast_parent()) as made:
        yield made


@pytest.fixture(scope="module")
def running_environment(directory: Path) -> Iterator[Environment]:
    with open_environment(directory, seed=3, workers=1) as environment:
        yield environment


@pytest.fixture
def busy(running_environment: Environment) -> Iterator[Environment]:
    """Give an environment whose only worker makes slow calls, after starting the services that ended."""
    fleet = running_environment.fleet
    ended = [module for module in READY if not fleet.of(module)]
    started = [fleet.start(module, name=f"{module}-{next(NUMBERS)}") for module in ended]
    for member in started:
        wait_until(partial(member.logged, READY[member.module]), TIMEOUT, f"a running {member.name}")
    running_environment.behave(latency_seconds=1.0)
    yield running_environment
    running_environment.behave()


def worker_with_a_job(busy: Environment) -> Member:
    take_baseline(busy)
    wait_until(lambda: busy.value(IN_FLIGHT) > 0, TIMEOUT, "a job in flight")
    return busy.fleet.of("worker")[0]


def queued_claims(busy: Environment) -> set[tuple[int, int]]:
    """Return the claims in messages that a worker may still take."""
    claims: set[tuple[int, int]] = set()
    with busy.redis() as client:
        for lane in ("background", "interactive"):
            for one in client.lrange(f"dramatiq:{lane}", 0, -1):
                message = json.loads(client.hget(f"dramatiq:{lane}.msgs", one))
                claims |= {(claim[0], claim[1]) for claim in message["kwargs"].get("claims", [])}
    return claims


def test_sigterm_finishes_jobs_in_flight_and_releases_other_claims(busy: Environment) -> None:
    baseline = take_baseline(busy)
    worker = worker_with_a_job(busy)

    assert busy.fleet.stop(worker) == []
    ended_at = busy.now()

    observations = collect(busy, baseline, ended_at)
    assert busy.value(IN_FLIGHT) == 0
    assert lost_jobs(observations) == 0
    claimed = busy.query("SELECT publication_id, claim_seq FROM refresh_state WHERE claimed_at IS NOT NULL")
    assert set(claimed) <= queued_claims(busy), (
        "a claim that no worker can take must not wait for the end of its lease"
    )


def test_second_sigterm_stops_a_worker_at_once(busy: Environment) -> None:
    busy.behave(latency_seconds=2.4)
    worker = worker_with_a_job(busy)

    worker.signal(signal.SIGTERM)
    with busy.redis() as client:
        wait_until(lambda: client.zcard("dravo:alive") == 0, TIMEOUT, "a worker that takes no more jobs")
    worker.signal(signal.SIGTERM)

    # Exit code 0 would mean that it waited for its job, and a longer wait that only the last resort ended it.
    assert worker.process.wait(STOP_WITHIN.total_seconds() / 2) == 1
    del busy.fleet.members[worker.name]


@pytest.mark.parametrize("module", READY)
def test_service_stops_when_its_parent_dies(
    module: str, database_url: str, redis_url: str, directory: Path
) -> None:
    log = directory / f"orphan-{module}.log"
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-m', {module!r}], stderr=open({str(log)!r}, 'wb'))\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    environment = {
        **own_environment(),
        "DRAVO_DATABASE_URL": database_url,
        "DRAVO_REDIS_URL": redis_url,
        "DRAVO_SECRET_KEYS": new_key(),
        "DRAVO_API_PORT": "0",
        "DRAVO_LOG_FORMAT": "json",
    }
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    wait_until(lambda: READY[module].encode() in log.read_bytes(), TIMEOUT, f"a running {module}")

    parent.kill()
    parent.wait()
    parent.stdout.close()

    wait_until(lambda: not child.is_running() or child.status() == "zombie", TIMEOUT, f"the end of {module}")


def test_sigterm_to_frozen_services_stops_them_when_they_resume(busy: Environment) -> None:
    members = [busy.fleet.of(module)[0] for module in READY]
    for member in members:
        member.signal(signal.SIGSTOP)
        wait_until(member.frozen, TIMEOUT, f"a frozen {member.module}")

    for member in members:
        member.signal(signal.SIGTERM)
        member.signal(signal.SIGCONT)

    for member in members:
        assert member.process.wait(TIMEOUT) == 0
        del busy.fleet.members[member.name]


def test_services_stop_in_time_while_both_stores_hang(busy: Environment) -> None:
    with frozen(busy.valkey.pid, busy.postgres.pid):
        problems = busy.fleet.stop()

    # Exit code 1 is correct here: the claims could not be released.
    assert [one for one in problems if not one.endswith("ended with 1")] == []


def test_services_stop_in_time_and_leave_no_process_behind(busy: Environment) -> None:
    began = time.monotonic()

    assert busy.fleet.stop() == []

    assert time.monotonic() - began < GRACE_SECONDS
