"""Services that are killed: at a failpoint, at a random moment, or by one publication."""

import signal
from collections.abc import Callable
from datetime import timedelta

from shared.refresh_state.ready.in_flight import SUSPECT_STARTS
from tests.faults.harness.clients.forced_refresh_client import forced_refreshes
from tests.faults.harness.environment import FRESHNESS, LEASE, Environment
from tests.faults.harness.waiting import sleep_for, wait_until
from tests.faults.judge.invariants import Tolerance
from tests.faults.matrix import Fault, RoundContext

_TIMEOUT = 30.0


def killed_at(module: str, gap: str) -> Callable[[RoundContext], None]:
    """Start one more process of a service, which is killed at a failpoint."""

    def inject(context: RoundContext) -> None:
        fleet = context.environment.fleet
        victim = fleet.start_with_failpoints(module, f"{gap}=kill")
        assert fleet.await_exit(victim, _TIMEOUT) == -signal.SIGKILL, f"{victim.name} was not killed at {gap}"

    return inject


def scheduler_killed_at(gap: str) -> Callable[[RoundContext], None]:
    """Replace the scheduler by one that is killed at a failpoint, and start it again."""

    def inject(context: RoundContext) -> None:
        with context.environment.fleet.stopped("scheduler"):
            killed_at("scheduler", gap)(context)

    return inject


def killed_with_new_tokens(context: RoundContext) -> None:
    """Kill a worker that has just stored a renewed pair of tokens and has not used it yet."""
    environment = context.environment
    owners = environment.query("SELECT account_id FROM accounts WHERE platform IN ('x', 'tiktok')")

    def dead() -> bool:
        ends_soon = "SELECT count(*) FROM accounts WHERE token_expires_at < now() + interval '10 minutes'"
        if victim.alive and environment.value(ends_soon) == 0:
            expire_soon(environment, context.random.choice(owners)[0])
        return not victim.alive

    with environment.fleet.stopped("worker"):
        victim = environment.fleet.start_with_failpoints("worker", "token_renewed=kill")
        wait_until(dead, _TIMEOUT, "a renewal by the armed worker")
        environment.fleet.await_exit(victim)


def expire_soon(environment: Environment, account_id: str) -> None:
    """Set the expiry of an account's tokens so near that the next job renews them.

    One account at a time: a worker that dies between the platform's answer and the commit loses the new pair.
    """
    environment.query(
        "UPDATE accounts SET token_expires_at = now() + interval '1 minute' WHERE account_id = %s", account_id
    )


def random_worker_killed(context: RoundContext) -> None:
    """Kill a worker at a random moment."""
    fleet = context.environment.fleet
    sleep_for(context.random.uniform(0, FRESHNESS.total_seconds()))
    fleet.kill(context.random.choice(fleet.of("worker")))


def many_random_kills(context: RoundContext) -> None:
    """Kill workers and schedulers at random, one after another, and restart each at once."""
    fleet = context.environment.fleet
    for _ in range(int(context.seconds(40, 80))):
        sleep_for(context.random.uniform(0.3, 1.5))
        fleet.kill(context.random.choice([*fleet.of("worker"), *fleet.of("scheduler")]))
        fleet.restart_dead()


def every_worker_killed(context: RoundContext) -> None:
    """Kill all workers at once, at a random moment; they are restarted afterwards."""
    sleep_for(context.random.uniform(0, FRESHNESS.total_seconds()))
    for victim in context.environment.fleet.of("worker"):
        context.environment.fleet.kill(victim)


def api_killed_during_forced_refresh(context: RoundContext) -> None:
    """Kill the API while a request with refresh=true waits."""
    environment = context.environment
    environment.behave(latency_seconds=1.0)
    with forced_refreshes(environment) as responses:
        try:
            wait_until(
                lambda: environment.value("SELECT count(*) FROM refresh_state WHERE priority > 0") > 0,
                _TIMEOUT,
                "rows that a request waits for",
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; the API's last answer: {responses[-1]}") from error
        finally:
            for member in environment.fleet.of("api_stub"):
                environment.fleet.kill(member)
    environment.behave()


def api_killed_with_an_event(context: RoundContext) -> None:
    """Kill the API between the commit of an event and the answer; the producer sends the event again."""
    environment = context.environment
    environment.fleet.stop(*environment.fleet.of("api_stub"))
    environment.fleet.await_exit(
        environment.fleet.start_with_failpoints("api_stub", "event_committed=kill"), _TIMEOUT
    )
    environment.fleet.start("api_stub", name="api_stub-a")
    acknowledged = len(environment.producer.acknowledged)
    wait_until(
        lambda: len(environment.producer.acknowledged) > acknowledged,
        _TIMEOUT,
        "an event that is acknowledged",
    )


def poison(context: RoundContext) -> None:
    """Let one publication kill every worker that starts it, until it is quarantined.

    The fewest starts for which the quarantine spares the rows that started together with it.
    """
    environment = context.environment
    ids = [row[0] for row in environment.query("SELECT publication_id FROM refresh_state ORDER BY 1")]
    victim = context.random.choice(ids)
    workers = environment.fleet.of("worker")
    environment.fleet.stop(*workers)
    for member in workers:
        environment.fleet.start(
            "worker",
            name=member.name,
            DRAVO_FAILPOINTS=f"started#{victim}=kill",
            DRAVO_LEASE_SECONDS="2",
            DRAVO_QUARANTINE_STARTS=str(SUSPECT_STARTS + 1),
        )

    def quarantined() -> bool:
        for member in list(environment.fleet.members.values()):
            if not member.alive:
                environment.fleet.await_exit(member)
        environment.fleet.restart_dead()
        reason = "SELECT reason FROM refresh_state WHERE publication_id = %s"
        return bool(environment.value(reason, victim) == "quarantined")

    wait_until(quarantined, 12 * LEASE.total_seconds(), "a poison publication in quarantine")
    environment.fleet.stop(*environment.fleet.of("worker"))
    for member in workers:
        environment.fleet.start("worker", name=member.name)


def unquarantine(environment: Environment) -> list[str]:
    """Release the quarantined rows, so that they do not affect the next round."""
    environment.query(
        "UPDATE refresh_state SET next_run_at = now(), reason = 'stale', attempts = 0, unfinished = 0,"
        " claim_seq = claim_seq + 1 WHERE reason = 'quarantined'"
    )
    return []


FAULTS = (
    *(
        Fault(f"worker killed when {gap}", killed_at("worker", gap), short=gap != "acknowledged")
        for gap in ("started", "fetched", "committed", "acknowledged")
    ),
    Fault("worker killed when token_renewed", killed_with_new_tokens),
    Fault("worker killed at a random moment", random_worker_killed, short=False),
    Fault("workers killed at random, many", many_random_kills, Tolerance(late=LEASE), short=False),
    Fault("all workers killed", every_worker_killed, Tolerance(late=timedelta(seconds=3))),
    Fault("scheduler killed when claimed", scheduler_killed_at("claimed")),
    Fault("scheduler killed when enqueued", scheduler_killed_at("enqueued"), short=False),
    Fault("API killed during refresh=true", api_killed_during_forced_refresh, replaces_api=True),
    Fault("API killed when event_committed", api_killed_with_an_event, replaces_api=True),
    Fault("poison publication", poison, Tolerance(late=LEASE, poison=1), after=unquarantine),
)
