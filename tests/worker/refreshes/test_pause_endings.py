"""The end of a pause, whatever its reason, makes the rows due that it deferred, also beside a running job."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.states import reconnect
from shared.operations.audit_log import Operator
from shared.operations.pause import Scope, pause_scope, resume_scope
from shared.quota import pauses, spending
from shared.quota.pauses import PauseKey
from shared.quota.spending import Caps
from shared.refresh_queue import RefreshJob
from shared.refresh_state import make_due
from shared.settings import Settings
from shared.vocabulary import BucketKind, PauseKind, Platform
from tests.harness import Harness
from tests.worker.running import await_lock, claims
from worker.errors import Paused
from worker.refresh import refresh

ANNA = Operator("anna", "command")
SCOPE = Scope(platform=Platform.INSTAGRAM)


@pytest.fixture
def at_gap(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], object]]:
    """Run a function once when a job reaches a failpoint."""
    actions: dict[str, Callable[[], object]] = {}

    def hit(gap: str, publication_ids: object = ()) -> None:
        del publication_ids
        actions.pop(gap, lambda: None)()

    monkeypatch.setattr("shared.observability.failpoints.hit", hit)
    return actions


def pause(harness: Harness, until: datetime | None = None) -> None:
    with harness.engine.begin() as connection:
        pause_scope(connection, ANNA, SCOPE, "maintenance", until)


def resume(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        resume_scope(connection, ANNA, SCOPE)


def paused_job(harness: Harness) -> tuple[int, RefreshJob]:
    """Claim a row, then pause its platform without an end, so that the worker finds the pause."""
    publication = harness.publications(harness.account("acc_1"))[0]
    (job,) = claims(harness)
    pause(harness)
    return publication, job


def test_pause_without_end_defers_rows_for_an_hour_at_most(harness: Harness) -> None:
    publication, job = paused_job(harness)

    refresh(job, harness.context)

    row = harness.state(publication)
    assert (row.reason, row.attempts) == ("paused", 0)
    assert timedelta(minutes=59) < row.wait < timedelta(minutes=61)
    assert harness.adapter.requested == []


def test_resume_makes_deferred_rows_due(harness: Harness) -> None:
    publication, job = paused_job(harness)
    refresh(job, harness.context)

    resume(harness)

    assert harness.state(publication).wait <= timedelta()
    assert harness.execute("SELECT * FROM pauses") == []


def test_job_that_finishes_after_resume_leaves_its_rows_due(
    harness: Harness, at_gap: dict[str, Callable[[], object]]
) -> None:
    publication, job = paused_job(harness)
    at_gap["fetched"] = lambda: resume(harness)

    refresh(job, harness.context)

    assert harness.state(publication).wait < timedelta(seconds=1)


def test_resume_waits_for_a_job_that_is_deferring_rows_and_makes_them_due(
    harness: Harness, at_gap: dict[str, Callable[[], object]]
) -> None:
    publication, job = paused_job(harness)
    resumed: list[Future[None]] = []
    with ThreadPoolExecutor(1) as other:

        def begin_resume() -> None:
            resumed.append(other.submit(resume, harness))
            await_lock(harness)

        at_gap["recorded"] = begin_resume
        refresh(job, harness.context)
        resumed[0].result(10)

    assert harness.state(publication).wait <= timedelta()


def test_job_waits_for_concurrent_resume_and_leaves_its_rows_due(
    harness: Harness, at_gap: dict[str, Callable[[], object]]
) -> None:
    publication, job = paused_job(harness)
    commit, ended = threading.Event(), threading.Event()

    def resume_slowly() -> None:
        with harness.engine.begin() as connection:
            resume_scope(connection, ANNA, SCOPE)
            ended.set()
            assert commit.wait(30)

    with ThreadPoolExecutor(2) as others:

        def begin_resume() -> None:
            others.submit(resume_slowly)
            assert ended.wait(30)

        at_gap["fetched"] = begin_resume
        finished = others.submit(refresh, job, harness.context)
        assert ended.wait(30)
        await_lock(harness)
        commit.set()
        finished.result(10)

    assert harness.state(publication).wait < timedelta(seconds=1)


def test_shortened_pause_defers_until_its_new_end(
    harness: Harness, at_gap: dict[str, Callable[[], object]]
) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    (job,) = claims(harness)
    pause(harness, datetime.now(UTC) + timedelta(minutes=50))
    at_gap["fetched"] = lambda: pause(harness, datetime.now(UTC) + timedelta(minutes=5))

    refresh(job, harness.context)

    assert timedelta(minutes=4) < harness.state(publication).wait < timedelta(minutes=6)


def test_raised_budget_makes_rows_deferred_to_next_month_due(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1", Platform.X))[0]
    harness.execute("INSERT INTO post_reads (platform, day, reads) VALUES ('x', current_date, 100)")
    poor = Settings(x_monthly_budget_dollars=0.5)
    (job,) = claims(harness)
    object.__setattr__(harness.context, "settings", poor)
    refresh(job, harness.context)
    assert harness.state(publication).reason == "paused"

    with harness.engine.begin() as connection:
        assert not spending.lift_pause_after_budget_increase(connection, Caps.of(poor))
    assert harness.state(publication).wait > timedelta(seconds=1)
    with harness.engine.begin() as connection:
        assert spending.lift_pause_after_budget_increase(
            connection, Caps.of(Settings(x_monthly_budget_dollars=5))
        )

    assert harness.state(publication).wait <= timedelta()


def test_reconnect_ends_pause_of_account_and_makes_its_rows_due(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    other = harness.publications(harness.account("acc_2"))[0]
    relief = datetime.now(UTC) + timedelta(minutes=30)
    harness.adapter.script = lambda *_: Paused("Limit reached.", kind=BucketKind.ACCOUNT, until=relief)
    for job in claims(harness):
        refresh(job, harness.context)

    with harness.engine.begin() as connection:
        reconnect(connection, "ws_1", "acc_1")

    assert harness.state(publication).wait <= timedelta()
    assert harness.state(other).wait > timedelta(minutes=29)
    assert harness.execute("SELECT subject FROM pauses") == [("acc_2",)]


@pytest.mark.parametrize(
    ("kind", "subject", "concerned"),
    [
        (PauseKind.APP, "", {"acc_1", "acc_2"}),
        (PauseKind.ENDPOINT, "insights", {"acc_1", "acc_2"}),
        (PauseKind.BACKGROUND, "", {"acc_1", "acc_2"}),
        (PauseKind.BACKGROUND, "acc_1", {"acc_1"}),
        (PauseKind.ACCOUNT, "acc_1", {"acc_1"}),
        (PauseKind.OPERATOR_WORKSPACE, "ws_2", {"acc_2"}),
    ],
)
def test_end_of_a_pause_makes_only_its_own_rows_due(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, kind: PauseKind, subject: str, concerned: set[str]
) -> None:
    monkeypatch.setattr(make_due, "_ROWS_AT_ONCE", 2)
    later = datetime.now(UTC) + timedelta(days=20)
    for account, platform, workspace in (
        ("acc_1", Platform.INSTAGRAM, "ws_1"),
        ("acc_2", Platform.INSTAGRAM, "ws_2"),
        ("acc_x", Platform.X, "ws_1"),
    ):
        harness.account(account, platform, workspace_id=workspace)
        harness.publications(account, 3, next_run_at=later, reason="paused")
    harness.publications("acc_1", 0)
    retried = harness.publications(harness.account("acc_retry"), next_run_at=later, reason="retry")
    key = PauseKey("instagram", kind, subject)

    with harness.engine.begin() as connection:
        assert pauses.end(connection, [key]) == [], "nothing was paused, so nothing is made due"
        until = datetime.now(UTC) + timedelta(days=30)
        pauses.pause(connection, platform="instagram", kind=kind, subject=subject, until=until, reason="")
        assert pauses.end(connection, [key]) == [key]

    due = harness.execute(
        "SELECT account_id, count(*) FROM refresh_state WHERE next_run_at <= now() GROUP BY 1"
    )
    assert {(row.account_id, row.count) for row in due} == {(account, 3) for account in concerned}
    assert harness.state(retried[0]).reason == "retry"
