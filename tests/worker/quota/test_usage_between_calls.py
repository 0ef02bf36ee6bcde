"""A background job stops between its calls when an answer pauses background work for its bucket."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import httpx
import pytest

from shared.redis_client import RedisClient
from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform, SyncStatus
from tests.claiming import due_jobs
from tests.harness import Harness, ScriptedAdapter
from tests.worker.http.in_process import InProcess
from worker.adapters.contract import Upstream
from worker.http.client import Client
from worker.quota.fleet import FleetBudgets
from worker.readings import Account, Limit, Publication, Reading
from worker.refresh import refresh


class UsageReportingAdapter(ScriptedAdapter):
    """A scripted adapter that makes a call, whose answer reports the used share of the account's limit."""

    percent = 0
    after_answer: Callable[[], object] = staticmethod(lambda: None)

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Call, report the share, then answer by script."""
        upstream.send("POST", "https://platform.test/", endpoint="insights", cost=len(publications))
        upstream.report_limits(Limit(BucketKind.ACCOUNT, None, used_percent=self.percent))
        self.after_answer()
        return super().fetch(upstream, account, publications)


@pytest.mark.parametrize(
    ("percent", "priority", "redis_is_lost", "calls"),
    [(84, 0, False, 1), (84, 0, True, 1), (84, 1, True, 2), (80, 0, True, 2)],
)
def test_background_job_makes_no_call_after_an_answer_that_pauses_background_work(
    harness: Harness, client: RedisClient, percent: int, priority: int, *, redis_is_lost: bool, calls: int
) -> None:
    ids = harness.publications(harness.account("acc_1", Platform.FACEBOOK), 100)
    adapter = UsageReportingAdapter()
    adapter.percent = percent
    if redis_is_lost:
        adapter.after_answer = client.flushdb
    context = replace(
        harness.context,
        budgets=FleetBudgets.of(Settings(), client),
        client=Client(transport=InProcess(lambda _: httpx.Response(200)), now=harness.context.clock.now),
        adapters={Platform.FACEBOOK: adapter},
    )
    (job,) = due_jobs(harness.engine)
    harness.execute("UPDATE refresh_state SET priority = :priority", priority=priority)

    refresh(job, context)

    rows = [harness.state(one) for one in ids]
    assert len(adapter.requested) == calls
    assert [row.sync_status for row in rows].count(SyncStatus.SYNCED) == 50 * calls
    assert {row.attempts for row in rows} == {0}
    assert {row.reason for row in rows if row.sync_status != SyncStatus.SYNCED} <= {"paused"}
