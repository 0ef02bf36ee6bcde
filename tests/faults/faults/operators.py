"""Mistakes and races of operators: a key removed too early, a resume while a worker defers rows."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr
from sqlalchemy import Engine

from shared import database
from shared.accounts import reseal
from shared.accounts.vault import Vault, new_key
from shared.operations.audit_log import Operator
from shared.operations.pause import Scope, pause_scope, resume_scope
from tests.faults.harness.environment import LEASE, Environment
from tests.faults.harness.fleet import Member
from tests.faults.harness.waiting import wait_until
from tests.faults.judge.invariants import Tolerance
from tests.faults.matrix import Fault, RoundContext

_TIMEOUT = 30.0
_RESUME_RACE_TRIES = 3
_OPERATOR = Operator("faults", "command")


@contextmanager
def _engine(environment: Environment) -> Iterator[Engine]:
    engine = database.connect(environment.postgres.url, application="faults", pool_size=1)
    try:
        yield engine
    finally:
        engine.dispose()


def key_dropped(context: RoundContext) -> None:
    """Give the workers a new key without the old one; then restore the old key, rotate, and remove it."""
    environment = context.environment
    old, new = environment.settings["DRAVO_SECRET_KEYS"], new_key()
    names = [member.name for member in environment.fleet.of("worker")]

    def restart(keys: str) -> None:
        environment.fleet.stop(*environment.fleet.of("worker"))
        for name in names:
            environment.fleet.start("worker", name=name, DRAVO_SECRET_KEYS=keys)

    restart(new)
    recorded = "SELECT count(*) > 0 FROM post_analytics WHERE outcome = 'misconfigured'"
    wait_until(lambda: environment.value(recorded), _TIMEOUT, "a refresh that records the missing key")
    restart(f"{new},{old}")
    _rotate(environment, new, old)
    restart(new)
    environment.await_reads(environment.now(), _TIMEOUT)
    # Back to the first key, so that the next round is not affected.
    restart(f"{old},{new}")
    _rotate(environment, old, new)
    restart(old)


def _rotate(environment: Environment, *keys: str) -> None:
    with _engine(environment) as engine:
        *_, done = reseal.reseal(engine, Vault([SecretStr(key) for key in keys]))
    assert done.unopened == []
    assert done.resealed == done.accounts


def resume_race(context: RoundContext) -> None:
    """Resume while a worker that has seen a pause without an end has not yet deferred its rows."""
    environment = context.environment
    with environment.fleet.stopped("worker"):
        for _ in range(_RESUME_RACE_TRIES):
            victim = environment.fleet.start_with_failpoints(
                "worker", "received=stop,fetched=stop", DRAVO_WORKER_THREADS="1"
            )
            deferring = _pause_before_the_start(environment, victim)
            if not deferring:
                environment.fleet.stop(victim)
            with _engine(environment) as engine, engine.begin() as connection:
                resume_scope(connection, _OPERATOR, Scope())
            if deferring:
                victim.signal(signal.SIGCONT)
                break
        else:
            raise AssertionError("no worker started a job that it had to defer")
    environment.await_reads(environment.now(), 4 * LEASE.total_seconds())
    environment.fleet.stop(victim)


def _pause_before_the_start(environment: Environment, victim: Member) -> bool:
    """Pause everything while the worker has received a job; return whether it then started that job.

    On a machine under load the lease may expire before the worker is seen frozen, and its job never starts.
    """
    wait_until(victim.frozen, _TIMEOUT, "a worker frozen before it starts a job")
    with _engine(environment) as engine, engine.begin() as connection:
        pause_scope(connection, _OPERATOR, Scope(), "resume race")
    started = environment.value("SELECT count(*) FROM faults.row_changes WHERE kind = 'started'")
    victim.signal(signal.SIGCONT)
    more = "SELECT count(*) > %s FROM faults.row_changes WHERE kind = 'started'"
    try:
        wait_until(lambda: environment.value(more, started), LEASE.total_seconds(), "the start of the job")
    except AssertionError:
        return False
    wait_until(victim.frozen, _TIMEOUT, "a worker frozen with rows to defer")
    return True


FAULTS = (
    Fault("key dropped", key_dropped, Tolerance(late=LEASE), short=False),
    Fault("resume race", resume_race, Tolerance(late=LEASE)),
)
