"""Faults of our own processes: frozen past their lease, with clocks apart, doubled."""

import signal
from collections.abc import Callable

from tests.faults.harness.environment import LEASE, THREADS, Stage
from tests.faults.harness.forced_refresh_client import asked_for_fresh_rows
from tests.faults.harness.waiting import until
from tests.faults.judge.invariants import Allowed
from tests.faults.matrix import Fault, Scene

_PATIENCE = 30.0
_ONE_FROZEN = Allowed(lost_jobs=THREADS)


def frozen_past_its_lease(gap: str, module: str = "worker", **environment: str) -> Callable[[Scene], None]:
    """Freeze a worker with a job in hand, wait until others have redone it, and wake it."""

    def act(scene: Scene) -> None:
        stage = scene.stage
        victim = stage.fleet.armed(module, f"{gap}=stop", **environment)
        until(victim.frozen, _PATIENCE, f"a worker frozen at {gap}")
        held = _redone(stage)
        until(held, LEASE.total_seconds() * 3, "others that redo the frozen worker's job")
        victim.signal(signal.SIGCONT)
        if module != "worker":
            stage.fleet.end(victim)  # it finishes what it has in hand, and the judge must see that
        elif gap == "fetched":
            until(lambda: victim.says('"fenced"'), _PATIENCE, "the fence")

    return act


def _redone(stage: Stage) -> Callable[[], bool]:
    """Tell when no claim that is open now still is: the frozen one's can be finished by others alone.

    They claim a row (one number more), start it (one more) and finish it; by the third it has been finished.
    """
    [(ids, numbers)] = stage.query(
        "SELECT COALESCE(array_agg(publication_id), '{}'), COALESCE(array_agg(claim_seq), '{}')"
        " FROM refresh_state WHERE claimed_at IS NOT NULL"
    )
    return lambda: (
        not stage.value(
            "SELECT EXISTS (SELECT 1 FROM unnest(%s::bigint[], %s::bigint[]) AS c (id, seq)"
            " JOIN refresh_state r ON r.publication_id = c.id"
            " WHERE r.claimed_at IS NOT NULL AND r.claim_seq < c.seq + 3)",
            ids,
            numbers,
        )
    )


def scheduler_frozen(gap: str) -> Callable[[Scene], None]:
    """Freeze one of two schedulers; what it rings for when it wakes is void."""

    def act(scene: Scene) -> None:
        stage = scene.stage
        with stage.fleet.without("scheduler"):
            victim = stage.fleet.armed("scheduler", f"{gap}=stop")
            until(victim.frozen, _PATIENCE, "a frozen scheduler")
        stage.await_reads(stage.now(), 3 * LEASE.total_seconds())
        victim.signal(signal.SIGCONT)

    return act


def api_frozen_while_it_asks(scene: Scene) -> None:
    """Freeze the API in the transaction that makes rows due: its locks may hold nobody up for long."""
    stage = scene.stage
    stage.fleet.end(*stage.fleet.of("api_stub"))
    victim = stage.fleet.armed("api_stub", "asked=stop")
    with asked_for_fresh_rows(stage):
        until(victim.frozen, _PATIENCE, "an API that is frozen")
        stage.await_reads(stage.now(), 1.5 * LEASE.total_seconds())
        victim.signal(signal.SIGCONT)
    wrong = stage.fleet.end(victim)
    assert wrong == [], wrong
    stage.fleet.start("api_stub", name="api_stub-a")


def clocks_apart(scene: Scene) -> None:
    """Replace the scheduler by two whose clocks are an hour behind and an hour ahead."""
    stage = scene.stage
    stage.fleet.end(*stage.fleet.of("scheduler"))
    for hours in ("-1", "1"):
        stage.fleet.start("tests.faults.harness.skewed_scheduler", name=f"skewed{hours}", SKEW_HOURS=hours)
    stage.await_reads(stage.now(), (2 * LEASE).total_seconds())
    _restore_scheduler(stage)


def thrice(scene: Scene) -> None:
    """Deliver every message three times for a while."""
    stage = scene.stage
    stage.fleet.end(*stage.fleet.of("scheduler"))
    stage.fleet.start("tests.faults.harness.thrice_scheduler", name="thrice")
    for _ in range(int(scene.seconds(1, 5))):
        stage.await_reads(stage.now(), (2 * LEASE).total_seconds())
    _restore_scheduler(stage)


def _restore_scheduler(stage: Stage) -> None:
    odd = [one for one in stage.fleet.members.values() if one.module.startswith("tests.faults.")]
    stage.fleet.end(*odd)
    stage.fleet.start("scheduler", name="scheduler-a")


FAULTS = (
    Fault("worker frozen past its lease, answers in hand", frozen_past_its_lease("fetched"), _ONE_FROZEN),
    Fault(
        "worker frozen past its lease, nothing asked",
        frozen_past_its_lease("started"),
        _ONE_FROZEN,
        short=False,
    ),
    Fault("worker frozen past its lease, in a transaction", frozen_past_its_lease("recorded"), _ONE_FROZEN),
    Fault("one of two schedulers frozen", scheduler_frozen("claimed"), short=False),
    Fault("one of two schedulers frozen, in a transaction", scheduler_frozen("claiming")),
    Fault("API frozen during refresh=true, in a transaction", api_frozen_while_it_asks, replaces_api=True),
    Fault("schedulers' clocks an hour apart", clocks_apart),
    Fault("every message delivered three times", thrice),
)
