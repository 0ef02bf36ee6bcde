"""Erasures whose scheduler is killed between any two steps, forged signals, and retention that must wait."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import httpx

from deploy.simulators import signals
from shared import database
from shared.ingestion import importer
from tests.faults.harness.environment import INTERNAL_TOKEN, LEASE, Environment
from tests.faults.harness.fleet import Member
from tests.faults.harness.waiting import sleep_for, wait_until
from tests.faults.judge.invariants import Tolerance
from tests.faults.matrix import Fault, RoundContext

_POSTS = 30
_TIMEOUT = 30.0
_MOST_KILLS = 40
_numbers = count(1)


def killed_while_erasing(gap: str, kills: int) -> Callable[[RoundContext], None]:
    """Erase an account by schedulers that are killed at a failpoint; the last one lives."""

    def inject(context: RoundContext) -> None:
        environment, fleet = context.environment, context.environment.fleet
        _request(environment, f"acc_erased_{next(_numbers)}")
        with fleet.stopped("scheduler"):
            for _ in range(kills):
                if not _is_open(environment):
                    break
                victim = fleet.start_with_failpoints("scheduler", gap)
                wait_until(partial(_step_ended, environment, victim), _TIMEOUT, "the end of a step")
                if victim.alive:
                    fleet.kill(victim)
                else:
                    fleet.await_exit(victim)
        wait_until(lambda: not _is_open(environment), _TIMEOUT, "the end of the erasure")

    return inject


def _step_ended(environment: Environment, victim: Member) -> bool:
    return not victim.alive or not _is_open(environment)


def _request(environment: Environment, account_id: str) -> None:
    """Store an account with posts that are not polled, and send the event that erases it."""
    account = {
        "account_id": account_id,
        "workspace_id": environment.seed_data.account_rows[0]["workspace_id"],
        "platform": "x",
        "platform_account_id": f"owner_{account_id}",
        "access_token": f"token_{account_id}",
    }
    posts = [
        {
            "post_id": f"post_{account_id}_{number}",
            "account_id": account_id,
            "created_at": "2026-06-23T10:15:30Z",
        }
        for number in range(_POSTS)
    ]
    _import(environment, account, posts)
    event = {"event_id": f"evt_{account_id}", "type": "account.erased", "data": {"account_id": account_id}}
    with _client(environment) as client:
        client.post("/internal/events", json=event).raise_for_status()


def _import(environment: Environment, account: dict[str, Any], posts: list[dict[str, Any]]) -> None:
    engine = database.connect(environment.settings["DRAVO_DATABASE_URL"], application="tests")
    with engine.begin() as connection:
        assert not importer.import_accounts(connection, environment.vault, [account]).refused
        assert not importer.import_publications(connection, posts).refused
    engine.dispose()


def _client(environment: Environment) -> httpx.Client:
    headers = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}
    return httpx.Client(base_url=environment.api_url, headers=headers, timeout=20, trust_env=False)


def _is_open(environment: Environment) -> bool:
    return bool(environment.value("SELECT count(*) FROM erasures WHERE ended_at IS NULL"))


def traces(environment: Environment) -> list[str]:
    """Return a sentence for each table that still has something of an erased account."""
    tables = environment.query(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    left = []
    for (name,) in tables:
        number = environment.value(f"SELECT count(*) FROM {name} t WHERE t::text LIKE '%%acc\\_erased%%'")
        if number:
            left.append(f"erasure: {number} rows of {name} name the account")
    return left


def forged_and_replayed(context: RoundContext) -> None:
    """Send withdrawals of every TikTok account that are forged or old, and true hints twice."""
    environment = context.environment
    secret = environment.settings["DRAVO_TIKTOK_CLIENT_SECRET"]
    owners = [
        row["platform_account_id"]
        for row in environment.seed_data.account_rows
        if row["platform"] == "tiktok"
    ]
    with _client(environment) as client:
        for owner in owners:
            withdrawal = signals.tiktok("another-secret", "authorization.removed", owner, {"reason": 1})
            old = signals.tiktok(secret, "authorization.removed", owner, {"reason": 1}, at=1e9)
            hint = signals.tiktok(
                secret, "post.publish.complete", owner, {"publish_id": "p", "publish_type": "d"}
            )
            requests = [withdrawal, withdrawal.unsigned(), old, hint.forged(), hint, hint]
            answers = [one.send(client).status_code for one in requests]
            assert answers == [401, 401, 401, 401, 200, 200], answers
    states = environment.query("SELECT DISTINCT state FROM accounts WHERE platform = 'tiktok'")
    assert states == [("active",)], states


def retention_in_a_long_transaction(context: RoundContext) -> None:
    """Hold a lock on the history while retention removes a month: it gives way, and goes on afterwards."""
    environment, fleet = context.environment, context.environment.fleet
    month: str = environment.value(
        "SELECT to_char(now() AT TIME ZONE 'UTC' - interval '7 months', 'YYYY_MM')"
    )
    environment.query("SELECT make_snapshot_partition((now() - interval '7 months')::date)")
    with environment.database() as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM snapshots")
        waiting = fleet.start_with_failpoints("scheduler", "", DRAVO_RETENTION="on")
        wait_until(lambda: waiting.logged("retention_waits"), _TIMEOUT, "retention that waits")
        environment.query("SELECT count(*) FROM snapshots")  # no reader waits behind it
    fleet.stop(waiting)
    dropped = "SELECT to_regclass(%s) IS NULL"
    for _ in range(_MOST_KILLS):
        if environment.value(dropped, f"snapshots_{month}"):
            break
        once = fleet.start_with_failpoints("scheduler", "", DRAVO_RETENTION="on")
        wait_until(partial(once.logged, "retention_step"), _TIMEOUT, "a step of retention")
        sleep_for(context.seconds(3, 6))
        fleet.stop(once)
    assert environment.value(dropped, f"snapshots_{month}"), "the month is still there"


def with_default_partition(environment: Environment) -> list[str]:
    """Make the default partition again, which retention has removed: another fault looks at it."""
    environment.query("CREATE TABLE IF NOT EXISTS snapshots_default PARTITION OF snapshots DEFAULT")
    return []


FAULTS = (
    Fault(
        "scheduler killed in the middle of an erasure",
        killed_while_erasing("erasing=kill@3", 1),
        Tolerance(late=LEASE),
        after=traces,
    ),
    Fault(
        "scheduler killed after every step of an erasure",
        killed_while_erasing("erased=kill", _MOST_KILLS),
        Tolerance(late=LEASE + timedelta(seconds=5)),
        short=False,
        after=traces,
    ),
    Fault(
        "scheduler killed before every commit of an erasure",
        killed_while_erasing("erasing=kill@2", _MOST_KILLS),
        Tolerance(late=LEASE + timedelta(seconds=5)),
        short=False,
        after=traces,
    ),
    Fault("forged and replayed signals", forged_and_replayed),
    Fault(
        "retention in a long transaction",
        retention_in_a_long_transaction,
        Tolerance(late=LEASE),
        short=False,
        after=with_default_partition,
    ),
)
