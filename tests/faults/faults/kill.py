"""Faults of our own processes: killed, at a gap or at any moment, and by what they read."""

import signal
from collections.abc import Callable
from datetime import timedelta

from tests.faults.harness.environment import FRESHNESS, LEASE, Stage
from tests.faults.harness.forced_refresh_client import asked_for_fresh_rows
from tests.faults.harness.waiting import lasts, until
from tests.faults.judge.invariants import Allowed
from tests.faults.matrix import Fault, Scene

_PATIENCE = 30.0


def dies_at(module: str, gap: str) -> Callable[[Scene], None]:
    """Let one more process of a service die by SIGKILL at a gap."""

    def act(scene: Scene) -> None:
        fleet = scene.stage.fleet
        victim = fleet.armed(module, f"{gap}=kill")
        assert fleet.died(victim, _PATIENCE) == -signal.SIGKILL, f"{victim.name} was not killed at {gap}"

    return act


def scheduler_dies_at(gap: str) -> Callable[[Scene], None]:
    """Let a scheduler die by SIGKILL at a gap, and start another."""

    def act(scene: Scene) -> None:
        with scene.stage.fleet.without("scheduler"):
            dies_at("scheduler", gap)(scene)

    return act


def dies_with_new_tokens(scene: Scene) -> None:
    """Kill a worker that has just stored a renewed pair of tokens and has not used it."""
    stage = scene.stage
    owners = stage.query("SELECT account_id FROM accounts WHERE platform IN ('x', 'tiktok')")

    def dead() -> bool:
        ends_soon = "SELECT count(*) FROM accounts WHERE token_expires_at < now() + interval '10 minutes'"
        if victim.alive and stage.value(ends_soon) == 0:
            expire_soon(stage, scene.random.choice(owners)[0])
        return not victim.alive

    with stage.fleet.without("worker"):
        victim = stage.fleet.armed("worker", "token_renewed=kill")
        until(dead, _PATIENCE, "a renewal by the armed worker")
        stage.fleet.died(victim)


def expire_soon(stage: Stage, account_id: str) -> None:
    """Let an account's stored tokens end within the minutes in which they are renewed ahead.

    One account at a time: no pair is safe between the platform's answer and our commit, whoever dies then.
    """
    stage.query(
        "UPDATE accounts SET token_expires_at = now() + interval '1 minute' WHERE account_id = %s", account_id
    )


def random_worker_dies(scene: Scene) -> None:
    """Kill a worker at any moment of its work."""
    fleet = scene.stage.fleet
    lasts(scene.random.uniform(0, FRESHNESS.total_seconds()))
    fleet.kill(scene.random.choice(fleet.of("worker")))


def barrage(scene: Scene) -> None:
    """Kill workers and schedulers at random, one after another, each started again at once."""
    fleet = scene.stage.fleet
    for _ in range(int(scene.seconds(40, 80))):
        lasts(scene.random.uniform(0.3, 1.5))
        fleet.kill(scene.random.choice([*fleet.of("worker"), *fleet.of("scheduler")]))
        fleet.mend()


def every_worker_dies(scene: Scene) -> None:
    """Kill all workers at once, at any moment; the supervisor starts them again."""
    lasts(scene.random.uniform(0, FRESHNESS.total_seconds()))
    for victim in scene.stage.fleet.of("worker"):
        scene.stage.fleet.kill(victim)


def api_dies_while_asked(scene: Scene) -> None:
    """Kill the API while a read with refresh=true waits."""
    stage = scene.stage
    stage.behave(latency_seconds=1.0)
    with asked_for_fresh_rows(stage) as heard:
        try:
            until(
                lambda: stage.value("SELECT count(*) FROM refresh_state WHERE priority > 0") > 0,
                _PATIENCE,
                "rows that somebody waits for",
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; the API's last answer: {heard[-1]}") from error
        finally:
            for member in stage.fleet.of("api_stub"):
                stage.fleet.kill(member)
    stage.behave()


def api_dies_with_an_event(scene: Scene) -> None:
    """Kill the API between its commit of an event and the answer: the sender sends it again."""
    stage = scene.stage
    stage.fleet.end(*stage.fleet.of("api_stub"))
    stage.fleet.died(stage.fleet.armed("api_stub", "event_committed=kill"), _PATIENCE)
    stage.fleet.start("api_stub", name="api_stub-a")
    told = len(stage.teller.acknowledged)
    until(lambda: len(stage.teller.acknowledged) > told, _PATIENCE, "an event that is acknowledged")


def poison(scene: Scene) -> None:
    """Let one publication kill whoever starts it, until it is set aside."""
    stage = scene.stage
    ids = [row[0] for row in stage.query("SELECT publication_id FROM refresh_state ORDER BY 1")]
    victim = scene.random.choice(ids)
    workers = stage.fleet.of("worker")
    stage.fleet.end(*workers)
    for member in workers:
        stage.fleet.start(
            "worker",
            name=member.name,
            DRAVO_FAILPOINTS=f"started#{victim}=kill",
            DRAVO_LEASE_SECONDS="2",
        )

    def set_aside() -> bool:
        for member in list(stage.fleet.members.values()):
            if not member.alive:
                stage.fleet.died(member)
        stage.fleet.mend()
        reason = "SELECT reason FROM refresh_state WHERE publication_id = %s"
        return bool(stage.value(reason, victim) == "quarantined")

    until(set_aside, 12 * LEASE.total_seconds(), "a poison publication set aside")
    stage.fleet.end(*stage.fleet.of("worker"))
    for member in workers:
        stage.fleet.start("worker", name=member.name)


def release_the_poison(stage: Stage) -> list[str]:
    """Release what was set aside, so that the next round begins like any other."""
    stage.query(
        "UPDATE refresh_state SET next_run_at = now(), reason = 'stale', attempts = 0, unfinished = 0,"
        " claim_seq = claim_seq + 1 WHERE reason = 'quarantined'"
    )
    return []


FAULTS = (
    *(
        Fault(f"worker killed when {gap}", dies_at("worker", gap), short=gap != "acknowledged")
        for gap in ("started", "fetched", "committed", "acknowledged")
    ),
    Fault("worker killed when token_renewed", dies_with_new_tokens),
    Fault("worker killed at any moment", random_worker_dies, short=False),
    Fault("workers killed at random, many", barrage, Allowed(late=LEASE), short=False),
    Fault("all workers killed", every_worker_dies, Allowed(late=timedelta(seconds=3))),
    Fault("scheduler killed when claimed", scheduler_dies_at("claimed")),
    Fault("scheduler killed when enqueued", scheduler_dies_at("enqueued"), short=False),
    Fault("API killed during refresh=true", api_dies_while_asked, replaces_api=True),
    Fault("API killed when event_committed", api_dies_with_an_event, replaces_api=True),
    Fault("poison publication", poison, Allowed(late=LEASE, poison=1), after=release_the_poison),
)
