"""A tick claims, commits and enqueues as much as the fleet can take, and loses nothing without Redis."""

import json
from datetime import UTC, datetime, timedelta

import dramatiq
import pytest
import redis
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs

from deploy.local.servers.valkey import Valkey
from scheduler.ticks import QUEUED_PER_THREAD, Ticks
from shared import refresh_queue
from shared.quota.spending import PAUSE
from shared.redis_client import RedisClient, connect
from shared.refresh_queue import RefreshJob
from shared.refresh_state.claim import JOBS_PER_ACCOUNT
from shared.settings import Settings
from shared.vocabulary import Lane, Platform
from tests.harness import Harness
from tests.servers import server_directory


@pytest.fixture
def ticks(harness: Harness, client: RedisClient) -> Ticks:
    return Ticks(harness.context.settings, harness.scheduler, client, refresh_queue.broker(client))


def replace_settings(harness: Harness, **changes: object) -> Settings:
    return harness.context.settings.model_copy(update=changes)


def claimed(harness: Harness) -> int:
    count: int = harness.execute("SELECT count(*) FROM refresh_state WHERE claimed_at IS NOT NULL")[0][0]
    return count


def test_without_a_worker_nothing_is_claimed(harness: Harness, ticks: Ticks) -> None:
    harness.publications(harness.account("acc_1"), 5)

    assert ticks.hand_out() == 0
    assert claimed(harness) == 0


def test_queue_depth_is_bounded_by_the_threads_of_the_fleet(
    harness: Harness, ticks: Ticks, client: RedisClient
) -> None:
    for number in range(20):
        harness.publications(harness.account(f"acc_{number}", list(Platform)[number % 5]), 3)
    refresh_queue.report_alive(client, "host:1", 2)

    ticks.hand_out()
    ticks.hand_out()

    assert refresh_queue.depth(client, Lane.BACKGROUND) == 2 * QUEUED_PER_THREAD == 4
    assert claimed(harness) == 3 * 4


def test_queue_with_capacity_for_one_job_gets_one(
    harness: Harness, ticks: Ticks, client: RedisClient
) -> None:
    for number in range(3):
        harness.publications(harness.account(f"acc_{number}", list(Platform)[number]), 1)
    refresh_queue.report_alive(client, "host:1", 2)
    others = [RefreshJob("acc_other", ((1, 1),))] * 3
    refresh_queue.enqueue(refresh_queue.broker(client), Lane.BACKGROUND, others)

    assert ticks.hand_out() == 1
    assert refresh_queue.depth(client, Lane.BACKGROUND) == 4


def test_sibling_in_the_last_tenth_of_its_interval_travels_along(
    harness: Harness, client: RedisClient
) -> None:
    settings = replace_settings(harness, freshness="fixed:10h")
    ticks = Ticks(settings, harness.scheduler, client, refresh_queue.broker(client))
    account = harness.account("acc_1", Platform.TIKTOK)
    ids = harness.publications(account, 3, reason="stale")
    for publication_id, minutes in zip(ids, (-1, 59, 61), strict=True):
        harness.execute(
            "UPDATE refresh_state SET next_run_at = now() + make_interval(mins => :minutes)"
            " WHERE publication_id = :id",
            id=publication_id,
            minutes=minutes,
        )
    refresh_queue.report_alive(client, "host:1", 8)

    assert ticks.hand_out() == 2


def test_rows_with_priority_go_through_the_interactive_lane(
    harness: Harness, ticks: Ticks, client: RedisClient
) -> None:
    harness.publications(harness.account("acc_1"), 1, priority=1)
    refresh_queue.report_alive(client, "host:1", 8)

    assert ticks.hand_out() == 1
    assert refresh_queue.depth(client, Lane.INTERACTIVE) == 1


def test_interactive_row_is_handed_out_when_its_notification_or_its_time_comes(
    harness: Harness, ticks: Ticks, client: RedisClient
) -> None:
    account = harness.account("acc_1")
    refresh_queue.report_alive(client, "host:1", 8)
    assert ticks.hand_out() == 0
    (one,) = harness.publications(account, priority=1)
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', 'background', 'acc_1', now() + interval '1 hour', 'limit')"
    )
    assert ticks.hand_out() == 0, "nobody said that a row became due"

    ticks.notified()

    assert ticks.hand_out() == 1
    assert harness.state(one).reason == "claimed"


def test_claims_and_expired_leases_are_counted(harness: Harness, ticks: Ticks, client: RedisClient) -> None:
    def counted() -> list[float]:
        names = ("dravo_claims_total", "dravo_expired_leases_total")
        return [REGISTRY.get_sample_value(name, {"lane": "background"}) or 0.0 for name in names]

    harness.publications(harness.account("acc_1"), 3)
    refresh_queue.report_alive(client, "host:1", 8)
    before = counted()
    ticks.hand_out()
    harness.execute("UPDATE refresh_state SET next_run_at = now() - interval '1 second' RETURNING 1")

    ticks.hand_out()

    assert [now - then for now, then in zip(counted(), before, strict=True)] == [6, 3]


