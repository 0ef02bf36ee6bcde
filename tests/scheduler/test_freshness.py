"""The adaptive policy's periodic work: quota pressure from calls and money, half-lives from snapshots."""

from datetime import UTC, datetime, timedelta

import pytest
from psycopg.types.json import Jsonb
from structlog.testing import capture_logs

from scheduler.freshness import _ALONE, FreshnessTicks
from shared.partitions import ensure_partitions
from shared.quota.call_counts import CallCounter
from shared.quota.limits import Bucket
from shared.redis_client import RedisClient
from shared.vocabulary import BucketKind, Platform
from tests.claiming import due_jobs
from tests.harness import Harness, reads
from worker.refresh import refresh

TIKTOK = Bucket(Platform.TIKTOK, BucketKind.ENDPOINT, "video/query")


@pytest.fixture
def ticks(harness: Harness, client: RedisClient) -> FreshnessTicks:
    return FreshnessTicks(harness.context.settings, harness.scheduler, client)


def factors(harness: Harness) -> dict[tuple[str, str, str], float]:
    rows = harness.execute("SELECT platform, account_id, bucket, factor FROM quota_pressure")
    return {(platform, account, bucket): factor for platform, account, bucket, factor in rows}


def hour_passes(
    harness: Harness, ticks: FreshnessTicks, client: RedisClient, bucket: Bucket, calls: int
) -> float:
    """Count calls, let an hour pass, compute the pressure and return this bucket's."""
    counter = CallCounter(client)
    counter.count([bucket], calls)
    counter.send()
    harness.execute("UPDATE quota_pressure SET computed_at = computed_at - interval '1 hour'")
    ticks.adjust_pressure()
    account = bucket.subject.partition("/")[0] if bucket.kind is BucketKind.ACCOUNT else ""
    return factors(harness)[bucket.platform.value, account, f"{bucket.kind.value}:{bucket.subject}"]


def test_pressure_rises_while_more_calls_are_made_than_the_limit_allows_and_falls_again(
    harness: Harness, ticks: FreshnessTicks, client: RedisClient
) -> None:
    first = hour_passes(harness, ticks, client, TIKTOK, 60_000)
    second = hour_passes(harness, ticks, client, TIKTOK, 60_000)
    third = hour_passes(harness, ticks, client, TIKTOK, 0)

    # 600 calls a minute, less a margin and a burst, leave 35,000 an hour
    assert 1.1 < first < second
    for _ in range(8):
        last = hour_passes(harness, ticks, client, TIKTOK, 0)
    assert last < third
    assert last < 1


def test_pressure_is_computed_once_an_hour_whatever_the_number_of_schedulers(
    harness: Harness, ticks: FreshnessTicks, client: RedisClient
) -> None:
    factor = hour_passes(harness, ticks, client, TIKTOK, 60_000)
    harness.execute("UPDATE quota_pressure SET computed_at = now() - interval '56 minutes'")
    ticks.adjust_pressure()
    FreshnessTicks(harness.context.settings, harness.scheduler, client).adjust_pressure()

    assert set(factors(harness).values()) == {factor}


def test_shares_of_reads_are_kept_for_eight_days(harness: Harness, ticks: FreshnessTicks) -> None:
    harness.execute(
        "INSERT INTO read_accuracy SELECT 'ws_1', 'x', now() - days * interval '1 day', 1, 1"
        " FROM generate_series(1, 10) days"
    )
    ticks.adjust_pressure()

    assert harness.execute("SELECT count(*) FROM read_accuracy")[0][0] == 7


def test_account_that_a_platform_without_numbers_pauses_is_relieved(
    harness: Harness, ticks: FreshnessTicks, client: RedisClient
) -> None:
    account = Bucket(Platform.FACEBOOK, BucketKind.ACCOUNT, "acc_1")
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('facebook', 'background', 'acc_1', now() + interval '2 hours', 'most of it is used')"
    )
    first = hour_passes(harness, ticks, client, account, 100)
    second = hour_passes(harness, ticks, client, account, 100)
    harness.execute("DELETE FROM pauses")

    assert 1 < first < second
    assert hour_passes(harness, ticks, client, account, 100) < second


def test_money_at_x_never_lowers_the_pressure_below_one(
    harness: Harness, ticks: FreshnessTicks, client: RedisClient
) -> None:
    harness.execute("INSERT INTO post_reads (platform, day, reads) VALUES ('x', CAST(now() AS date), 5)")
    ticks.adjust_pressure()
    assert factors(harness) == {("x", "", "money"): 1}
    harness.execute("DELETE FROM post_reads")
    harness.execute("DELETE FROM quota_pressure")
    ticks.adjust_pressure()
    assert factors(harness) == {}, "nothing was billed, so nothing is known"
    harness.execute("INSERT INTO post_reads (platform, day, reads) VALUES ('x', CAST(now() AS date), 5)")
    ticks.adjust_pressure()

    settings = harness.context.settings.model_copy(update={"x_monthly_budget_dollars": 0.1})
    harness.execute("UPDATE post_reads SET reads = 20")
    harness.execute("UPDATE quota_pressure SET computed_at = computed_at - interval '1 hour'")
    FreshnessTicks(settings, harness.scheduler, client).adjust_pressure()
    assert factors(harness)["x", "", "money"] > 2


