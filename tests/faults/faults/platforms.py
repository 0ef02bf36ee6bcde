"""Platforms that refuse, are slow, or send corrupted responses."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from deploy.simulators.world import Account, Post
from shared import database
from shared.ingestion import importer
from tests.faults.harness.accounts import WORKSPACES
from tests.faults.harness.environment import LEASE, PLATFORMS, THREADS, Environment
from tests.faults.harness.fleet import Member
from tests.faults.harness.waiting import sleep_for, wait_until
from tests.faults.judge.invariants import Tolerance
from tests.faults.matrix import Fault, RoundContext

_TIMEOUT = 20.0
_MEMBER = "acc_slow_member"


def rate_limit_storm(context: RoundContext) -> None:
    """Let the platforms that send Retry-After refuse every request because of their limits.

    TikTok does not send it; its adapter waits for the next minute, which is longer than a round.
    """
    environment = context.environment
    refusal = {"times": None, "status": 429, "body": "empty", "headers": {"retry-after": "2"}}
    environment.behave(*(one for one in PLATFORMS if one != "tiktok"), faults=[refusal])
    sleep_for(context.seconds(2, 10))
    _await_reason(environment, "paused")
    environment.behave()


def lift_pauses(environment: Environment) -> list[str]:
    """Delete the pauses and budgets that the storm left, so that they do not affect the next round."""
    with environment.redis() as client:
        for key in client.scan_iter("dravo:budget:*"):
            client.delete(key)
    environment.query("DELETE FROM pauses")
    environment.query("UPDATE refresh_state SET next_run_at = now() WHERE reason = 'paused'")
    return []


def tokens_expire(context: RoundContext) -> None:
    """Let every renewable token expire at once while sixteen jobs and renewals run."""
    environment = context.environment
    world = environment.simulators.world
    more = [environment.fleet.start("worker", temporary=True) for _ in range(16 // THREADS - 2)]
    for member in more:
        wait_until(_is_ready(member), _TIMEOUT, f"{member.name} to take jobs")
    for account in world.accounts():
        if account.platform in {"x", "tiktok"}:
            world.change_account(
                account.platform, account.platform_account_id, access_token_expires_at=world.now()
            )
    environment.await_reads(environment.now(), 3 * LEASE.total_seconds())
    assert environment.fleet.stop(*more) == []


def _is_ready(member: Member) -> Callable[[], bool]:
    """Return a condition: the worker has logged that it takes jobs."""
    return lambda: b"worker_started" in member.log.read_bytes()


def slow(context: RoundContext) -> None:
    """Let every response take longer than the time-out of a call."""
    _misbehave(context, latency_seconds=LEASE.total_seconds())


def slow_against_the_lease(context: RoundContext) -> None:
    """Let a job of thirty slow calls take longer than its lease."""
    environment = context.environment
    ids = _publish_of_a_member(environment, 5)
    environment.behave("linkedin", latency_seconds=LEASE.total_seconds() / 12)
    unread = "SELECT count(*) FROM post_analytics WHERE publication_id = ANY(%s) AND last_updated_at IS NULL"
    wait_until(
        lambda: not environment.value(unread, ids), 6 * LEASE.total_seconds(), "the slow job's readings"
    )
    reclaims = "SELECT count(*) FROM faults.row_changes WHERE kind = 'reclaimed' AND publication_id = ANY(%s)"
    assert environment.value(reclaims, ids) == 0, "a worker that made progress lost its lease"
    environment.behave()


def _publish_of_a_member(environment: Environment, posts: int) -> list[int]:
    """Connect a LinkedIn member, whose posts take six calls each, and return the ids of the publications."""
    now, owner = datetime.now(UTC), "urn:li:person:slow"
    token, scope = f"AQ{secrets.token_hex(20)}", "r_member_postAnalytics"
    minted_at = now - timedelta(hours=1)
    environment.simulators.world.add_accounts(
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
        # New ids each time: the API poller remembers the rows of the round before.
        one, created_at = int(now.timestamp()) * 100 + number, now - timedelta(days=40, minutes=number)
        urn = f"urn:li:share:7390{one}"
        environment.simulators.world.add_posts([Post("linkedin", urn, owner, created_at)])
        rows.append(
            {
                "post_id": f"post_slow_{one}",
                "account_id": _MEMBER,
                "platform_post_id": urn,
                "created_at": created_at.isoformat(),
            }
        )
    engine = database.connect(environment.postgres.url, application="faults", pool_size=1)
    with engine.begin() as connection:
        result = importer.import_accounts(connection, environment.vault, [account])
        more = importer.import_publications(connection, rows)
        assert [*result.refused, *more.refused] == []
    engine.dispose()
    return [row[0] for row in environment.query("SELECT id FROM publications WHERE account_id = %s", _MEMBER)]


def remove_the_member(environment: Environment) -> list[str]:
    """Delete the member's posts, so that they do not affect the next round."""
    environment.query(
        "DELETE FROM snapshots WHERE publication_id IN (SELECT id FROM publications WHERE account_id = %s)",
        _MEMBER,
    )
    environment.query("DELETE FROM publications WHERE account_id = %s", _MEMBER)
    return []


def trickled(context: RoundContext) -> None:
    """Let every response arrive byte by byte."""
    _misbehave(context, faults=[{"times": None, "trickle_seconds": 0.2}])


def failing_at_random(context: RoundContext) -> None:
    """Truncate responses, replace them by HTML, or answer with errors, in random order."""
    faults = [
        {"times": 3, "close": "middle"},
        {"times": 3, "body": "html", "status": 502},
        {"times": 3, "body": "truncated"},
        {"times": 3, "status": 503, "body": "empty"},
        {"times": 3, "close": "before"},
    ]
    context.random.shuffle(faults)
    _misbehave(context, faults=faults)


def cut_after_sending(context: RoundContext) -> None:
    """Cut the connection after the platform has processed the request."""
    _misbehave(context, faults=[{"times": 5, "close": "after"}])


def _misbehave(context: RoundContext, **values: object) -> None:
    context.environment.behave(**values)
    _await_reason(context.environment, "retry")
    sleep_for(context.seconds(0, 8))
    context.environment.behave()


def _await_reason(environment: Environment, reason: str) -> None:
    """Wait until a row has this reason, so that the fault has had an effect."""
    affected = "SELECT EXISTS (SELECT 1 FROM refresh_state WHERE reason = %s)"
    wait_until(lambda: environment.value(affected, reason), _TIMEOUT, f"a row with reason {reason}")


FAULTS = (
    Fault(
        "429 storm",
        rate_limit_storm,
        Tolerance(refused=60, pauses=True, late=timedelta(seconds=3)),
        after=lift_pauses,
    ),
    Fault("tokens expire, sixteen at once", tokens_expire, Tolerance(repeated=1)),
    Fault("slow platforms", slow, Tolerance(late=LEASE)),
    Fault(
        "slow platform against the lease",
        slow_against_the_lease,
        Tolerance(late=LEASE, repeated=60),
        short=False,
        after=remove_the_member,
    ),
    Fault("trickling platforms", trickled, Tolerance(late=LEASE), short=False),
    Fault("platforms that fail at random", failing_at_random, Tolerance(late=LEASE)),
    Fault("connection cut after the request", cut_after_sending, Tolerance(late=LEASE)),
)
