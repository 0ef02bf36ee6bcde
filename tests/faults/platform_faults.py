"""Faults of the platforms, and of the way to them."""

from collections.abc import Callable
from datetime import timedelta

from tests.faults.fleet import Member
from tests.faults.invariants import Allowed
from tests.faults.matrix import Fault, Scene
from tests.faults.stage import LEASE, PLATFORMS, THREADS, Stage
from tests.faults.waiting import lasts, until

_PATIENCE = 20.0


def storm(scene: Scene) -> None:
    """Let the platforms that say when to come back refuse everything for their limits.

    TikTok never says; its adapter waits for the next minute, which is longer than a round.
    """
    stage = scene.stage
    refusal = {"times": None, "status": 429, "body": "empty", "headers": {"retry-after": "2"}}
    stage.behave(*(one for one in PLATFORMS if one != "tiktok"), faults=[refusal])
    lasts(scene.seconds(2, 10))
    _await_reason(stage, "paused")
    stage.behave()


def lift_pauses(stage: Stage) -> list[str]:
    """Forget what the storm taught the budgets, so that the next round begins like any other."""
    with stage.redis() as client:
        for key in client.scan_iter("dravo:budget:*"):
            client.delete(key)
    stage.query("DELETE FROM pauses")
    stage.query("UPDATE refresh_state SET next_run_at = now() WHERE reason = 'paused'")
    return []


def tokens_expire(scene: Scene) -> None:
    """Let every renewable token end at its platform at once, with sixteen jobs and renewals under way."""
    stage = scene.stage
    world = stage.simulators.world
    more = [stage.fleet.start("worker", passing=True) for _ in range(16 // THREADS - 2)]
    for member in more:
        until(_is_ready(member), _PATIENCE, f"{member.name} at work")
    for account in world.accounts():
        if account.platform in {"x", "tiktok"}:
            world.change_account(
                account.platform, account.platform_account_id, access_token_expires_at=world.now()
            )
    stage.await_reads(stage.now(), 3 * LEASE.total_seconds())
    assert stage.fleet.end(*more) == []


def _is_ready(member: Member) -> Callable[[], bool]:
    """Return whether a worker has said that it takes jobs."""
    return lambda: b"worker_started" in member.log.read_bytes()


def slow(scene: Scene) -> None:
    """Let every answer take longer than a call may."""
    _misbehave(scene, latency_seconds=LEASE.total_seconds())


def trickling(scene: Scene) -> None:
    """Let every answer come byte by byte."""
    _misbehave(scene, faults=[{"times": None, "trickle_seconds": 0.2}])


def half_dead(scene: Scene) -> None:
    """Let answers be torn, of the wrong kind, or errors, at random."""
    faults = [
        {"times": 3, "close": "middle"},
        {"times": 3, "body": "html", "status": 502},
        {"times": 3, "body": "truncated"},
        {"times": 3, "status": 503, "body": "empty"},
        {"times": 3, "close": "before"},
    ]
    scene.random.shuffle(faults)
    _misbehave(scene, faults=faults)


def cut_after_sending(scene: Scene) -> None:
    """Cut the connection after the platform has processed the request."""
    _misbehave(scene, faults=[{"times": 5, "close": "after"}])


def _misbehave(scene: Scene, **values: object) -> None:
    scene.stage.behave(**values)
    _await_reason(scene.stage, "retry")
    lasts(scene.seconds(0, 8))
    scene.stage.behave()


def _await_reason(stage: Stage, reason: str) -> None:
    """Wait until a row waits for this reason: the fault has been felt."""
    felt = "SELECT EXISTS (SELECT 1 FROM refresh_state WHERE reason = %s)"
    until(lambda: stage.value(felt, reason), _PATIENCE, f"a row with reason {reason}")


FAULTS = (
    Fault(
        "429 storm",
        storm,
        Allowed(refused=60, pauses=True, late=timedelta(seconds=3)),
        after=lift_pauses,
    ),
    Fault("tokens expire, sixteen at once", tokens_expire, Allowed(repeated=1)),
    Fault("slow platforms", slow, Allowed(late=LEASE)),
    Fault("trickling platforms", trickling, Allowed(late=LEASE), short=False),
    Fault("half-dead platforms", half_dead, Allowed(late=LEASE)),
    Fault("connection cut after the request", cut_after_sending, Allowed(late=LEASE)),
)
