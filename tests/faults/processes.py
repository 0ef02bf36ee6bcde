"""Faults of our own processes: killed, frozen, doubled, replaced."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from tests.faults.fleet import ROOT, Member
from tests.faults.invariants import Allowed
from tests.faults.matrix import Fault, Scene
from tests.faults.stage import LEASE, THREADS, Stage
from tests.faults.waiting import lasts, until

_PATIENCE = 30.0


def dies_at(module: str, gap: str) -> Callable[[Scene], None]:
    """Let one more process of a service die by SIGKILL at some passage of a gap."""

    def act(scene: Scene) -> None:
        fleet = scene.stage.fleet
        victim = fleet.armed(module, f"{gap}=kill@{scene.random.randint(1, 3)}")
        assert fleet.died(victim, _PATIENCE) == -signal.SIGKILL, f"{victim.name} was not killed at {gap}"

    return act


def dies_with_new_tokens(scene: Scene) -> None:
    """Kill a worker that has just stored a renewed pair of tokens and has not used it."""
    stage = scene.stage
    victim = stage.fleet.armed("worker", "token_renewed=kill")
    until(lambda: victim.says("worker_started"), _PATIENCE, "one more worker")

    owners = stage.query("SELECT account_id FROM accounts WHERE platform IN ('x', 'tiktok')")

    def dead() -> bool:
        ends_soon = "SELECT count(*) FROM accounts WHERE token_expires_at < now() + interval '10 minutes'"
        if victim.alive and stage.value(ends_soon) == 0:
            expire_soon(stage, scene.random.choice(owners)[0])
        return not victim.alive

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
    """Kill a worker at any moment."""
    stage = scene.stage
    victim = scene.random.choice(stage.fleet.of("worker"))
    stage.fleet.kill(victim)


def barrage(scene: Scene) -> None:
    """Kill workers and schedulers at random, one after another, each started again at once."""
    fleet = scene.stage.fleet
    for _ in range(int(scene.seconds(40, 80))):
        lasts(scene.random.uniform(0.3, 1.5))
        fleet.kill(scene.random.choice([*fleet.of("worker"), *fleet.of("scheduler")]))
        fleet.mend()


def every_worker_dies(scene: Scene) -> None:
    """Kill all workers at once; the supervisor starts them again."""
    for victim in scene.stage.fleet.of("worker"):
        scene.stage.fleet.kill(victim)


def api_dies_while_asked(scene: Scene) -> None:
    """Kill the API while a read with refresh=true waits."""
    stage = scene.stage
    stage.behave(latency_seconds=1.0)
    killed, heard = threading.Event(), [""]
    asked = threading.Thread(target=_force, args=(stage, killed, heard))
    asked.start()
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
        killed.set()
        asked.join()
    stage.behave()


def api_dies_with_an_event(scene: Scene) -> None:
    """Kill the API between its commit of an event and the answer: the sender sends it again."""
    stage = scene.stage
    stage.fleet.end(*stage.fleet.of("api_stub"))
    stage.fleet.died(stage.fleet.armed("api_stub", "event_committed=kill"), _PATIENCE)
    stage.fleet.start("api_stub", name="api_stub-a")
    told = len(stage.teller.acknowledged)
    until(lambda: len(stage.teller.acknowledged) > told, _PATIENCE, "an event that is acknowledged")


def _force(stage: Stage, killed: threading.Event, heard: list[str]) -> None:
    """Ask for fresh rows again and again, until the API is killed, and note what it answers."""
    with httpx.Client(
        base_url=stage.api_url,
        headers={"Authorization": f"Bearer {stage.api_key}"},
        timeout=20,
        trust_env=False,
    ) as client:
        while not killed.wait(0.05):
            try:
                answer = client.get("/v1/analytics/posts", params={"refresh": "true", "limit": 100})
            except httpx.TransportError as error:
                heard.append(repr(error))
            else:
                heard.append(f"{answer.status_code} {answer.text[:200]}")


def frozen_past_its_lease(gap: str, module: str = "worker", **environment: str) -> Callable[[Scene], None]:
    """Freeze a worker with a job in hand, wait until others have redone it, and wake it."""

    def act(scene: Scene) -> None:
        stage = scene.stage
        victim = stage.fleet.armed(module, f"{gap}=stop@{scene.random.randint(1, 3)}", **environment)
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


def scheduler_frozen(scene: Scene) -> None:
    """Freeze a scheduler between commit and enqueue; it rings for void claims when it wakes."""
    stage = scene.stage
    victim = stage.fleet.armed("scheduler", "claimed=stop")
    until(victim.frozen, _PATIENCE, "a frozen scheduler")
    until(_redone(stage), LEASE.total_seconds() * 3, "another scheduler that takes over")
    victim.signal(signal.SIGCONT)


def clocks_apart(scene: Scene) -> None:
    """Replace the scheduler by two whose clocks are an hour behind and an hour ahead."""
    stage = scene.stage
    stage.fleet.end(*stage.fleet.of("scheduler"))
    for hours in ("-1", "1"):
        stage.fleet.start("tests.faults.skewed_scheduler", name=f"skewed{hours}", SKEW_HOURS=hours)
    stage.await_reads(stage.now(), (2 * LEASE).total_seconds())
    _restore_scheduler(stage)


def thrice(scene: Scene) -> None:
    """Deliver every message three times for a while."""
    stage = scene.stage
    stage.fleet.end(*stage.fleet.of("scheduler"))
    stage.fleet.start("tests.faults.thrice_scheduler", name="thrice")
    for _ in range(int(scene.seconds(1, 5))):
        stage.await_reads(stage.now(), (2 * LEASE).total_seconds())
    _restore_scheduler(stage)


def _restore_scheduler(stage: Stage) -> None:
    odd = [one for one in stage.fleet.members.values() if one.module.startswith("tests.faults.")]
    stage.fleet.end(*odd)
    stage.fleet.start("scheduler", name="scheduler-a")


def rolling_restart(scene: Scene) -> None:
    """Replace every process, one after another, under load, and look at how each ends."""
    stage = scene.stage
    for member in list(stage.fleet.members.values()):
        wrong = stage.fleet.end(member)
        assert not wrong, wrong
        _again(stage, member)


def rolling_upgrade(scene: Scene) -> None:
    """Go back to the version before, process by process, and forward again: both run side by side.

    The version before is the commit before, or what ``FAULTS_BEFORE`` names to git.
    """
    stage = scene.stage
    with TemporaryDirectory(prefix="dravo-before-") as name:
        revision = os.environ.get("FAULTS_BEFORE", "HEAD~1")
        command = ["git", "-C", str(ROOT), "archive", revision, "shared", "worker", "scheduler", "api_stub"]
        packed = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", name], input=packed.stdout, check=True)
        for root in (Path(name), ROOT):
            for member in list(stage.fleet.members.values()):
                wrong = stage.fleet.end(member)
                assert not wrong, wrong
                _again(stage, member, root)
            stage.await_reads(stage.now(), (2 * LEASE).total_seconds())


def _again(stage: Stage, member: Member, root: Path = ROOT) -> None:
    word = {"worker": b"worker_started", "scheduler": b"scheduler_started", "api_stub": b"api_listening"}
    ready = word[member.module]
    said = member.log.read_bytes().count(ready)
    fresh = stage.fleet.start(member.module, name=member.name, root=root)
    until(lambda: fresh.log.read_bytes().count(ready) > said, _PATIENCE, f"{member.name} again")


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


_ONE_FROZEN = Allowed(lost_jobs=THREADS)

FAULTS = (
    *(
        Fault(f"worker killed when {gap}", dies_at("worker", gap))
        for gap in ("started", "fetched", "committed", "acknowledged")
    ),
    Fault("worker killed when token_renewed", dies_with_new_tokens),
    Fault("worker killed at any moment", random_worker_dies),
    Fault("workers killed at random, many", barrage, Allowed(late=LEASE), short=False),
    Fault("all workers killed", every_worker_dies, Allowed(late=timedelta(seconds=3))),
    Fault("scheduler killed when claimed", dies_at("scheduler", "claimed")),
    Fault("scheduler killed when enqueued", dies_at("scheduler", "enqueued")),
    Fault("API killed during refresh=true", api_dies_while_asked, replaces_api=True),
    Fault("API killed when event_committed", api_dies_with_an_event, replaces_api=True),
    Fault("worker frozen past its lease, answers in hand", frozen_past_its_lease("fetched"), _ONE_FROZEN),
    Fault(
        "worker frozen past its lease, nothing asked",
        frozen_past_its_lease("started"),
        _ONE_FROZEN,
    ),
    Fault("one of two schedulers frozen", scheduler_frozen),
    Fault("schedulers' clocks an hour apart", clocks_apart),
    Fault("every message delivered three times", thrice),
    Fault("rolling restart under load", rolling_restart, short=False, replaces_api=True),
    Fault("rolling upgrade, old and new code", rolling_upgrade, short=False, replaces_api=True),
    Fault("poison publication", poison, Allowed(late=LEASE, poison=1), after=release_the_poison),
)
