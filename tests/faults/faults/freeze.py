"""Services that are frozen past their lease, have wrong clocks, or receive messages several times."""

import signal
from collections.abc import Callable

from tests.faults.harness.clients.forced_refresh_client import forced_refreshes
from tests.faults.harness.environment import LEASE, THREADS, Environment
from tests.faults.harness.waiting import wait_until
from tests.faults.judge.invariants import Tolerance
from tests.faults.matrix import Fault, RoundContext

_TIMEOUT = 30.0
_ONE_FROZEN = Tolerance(lost_jobs=THREADS)


def frozen_past_its_lease(
    gap: str, module: str = "worker", **settings: str
) -> Callable[[RoundContext], None]:
    """Freeze a worker that has a job, wait until other workers have repeated the job, and resume it."""

    def inject(context: RoundContext) -> None:
        environment = context.environment
        victim = environment.fleet.start_with_failpoints(module, f"{gap}=stop", **settings)
        wait_until(victim.frozen, _TIMEOUT, f"a worker frozen at {gap}")
        repeated = _all_repeated(environment)
        wait_until(repeated, LEASE.total_seconds() * 3, "other workers that repeat the frozen worker's job")
        victim.signal(signal.SIGCONT)
        if module != "worker":
            environment.fleet.stop(victim)  # it finishes its job, and the judge must observe that
        elif gap == "fetched":
            wait_until(lambda: victim.logged('"fenced"'), _TIMEOUT, "an outcome that is rejected")

    return inject


def _all_repeated(environment: Environment) -> Callable[[], bool]:
    """Return a condition: every claim that is open now has ended, so other workers finished the frozen one's.

    They increase ``claim_seq`` when they claim a row and when they start it. A row whose ``claim_seq`` is
    three higher has been claimed once more, so it has been finished.
    """
    [(ids, numbers)] = environment.query(
        "SELECT COALESCE(array_agg(publication_id), '{}'), COALESCE(array_agg(claim_seq), '{}')"
        " FROM refresh_state WHERE claimed_at IS NOT NULL"
    )
    return lambda: (
        not environment.value(
            "SELECT EXISTS (SELECT 1 FROM unnest(%s::bigint[], %s::bigint[]) AS c (id, seq)"
            " JOIN refresh_state r ON r.publication_id = c.id"
            " WHERE r.claimed_at IS NOT NULL AND r.claim_seq < c.seq + 3)",
            ids,
            numbers,
        )
    )


def scheduler_frozen(gap: str) -> Callable[[RoundContext], None]:
    """Freeze one of two schedulers; the claims that it enqueues when it resumes are void."""

    def inject(context: RoundContext) -> None:
        environment = context.environment
        with environment.fleet.stopped("scheduler"):
            victim = environment.fleet.start_with_failpoints("scheduler", f"{gap}=stop")
            wait_until(victim.frozen, _TIMEOUT, "a frozen scheduler")
        environment.await_reads(environment.now(), 3 * LEASE.total_seconds())
        victim.signal(signal.SIGCONT)

    return inject


def api_frozen_during_forced_refresh(context: RoundContext) -> None:
    """Freeze the API in the transaction that makes rows due: its locks may delay refreshes only briefly."""
    environment = context.environment
    environment.fleet.stop(*environment.fleet.of("api_stub"))
    victim = environment.fleet.start_with_failpoints("api_stub", "made_due=stop")
    with forced_refreshes(environment):
        wait_until(victim.frozen, _TIMEOUT, "an API that is frozen")
        environment.await_reads(environment.now(), 1.5 * LEASE.total_seconds())
        victim.signal(signal.SIGCONT)
    problems = environment.fleet.stop(victim)
    assert problems == [], problems
    environment.fleet.start("api_stub", name="api_stub-a")


def clocks_apart(context: RoundContext) -> None:
    """Replace the scheduler by two, one an hour behind and one an hour ahead."""
    environment = context.environment
    environment.fleet.stop(*environment.fleet.of("scheduler"))
    for hours in ("-1", "1"):
        environment.fleet.start(
            "tests.faults.variants.skewed_scheduler", name=f"skewed{hours}", SKEW_HOURS=hours
        )
    environment.await_reads(environment.now(), (2 * LEASE).total_seconds())
    _restore_scheduler(environment)


def every_message_three_times(context: RoundContext) -> None:
    """Deliver every message three times."""
    environment = context.environment
    environment.fleet.stop(*environment.fleet.of("scheduler"))
    environment.fleet.start("tests.faults.variants.redelivering_scheduler", name="redelivering")
    for _ in range(int(context.seconds(1, 5))):
        environment.await_reads(environment.now(), (2 * LEASE).total_seconds())
    _restore_scheduler(environment)


def _restore_scheduler(environment: Environment) -> None:
    odd = [one for one in environment.fleet.members.values() if one.module.startswith("tests.faults.")]
    environment.fleet.stop(*odd)
    environment.fleet.start("scheduler", name="scheduler-a")


FAULTS = (
    Fault("worker frozen past its lease, after the fetch", frozen_past_its_lease("fetched"), _ONE_FROZEN),
    Fault(
        "worker frozen past its lease, before the fetch",
        frozen_past_its_lease("started"),
        _ONE_FROZEN,
        short=False,
    ),
    Fault("worker frozen past its lease, in a transaction", frozen_past_its_lease("recorded"), _ONE_FROZEN),
    Fault("one of two schedulers frozen", scheduler_frozen("claimed"), short=False),
    Fault("one of two schedulers frozen, in a transaction", scheduler_frozen("claiming")),
    Fault(
        "API frozen during refresh=true, in a transaction",
        api_frozen_during_forced_refresh,
        replaces_api=True,
    ),
    Fault("schedulers' clocks an hour apart", clocks_apart),
    Fault("every message delivered three times", every_message_three_times),
)
