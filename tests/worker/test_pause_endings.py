"""A pause that ends, for whatever reason, makes due the rows it deferred, however a job meets its end."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.states import reconnect
from shared.operations import actions
from shared.operations.actions import Operator, Scope
from shared.quota import pauses, spending
from shared.quota.pauses import PauseKey
from shared.quota.spending import Caps
from shared.refresh_queue import RefreshJob
from shared.settings import Settings
from shared.vocabulary import BucketKind, PauseKind, Platform
from tests.scenarios import House, house
from tests.worker.test_refresh import claims
from worker.errors import Paused
from worker.refresh import refresh

ANNA = Operator("anna", "command")
SCOPE = Scope(platform=Platform.INSTAGRAM)


@pytest.fixture
def home(database_url: str) -> Iterator[House]:
    with house(database_url) as opened:
        yield opened


@pytest.fixture
def at_gap(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], object]]:
    """Let a job do something at a gap between two of its steps, once."""
    acts: dict[str, Callable[[], object]] = {}

    def passes(gap: str, publication_ids: object = ()) -> None:
        del publication_ids
        acts.pop(gap, lambda: None)()

    monkeypatch.setattr("shared.observability.failpoints.passes", passes)
    return acts


def pause(home: House, until: datetime | None = None) -> None:
    with home.engine.begin() as connection:
        actions.pause(connection, ANNA, SCOPE, "maintenance", until)


def resume(home: House) -> None:
    with home.engine.begin() as connection:
        actions.resume(connection, ANNA, SCOPE)


def paused_job(home: House) -> tuple[int, RefreshJob]:
    """Claim a row, then pause its platform without an end: the worker meets the pause."""
    publication = home.publications(home.account("acc_1"))[0]
    (job,) = claims(home)
    pause(home)
    return publication, job


def await_lock(home: House) -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    deadline = time.monotonic() + 10
    while home.execute(waiting) == [(0,)]:
        assert time.monotonic() < deadline, "nobody waits for a lock"


def test_a_pause_without_an_end_defers_rows_for_an_hour_at_most(home: House) -> None:
    publication, job = paused_job(home)

    refresh(job, home.tools)

    row = home.state(publication)
    assert (row.reason, row.attempts) == ("paused", 0)
    assert timedelta(minutes=59) < row.wait < timedelta(minutes=61)
    assert home.adapter.asked == []


def test_resume_makes_due_what_was_deferred(home: House) -> None:
    publication, job = paused_job(home)
    refresh(job, home.tools)

    resume(home)

    assert home.state(publication).wait <= timedelta()
    assert home.execute("SELECT * FROM pauses") == []


def test_a_job_that_finishes_after_resume_leaves_its_rows_due(
    home: House, at_gap: dict[str, Callable[[], object]]
) -> None:
    publication, job = paused_job(home)
    at_gap["fetched"] = lambda: resume(home)

    refresh(job, home.tools)

    assert home.state(publication).wait < timedelta(seconds=1)


def test_resume_waits_for_a_job_that_is_deferring_rows_and_makes_them_due(
    home: House, at_gap: dict[str, Callable[[], object]]
) -> None:
    publication, job = paused_job(home)
    resumed: list[Future[None]] = []
    with ThreadPoolExecutor(1) as other:

        def begin_resume() -> None:
            resumed.append(other.submit(resume, home))
            await_lock(home)

        at_gap["recorded"] = begin_resume
        refresh(job, home.tools)
        resumed[0].result(10)

    assert home.state(publication).wait <= timedelta()


def test_a_job_waits_for_a_resume_under_way_and_leaves_its_rows_due(
    home: House, at_gap: dict[str, Callable[[], object]]
) -> None:
    publication, job = paused_job(home)
    commit, ended = threading.Event(), threading.Event()

    def resume_slowly() -> None:
        with home.engine.begin() as connection:
            actions.resume(connection, ANNA, SCOPE)
            ended.set()
            assert commit.wait(10)

    with ThreadPoolExecutor(2) as others:

        def begin_resume() -> None:
            others.submit(resume_slowly)
            assert ended.wait(10)

        at_gap["fetched"] = begin_resume
        finished = others.submit(refresh, job, home.tools)
        assert ended.wait(10)
        await_lock(home)
        commit.set()
        finished.result(10)

    assert home.state(publication).wait < timedelta(seconds=1)


def test_a_pause_that_was_shortened_meanwhile_defers_until_its_new_end(
    home: House, at_gap: dict[str, Callable[[], object]]
) -> None:
    publication = home.publications(home.account("acc_1"))[0]
    (job,) = claims(home)
    pause(home, datetime.now(UTC) + timedelta(minutes=50))
    at_gap["fetched"] = lambda: pause(home, datetime.now(UTC) + timedelta(minutes=5))

    refresh(job, home.tools)

    assert timedelta(minutes=4) < home.state(publication).wait < timedelta(minutes=6)


def test_a_raised_budget_makes_due_what_waited_for_the_next_month(home: House) -> None:
    publication = home.publications(home.account("acc_1", Platform.X))[0]
    home.execute("INSERT INTO post_reads (platform, day, reads) VALUES ('x', current_date, 100)")
    poor = Settings(x_monthly_budget_dollars=0.5)
    (job,) = claims(home)
    object.__setattr__(home.tools, "settings", poor)
    refresh(job, home.tools)
    assert home.state(publication).reason == "paused"

    with home.engine.begin() as connection:
        assert not spending.lift_outgrown_pause(connection, Caps.of(poor))
    assert home.state(publication).wait > timedelta(seconds=1)
    with home.engine.begin() as connection:
        assert spending.lift_outgrown_pause(connection, Caps.of(Settings(x_monthly_budget_dollars=5)))

    assert home.state(publication).wait <= timedelta()


def test_a_reconnect_ends_the_account_s_pause_and_makes_its_rows_due(home: House) -> None:
    publication = home.publications(home.account("acc_1"))[0]
    other = home.publications(home.account("acc_2"))[0]
    relief = datetime.now(UTC) + timedelta(minutes=30)
    home.adapter.script = lambda *_: Paused("Limit reached.", kind=BucketKind.ACCOUNT, until=relief)
    for job in claims(home):
        refresh(job, home.tools)

    with home.engine.begin() as connection:
        reconnect(connection, "ws_1", "acc_1")

    assert home.state(publication).wait <= timedelta()
    assert home.state(other).wait > timedelta(minutes=29)
    assert home.execute("SELECT subject FROM pauses") == [("acc_2",)]


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
def test_the_end_of_a_pause_concerns_what_it_held_up(
    home: House, monkeypatch: pytest.MonkeyPatch, kind: PauseKind, subject: str, concerned: set[str]
) -> None:
    monkeypatch.setattr(pauses, "_ROWS_AT_ONCE", 2)
    later = datetime.now(UTC) + timedelta(days=20)
    for account, platform, workspace in (
        ("acc_1", Platform.INSTAGRAM, "ws_1"),
        ("acc_2", Platform.INSTAGRAM, "ws_2"),
        ("acc_x", Platform.X, "ws_1"),
    ):
        home.account(account, platform, workspace_id=workspace)
        home.publications(account, 3, next_run_at=later, reason="paused")
    home.publications("acc_1", 0)
    kept = home.publications(home.account("acc_retry"), next_run_at=later, reason="retry")
    key = PauseKey("instagram", kind, subject)

    with home.engine.begin() as connection:
        assert pauses.end(connection, [key]) == [], "nothing was paused, so nothing is made due"
        until = datetime.now(UTC) + timedelta(days=30)
        pauses.pause(connection, platform="instagram", kind=kind, subject=subject, until=until, reason="")
        assert pauses.end(connection, [key]) == [key]

    due = home.execute("SELECT account_id, count(*) FROM refresh_state WHERE next_run_at <= now() GROUP BY 1")
    assert {(row.account_id, row.count) for row in due} == {(account, 3) for account in concerned}
    assert home.state(kept[0]).reason == "retry"
