"""Faults of the platforms, and of the way to them."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from deploy.simulators.world import Account, Post
from shared import database
from shared.ingestion import importer
from tests.faults.harness.accounts import WORKSPACES
from tests.faults.harness.environment import LEASE, PLATFORMS, THREADS, Stage
from tests.faults.harness.fleet import Member
from tests.faults.harness.waiting import lasts, until
from tests.faults.judge.invariants import Allowed
from tests.faults.matrix import Fault, Scene

_PATIENCE = 20.0
_MEMBER = "acc_slow_member"


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


def slow_against_the_lease(scene: Scene) -> None:
    """Let a job of thirty calls take longer than its lease, at a platform where every call is slow."""
    stage = scene.stage
    ids = _publish_of_a_member(stage, 5)
    stage.behave("linkedin", latency_seconds=LEASE.total_seconds() / 12)
    unread = "SELECT count(*) FROM post_analytics WHERE publication_id = ANY(%s) AND last_updated_at IS NULL"
    until(lambda: not stage.value(unread, ids), 6 * LEASE.total_seconds(), "the slow job's readings")
    reclaims = "SELECT count(*) FROM faults.steps WHERE kind = 'reclaimed' AND publication_id = ANY(%s)"
    assert stage.value(reclaims, ids) == 0, "a worker that made progress lost its lease"
    stage.behave()


def _publish_of_a_member(stage: Stage, posts: int) -> list[int]:
    """Connect a LinkedIn member, whose posts take six calls each, and return the publications."""
    now, owner = datetime.now(UTC), "urn:li:person:slow"
    token, scope = f"AQ{secrets.token_hex(20)}", "r_member_postAnalytics"
    minted_at = now - timedelta(hours=1)
    stage.simulators.world.add_accounts(
        [Account("linkedin", owner, token, kind="member", scopes=frozenset({scope}), minted_at=minted_at)]
    )
    account = {
        "account_id": _MEMBER,
        "workspace_id": WORKSPACES[0],
        "platform": "linkedin",
        "platform_account_id": owner,
        "kind": "member",
        "access_token": token,
        "scopes": [scope],
    }
    rows = []
    for number in range(posts):
        # New ids each time: the reader remembers what it was served of the round before.
        one, created_at = int(now.timestamp()) * 100 + number, now - timedelta(days=40, minutes=number)
        urn = f"urn:li:share:7390{one}"
        stage.simulators.world.add_posts([Post("linkedin", urn, owner, created_at)])
        rows.append(
            {
                "post_id": f"post_slow_{one}",
                "account_id": _MEMBER,
                "platform_post_id": urn,
                "created_at": created_at.isoformat(),
            }
        )
    engine = database.connect(stage.postgres.url, application="faults", pool_size=1)
    with engine.begin() as connection:
        result = importer.import_accounts(connection, stage.vault, [account])
        more = importer.import_publications(connection, rows)
        assert [*result.refused, *more.refused] == []
    engine.dispose()
    return [row[0] for row in stage.query("SELECT id FROM publications WHERE account_id = %s", _MEMBER)]


def remove_the_member(stage: Stage) -> list[str]:
    """Take the member's posts away again, so that the next round begins like any other."""
    stage.query(
        "DELETE FROM snapshots WHERE publication_id IN (SELECT id FROM publications WHERE account_id = %s)",
        _MEMBER,
    )
    stage.query("DELETE FROM publications WHERE account_id = %s", _MEMBER)
    return []


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
    Fault(
        "slow platform against the lease",
        slow_against_the_lease,
        Allowed(late=LEASE, repeated=60),
        short=False,
        after=remove_the_member,
    ),
    Fault("trickling platforms", trickling, Allowed(late=LEASE), short=False),
    Fault("half-dead platforms", half_dead, Allowed(late=LEASE)),
    Fault("connection cut after the request", cut_after_sending, Allowed(late=LEASE)),
)