def test_unreachable_redis_ends_a_tick_without_claims_or_errors(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"), 5)
    with server_directory() as directory:
        with Valkey(directory / "valkey") as server:
            gone = connect(server.url)
        ticks = Ticks(harness.context.settings, harness.scheduler, gone, refresh_queue.broker(gone))

        assert ticks.hand_out() == 0
        gone.close()
    assert claimed(harness) == 0


class _UnreachableBroker(dramatiq.Broker):
    """Redis answers every question and refuses every message, as one that is out of memory does."""

    def enqueue(self, message: dramatiq.Message[None], *, delay: int | None = None) -> dramatiq.Message[None]:
        """Refuse."""
        raise redis.ResponseError(f"OOM command not allowed ({message.queue_name}, {delay})")


def test_claims_that_cannot_be_enqueued_are_released(harness: Harness, client: RedisClient) -> None:
    harness.publications(harness.account("acc_1"), 5)
    refresh_queue.report_alive(client, "host:1", 8)
    settings = replace_settings(harness, tick_seconds=50)
    unreachable = Ticks(settings, harness.scheduler, client, _UnreachableBroker())

    assert unreachable.hand_out() == 0
    assert claimed(harness) == 0
    assert harness.execute(
        "SELECT count(*) FROM refresh_state"
        " WHERE next_run_at BETWEEN now() + interval '30 s' AND now() + interval '50 s'"
    ) == [(5,)], "due again a tick later"


def test_partitions_are_made_once(harness: Harness, ticks: Ticks) -> None:
    def partitions() -> list[tuple[str]]:
        return harness.execute(
            "SELECT relid::text FROM pg_partition_tree('snapshots') WHERE isleaf ORDER BY 1"
        )

    *_, (latest,), (default,) = partitions()
    harness.execute(f"DROP TABLE {latest}")
    with capture_logs() as logs:
        ticks.make_partitions()
        before = partitions()
        ticks.make_partitions()

    assert before == partitions()
    assert (len(before), default) == (4, "snapshots_default")
    assert [(line["event"], line["names"]) for line in logs] == [("partitions_made", [latest])]


def test_raised_budget_ends_the_pause_of_the_spent_one(harness: Harness, ticks: Ticks) -> None:
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES (:platform, :kind, :subject, now() + interval '1 day', 'spent')",
        platform=PAUSE.platform,
        kind=PAUSE.kind.value,
        subject=PAUSE.subject,
    )

    with capture_logs() as logs:
        ticks.check_budget()
        ticks.check_budget()

    assert harness.execute("SELECT platform FROM pauses") == []
    assert logs == [{"event": "budget_raised", "platform": "x", "log_level": "info"}]


def test_renewal_of_a_token_that_ends_soon_is_enqueued(
    harness: Harness, ticks: Ticks, client: RedisClient
) -> None:
    for account_id, days in (("acc_soon", 1), ("acc_later", 40)):
        harness.account(
            account_id,
            Platform.LINKEDIN,
            token_expires_at=datetime.now(UTC) + timedelta(days=days),
            sealed_refresh_token=harness.context.vault.seal(SecretStr("pair")),
        )

    ticks.renew_tokens()

    (message,) = client.hvals("dramatiq:background.msgs")
    assert json.loads(message)["kwargs"] == {"account_id": "acc_soon"}


def test_interactive_lane_takes_the_first_job_that_an_account_with_all_jobs_in_flight_may_have_again(
    harness: Harness, ticks: Ticks, client: RedisClient
) -> None:
    """No notification says that a job has ended: the next tick asks again, before the background does."""
    account = harness.account("acc_1", Platform.TIKTOK)
    publications = harness.publications(account, JOBS_PER_ACCOUNT + 1)
    refresh_queue.report_alive(client, "host:1", 8)
    for number, publication in enumerate(publications[:-1]):
        harness.execute(
            "UPDATE refresh_state SET claimed_at = now() - make_interval(secs => :n), reason = 'claimed',"
            " next_run_at = now() + interval '1 minute' WHERE publication_id = :id",
            n=number,
            id=publication,
        )
    harness.execute(
        "UPDATE refresh_state SET priority = 1, reason = 'forced' WHERE publication_id = :id",
        id=publications[-1],
    )
    ticks.notified()
    assert ticks.hand_out() == 0

    harness.execute(
        "UPDATE refresh_state SET claimed_at = NULL, reason = 'stale' WHERE publication_id = :id",
        id=publications[0],
    )
    ticks.hand_out()

    assert refresh_queue.depth(client, Lane.INTERACTIVE) == 1
