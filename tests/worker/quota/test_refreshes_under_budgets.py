"""Refreshes under budgets: paused, open or unaffordable endpoints are not claimed, and cost no attempt."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import httpx

from shared.redis_client import RedisClient
from shared.settings import Settings
from shared.vocabulary import Lane, Platform
from tests.claiming import due_jobs
from tests.harness import Harness, ScriptedAdapter, reads
from tests.worker.http.in_process import InProcess
from worker.adapters.contract import Upstream
from worker.context import WorkerContext
from worker.errors import TryAgain
from worker.http.client import Client
from worker.quota.fleet import FleetBudgets
from worker.readings import Account, Publication, Reading
from worker.refresh import refresh


class CallingAdapter(ScriptedAdapter):
    """A scripted adapter that makes its call before it answers."""

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Call, then answer by script."""
        upstream.send("GET", "https://platform.test/", endpoint="video/query")
        return super().fetch(upstream, account, publications)


def budgeted(harness: Harness, client: RedisClient) -> WorkerContext:
    """Return the harness's context with real budgets, and breakers that open at the second failure."""
    platform = InProcess(lambda _: httpx.Response(200))
    adapter = CallingAdapter(script=harness.adapter.script)
    return replace(
        harness.context,
        budgets=FleetBudgets.of(Settings(breaker_failures=2), client),
        client=Client(transport=platform, now=harness.context.clock.now),
        adapters=dict.fromkeys(Platform, adapter),
    )


def due(harness: Harness) -> None:
    harness.execute("UPDATE refresh_state SET next_run_at = now() - interval '1 s', claimed_at = NULL")


def test_open_breaker_stops_claims_and_costs_no_attempt(harness: Harness, client: RedisClient) -> None:
    for number in range(4):
        harness.publications(harness.account(f"acc_{number}", Platform.TIKTOK))
    harness.adapter.script = lambda *_: TryAgain("503", breaks=True)
    context = budgeted(harness, client)

    for one in due_jobs(harness.engine):
        refresh(one, context)
    outcomes = harness.execute("SELECT outcome FROM post_analytics ORDER BY publication_id")
    due(harness)

    assert [row.outcome for row in outcomes] == ["retry", "retry", "paused", "paused"]
    assert due_jobs(harness.engine) == ()
    (pause,) = harness.execute("SELECT kind, subject, reason FROM pauses")
    assert pause == (
        "breaker",
        "video/query",
        "Every call to video/query of TikTok fails: no calls are made for a while.",
    )


def test_paused_endpoint_that_fetches_do_not_need_stops_no_claim(harness: Harness) -> None:
    harness.publications(harness.account("acc_1", Platform.TIKTOK))
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('tiktok', 'breaker', 'oauth/token', now() + interval '1 hour', '')"
    )

    assert len(due_jobs(harness.engine)) == 1


def test_paused_endpoint_that_one_call_needs_defers_the_rows(harness: Harness, client: RedisClient) -> None:
    (publication,) = harness.publications(harness.account("acc_1", Platform.X))
    context = budgeted(harness, client)
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('x', 'endpoint', 'video/query', now() + interval '1 hour', 'Refused.')"
    )

    for one in due_jobs(harness.engine):
        refresh(one, context)

    row = harness.state(publication)
    assert (row.outcome, row.outcome_detail, row.attempts) == ("paused", "Refused.", 0)
    assert timedelta(minutes=59) < row.wait < timedelta(minutes=62)


def test_background_pause_lets_interactive_rows_through(harness: Harness) -> None:
    account = harness.account("acc_1", Platform.FACEBOOK)
    harness.publications(account)
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('facebook', 'background', 'acc_1', now() + interval '1 hour', '96 %')"
    )
    assert due_jobs(harness.engine) == ()

    harness.execute("UPDATE refresh_state SET priority = 1")
    (one,) = due_jobs(harness.engine, Lane.INTERACTIVE)
    refresh(one, harness.context)

    assert len(harness.adapter.requested) == 1


def test_x_reads_are_counted_once_a_utc_day_and_stop_at_the_budget(
    harness: Harness, client: RedisClient
) -> None:
    harness.publications(harness.account("acc_1", Platform.X), 3)
    harness.publications(harness.account("acc_2", Platform.X), 3)
    harness.adapter.script = reads(impression_count=1)
    context = budgeted(harness, client)
    context = replace(context, settings=Settings(x_daily_budget_dollars=0.02))  # four reads

    for one in due_jobs(harness.engine):
        refresh(one, context)
    spent = harness.execute("SELECT reads, reserved FROM post_reads")
    statuses = harness.execute("SELECT outcome, count(*) FROM post_analytics GROUP BY 1 ORDER BY 1")
    (pause,) = harness.execute("SELECT kind, subject, paused_until FROM pauses")

    assert spent == [(3, 0)]
    assert statuses == [("paused", 3), ("synced", 3)]
    assert pause.kind == "app"
    assert (pause.paused_until.hour, pause.paused_until.minute) == (0, 0)
    ((earliest,),) = harness.execute("SELECT min(next_run_at) FROM refresh_state WHERE reason = 'paused'")
    assert earliest >= pause.paused_until, "rows wait for the budget itself, not for a while"
    due(harness)
    assert due_jobs(harness.engine) == (), "claims skip what is not affordable"
    harness.execute("DELETE FROM pauses")
    for one in due_jobs(harness.engine):
        refresh(one, context)
    assert harness.execute("SELECT reads, reserved FROM post_reads") == [(3, 0)], (
        "the second read of a day is free"
    )


def test_failed_fetch_is_not_billed(harness: Harness, client: RedisClient) -> None:
    harness.publications(harness.account("acc_1", Platform.X), 3)
    harness.adapter.script = lambda *_: TryAgain("Down.")

    for one in due_jobs(harness.engine):
        refresh(one, budgeted(harness, client))

    assert harness.execute("SELECT reads, reserved FROM post_reads") == [(0, 0)]


# A fleet against a platform
