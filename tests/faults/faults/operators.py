"""Faults that operators make: a key taken away too early, a resume while a worker defers rows."""

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
from tests.faults.harness.environment import LEASE, Stage
from tests.faults.harness.waiting import until
from tests.faults.judge.invariants import Allowed
from tests.faults.matrix import Fault, Scene

_PATIENCE = 30.0
_OPERATOR = Operator("faults", "command")


@contextmanager
def _engine(stage: Stage) -> Iterator[Engine]:
    engine = database.connect(stage.postgres.url, application="faults", pool_size=1)
    try:
        yield engine
    finally:
        engine.dispose()


def key_dropped(scene: Scene) -> None:
    """Give the workers a new key without the old one; put that back, rotate, and retire it in order."""
    stage = scene.stage
    old, new = stage.environment["DRAVO_SECRET_KEYS"], new_key()
    names = [member.name for member in stage.fleet.of("worker")]

    def restart(keys: str) -> None:
        stage.fleet.end(*stage.fleet.of("worker"))
        for name in names:
            stage.fleet.start("worker", name=name, DRAVO_SECRET_KEYS=keys)

    restart(new)
    recorded = "SELECT count(*) > 0 FROM post_analytics WHERE outcome = 'misconfigured'"
    until(lambda: stage.value(recorded), _PATIENCE, "a refresh that records the missing key")
    restart(f"{new},{old}")
    _rotate(stage, new, old)
    restart(new)
    stage.await_reads(stage.now(), _PATIENCE)
    # And back again: the next round begins like any other.
    restart(f"{old},{new}")
    _rotate(stage, old, new)
    restart(old)


def _rotate(stage: Stage, *keys: str) -> None:
    with _engine(stage) as engine:
        *_, done = reseal.reseal(engine, Vault([SecretStr(key) for key in keys]))
    assert done.unopened == []
    assert done.resealed == done.accounts


def resume_race(scene: Scene) -> None:
    """Let a worker meet a pause without an end, and resume before it has written what that means."""
    stage = scene.stage
    with stage.fleet.without("worker"):
        victim = stage.fleet.armed("worker", "taken=stop,fetched=stop", DRAVO_WORKER_THREADS="1")
        until(victim.frozen, _PATIENCE, "a worker frozen before it starts a job")
        with _engine(stage) as engine, engine.begin() as connection:
            pause_scope(connection, _OPERATOR, Scope(), "resume race")
        started = stage.value("SELECT count(*) FROM faults.steps WHERE kind = 'started'")
        victim.signal(signal.SIGCONT)
        more = "SELECT count(*) > %s FROM faults.steps WHERE kind = 'started'"
        until(lambda: stage.value(more, started), _PATIENCE, "the start of the job")
        until(victim.frozen, _PATIENCE, "a worker frozen with rows to defer")
        with _engine(stage) as engine, engine.begin() as connection:
            resume_scope(connection, _OPERATOR, Scope())
        victim.signal(signal.SIGCONT)
    stage.await_reads(stage.now(), 4 * LEASE.total_seconds())
    stage.fleet.end(victim)


FAULTS = (
    Fault("key dropped", key_dropped, Allowed(late=LEASE), short=False),
    Fault("resume race", resume_race, Allowed(late=LEASE)),
)