def test_half_lives_are_fitted_by_platform_and_by_account_with_enough_snapshots(
    harness: Harness, ticks: FreshnessTicks
) -> None:
    now = datetime.now(UTC)
    with harness.engine.begin() as connection:
        ensure_partitions(connection)
    for account, number, half_life in (("acc_1", 30, 16.0), ("acc_2", 1, 16.0)):
        for publication in harness.publications(harness.account(account, Platform.FACEBOOK), number):
            for step in range(12):
                age = 0.5 * 1.4**step
                clicks = int(1e6 * age / (age + half_life))
                harness.execute(
                    "INSERT INTO snapshots"
                    " (publication_id, taken_at, last_seen_at, claim_seq, sync_status, metrics)"
                    " SELECT :id, created_at + :age, created_at + :age, 1, 'synced', :metrics"
                    " FROM publications WHERE id = :id AND created_at + :age < :now",
                    id=publication,
                    age=timedelta(hours=age),
                    metrics=Jsonb({"post_clicks": clicks, "post_reactions_by_type_total": 0}),
                    now=now,
                )
    ticks.refit()

    fits = dict(harness.execute("SELECT account_id, half_life FROM growth_fits"))
    assert fits.keys() == {"", "acc_1"}
    assert 4 < fits[""] < 16
    assert fits[""] < fits["acc_1"] < 16


def test_worker_plans_with_the_fitted_half_life_and_the_highest_pressure(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.execute("INSERT INTO growth_fits VALUES ('instagram', '', 3, 9), ('instagram', 'acc_1', 5, 9)")
    harness.execute(
        "INSERT INTO quota_pressure (platform, account_id, bucket, factor, calls_per_hour) VALUES"
        " ('instagram', '', 'app:', 1.5, 1), ('instagram', 'acc_1', 'account:acc_1', 2.5, 1),"
        " ('instagram', 'acc_2', 'account:acc_2', 9, 1), ('x', '', 'money', 9, 1)"
    )
    harness.adapter.script = reads(views=7)
    for job in due_jobs(harness.engine):
        refresh(job, harness.context)

    stored = harness.state(publication).freshness
    assert (stored["half_life"], stored["pressure"]) == (5, 2.5)


def test_worker_plans_with_the_fitted_readers_and_without_those_of_an_older_version(harness: Harness) -> None:
    one, other = (harness.publications(harness.account(name))[0] for name in ("acc_1", "acc_2"))
    harness.execute(
        "INSERT INTO growth_fits (platform, account_id, half_life, pairs, reads_at_first, reads_at_any_age)"
        " VALUES ('instagram', '', 3, 9, NULL, NULL), ('instagram', 'acc_1', 5, 9, 0.8, 0.03)"
    )
    harness.adapter.script = reads(views=7)
    for job in due_jobs(harness.engine):
        refresh(job, harness.context)

    assert harness.state(one).freshness["readers"] == [0.8, 0.03]
    assert harness.state(other).freshness["readers"] == [4.0, 0.003]


def test_readers_are_fitted_to_the_counted_reads_of_young_and_old_posts(
    harness: Harness, ticks: FreshnessTicks
) -> None:
    ids = harness.publications(harness.account("acc_1", Platform.X), 60)
    with harness.engine.begin() as connection:
        ensure_partitions(connection)
    harness.execute(
        "UPDATE publications SET created_at = now() - interval '12 hours' * (1 + id % 50)"
        " WHERE id = ANY(:ids)",
        ids=ids,
    )
    harness.execute(
        "INSERT INTO snapshots (publication_id, taken_at, last_seen_at, claim_seq, sync_status, metrics)"
        " SELECT id, created_at, created_at + interval '6 hours', 1, 'synced', '{\"impression_count\": 9}'"
        " FROM publications"
    )
    # one read an hour, however old the post is
    harness.execute(
        "INSERT INTO read_counts (publication_id, reads)"
        " SELECT id, EXTRACT(epoch FROM now() - created_at) / 3600 FROM publications"
    )
    ticks.refit()

    ((at_first, at_any_age),) = harness.execute("SELECT reads_at_first, reads_at_any_age FROM growth_fits")
    assert at_first < 1
    assert 0.1 < at_any_age < 1


def test_growth_of_a_post_is_a_signal_for_the_same_post_on_another_platform(harness: Harness) -> None:
    rows = [harness.publications(harness.account(name))[0] for name in ("acc_1", "acc_2")]
    stored = {"policy": "adaptive", "age": 23.0, "value": 1000.0, "half_life": 19.75, "pressure": 1.0}
    harness.execute("UPDATE publications SET post_id = 'post_1'")
    harness.execute("UPDATE post_analytics SET freshness = :stored", stored=Jsonb(stored))
    harness.execute(
        "UPDATE refresh_state SET next_run_at = now() + interval '20 days', reason = 'stale'"
        " WHERE publication_id = :id",
        id=rows[1],
    )
    harness.adapter.script = reads(views=9000)
    for job in due_jobs(harness.engine):
        refresh(job, harness.context)

    assert harness.state(rows[1]).wait < timedelta(days=10)


def test_pressure_is_left_to_the_scheduler_that_computes_it(
    harness: Harness, ticks: FreshnessTicks, client: RedisClient
) -> None:
    counter = CallCounter(client)
    counter.count([TIKTOK], 60_000)
    counter.send()

    with capture_logs() as logged, harness.scheduler.begin() as other:
        other.execute(_ALONE)
        ticks.adjust_pressure()
        ticks.refit()
        assert factors(harness) == {}
        assert "half_lives_fitted" not in {line["event"] for line in logged}

    ticks.adjust_pressure()
    assert factors(harness)
