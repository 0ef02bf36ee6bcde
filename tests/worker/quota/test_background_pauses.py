"""Background work that waits for a used share to fall: one row probes it, a smaller share ends the wait."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.probes import PROBE_EVERY, probe
from shared.redis_client import RedisClient
from shared.settings import Settings
from shared.vocabulary import BucketKind, Lane, Platform
from tests.claiming import due_jobs
from tests.harness import Harness, ScriptedAdapter
from worker.adapters.contract import Upstream
from worker.context import WorkerContext
from worker.quota.fleet import FleetBudgets
from worker.readings import Account, Limit, Publication, Reading
from worker.refresh import refresh


class LimitReportingAdapter(ScriptedAdapter):
    """A scripted adapter whose platform reports the used share of the account's limit."""

    percent = 97

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Report the share, then answer by script."""
        upstream.report_limits(Limit(BucketKind.ACCOUNT, None, used_percent=self.percent))
        return super().fetch(upstream, account, publications)


@pytest.fixture
def adapter() -> LimitReportingAdapter:
    return LimitReportingAdapter()


@pytest.fixture
def context(harness: Harness, client: RedisClient, adapter: LimitReportingAdapter) -> WorkerContext:
    budgets = FleetBudgets.of(Settings(), client)
    return replace(harness.context, budgets=budgets, adapters=dict.fromkeys(Platform, adapter))


def paused(harness: Harness, account_id: str, since: timedelta = PROBE_EVERY) -> None:
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_at, paused_until, reason)"
        " VALUES ('facebook', 'background', :account_id, now() - :since, now() + interval '5 hours', '97 %')",
        account_id=account_id,
        since=since,
    )


def probed(harness: Harness, client: RedisClient) -> int:
    with harness.engine.begin() as connection:
        return probe(connection, client)


def left(harness: Harness) -> list[timedelta]:
    return [row[0] for row in harness.execute("SELECT paused_until - now() FROM pauses")]


def test_large_used_share_pauses_background_and_keeps_rows_due(
    harness: Harness, context: WorkerContext, adapter: LimitReportingAdapter
) -> None:
    harness.publications(harness.account("acc_1", Platform.FACEBOOK), 110)  # a job takes 100
    adapter.percent = 85

    refresh(due_jobs(harness.engine)[0], context)

    (wait,) = left(harness)
    assert timedelta(hours=2) < wait < timedelta(hours=3)
    assert due_jobs(harness.engine) == ()
    assert harness.execute("SELECT count(*) FROM refresh_state WHERE next_run_at <= now()") == [(10,)]


def test_one_row_of_each_waiting_budget_runs_every_five_minutes(
    harness: Harness, client: RedisClient
) -> None:
    for account_id in ("acc_1", "acc_2", "acc_3"):
        harness.publications(harness.account(account_id, Platform.FACEBOOK), 5)
    paused(harness, "acc_1")
    paused(harness, "acc_2", since=PROBE_EVERY - timedelta(seconds=5))

    assert [probed(harness, client), probed(harness, client)] == [1, 0]

    (job,) = due_jobs(harness.engine, Lane.INTERACTIVE)
    assert (job.account_id, len(job.claims)) == ("acc_1", 1)
    assert client.pttl("dravo:probe:facebook:acc_1") == pytest.approx(
        PROBE_EVERY.total_seconds() * 1000, rel=0.1
    )


def test_one_row_probes_share_of_whole_application(harness: Harness, client: RedisClient) -> None:
    for account_id in ("acc_1", "acc_2"):
        harness.publications(harness.account(account_id, Platform.FACEBOOK), 5)
    harness.account("acc_x", Platform.X)
    paused(harness, "")

    assert probed(harness, client) == 1
    assert harness.execute("SELECT count(*) FROM refresh_state WHERE priority > 0") == [(1,)]


def test_operator_pause_is_not_probed(harness: Harness, client: RedisClient) -> None:
    harness.publications(harness.account("acc_1", Platform.FACEBOOK), 5)
    paused(harness, "acc_1")
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('facebook', 'operator_platform', '', now() + interval '1 hour', '')"
    )

    assert probed(harness, client) == 0


@pytest.mark.parametrize(("percent", "ends"), [(10, True), (85, False)])
def test_answer_to_probing_row_ends_or_shortens_the_pause(
    harness: Harness,
    client: RedisClient,
    context: WorkerContext,
    adapter: LimitReportingAdapter,
    percent: int,
    *,
    ends: bool,
) -> None:
    harness.publications(harness.account("acc_1", Platform.FACEBOOK), 5)
    deferred = harness.publications(harness.account("acc_2", Platform.FACEBOOK), 1)[0]
    harness.execute("UPDATE publications SET account_id = 'acc_1' WHERE id = :id", id=deferred)
    harness.execute(
        "UPDATE refresh_state SET account_id = 'acc_1', reason = 'paused',"
        " next_run_at = now() + interval '5 hours' WHERE publication_id = :id",
        id=deferred,
    )
    paused(harness, "acc_1")
    adapter.percent = percent
    assert probed(harness, client) == 1

    for job in due_jobs(harness.engine, Lane.INTERACTIVE):
        refresh(job, context)

    assert len(adapter.requested) == 1
    assert harness.state(deferred).wait <= timedelta(0), "what the pause deferred is due"
    if ends:
        assert left(harness) == []
        assert sum(len(job.claims) for job in due_jobs(harness.engine)) == 5
    else:
        (wait,) = left(harness)
        assert wait < timedelta(hours=3)
        assert due_jobs(harness.engine) == ()
