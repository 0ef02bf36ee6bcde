"""Stops that only an operator can end: their own kind of pause, tried by one call."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.operations.audit_log import Operator
from shared.operations.pause import Scope
from shared.operations.trial import NothingToTryError, Trial, trial_result, try_stops
from shared.quota.pauses import PauseKey, stops
from shared.redis_client import RedisClient
from shared.refresh_queue import RefreshJob
from shared.settings import Settings
from shared.vocabulary import BucketKind, Lane, PauseKind, Platform
from tests.claiming import claim_due, due_jobs
from tests.harness import Harness, reads
from worker.context import WorkerContext
from worker.errors import Misconfigured, Paused, RefreshError
from worker.quota.fleet import FleetBudgets
from worker.refresh import refresh

ANNA = Operator("anna", "command")
ON_X = Scope(platform=Platform.X)
STOP = PauseKey("x", PauseKind.CREDITS, "")
HOUR = timedelta(hours=1)


class Fleet:
    """A worker with real budgets, and two accounts at X with two due posts each."""

    def __init__(self, harness: Harness, client: RedisClient) -> None:
        self.harness = harness
        self.context: WorkerContext = replace(harness.context, budgets=FleetBudgets.of(Settings(), client))
        self.ids = [
            one
            for name in ("acc_1", "acc_2")
            for one in harness.publications(harness.account(name, Platform.X), 2)
        ]

    def answer(self, error: RefreshError | None) -> None:
        """Let the platform accept every call, or end every fetch with this error."""
        self.harness.adapter.script = reads(views=1) if error is None else lambda *_: error

    def run(self) -> int:
        """Claim what is due and refresh it; return how many jobs there were."""
        jobs: list[RefreshJob] = []
        for lane in (Lane.INTERACTIVE, Lane.BACKGROUND):
            jobs += due_jobs(self.harness.scheduler, lane)
        for job in jobs:
            refresh(job, self.context)
        return len(jobs)

    def attempt(self, scope: Scope = ON_X) -> Trial:
        """Try the stops of a scope."""
        with self.harness.engine.begin() as connection:
            return try_stops(connection, ANNA, scope)

    def pauses(self) -> list[tuple[str, str, bool]]:
        """Return kind, subject and whether it is in force, of every pause."""
        rows = self.harness.execute("SELECT kind, subject, paused_until > now() FROM pauses ORDER BY 1, 2")
        return [tuple(row) for row in rows]

    def reasons(self) -> list[str]:
        """Return why each row runs next when it does."""
        return [self.harness.state(one).reason for one in self.ids]


def credits_used_up(until: datetime | None = None) -> Paused:
    return Paused(
        "Our credits at X are used up: an operator must add some.",
        kind=BucketKind.APP,
        until=until or datetime.now(UTC) + HOUR,
        stop=PauseKind.CREDITS,
    )


@pytest.fixture
def fleet(harness: Harness, client: RedisClient) -> Fleet:
    made = Fleet(harness, client)
    made.answer(credits_used_up())
    assert made.run() == 2
    return made


def test_spent_credits_are_a_stop_of_their_own_and_claims_skip_the_platform(fleet: Fleet) -> None:
    assert fleet.pauses() == [("credits", "", True)]
    assert fleet.reasons() == ["paused"] * 4
    fleet.harness.execute("UPDATE refresh_state SET next_run_at = now()")
    assert fleet.run() == 0


def test_trial_that_succeeds_makes_one_call_first_and_reopens_everything(fleet: Fleet) -> None:
    fleet.answer(None)
    fleet.harness.adapter.requested.clear()

    trial = fleet.attempt()
    assert fleet.pauses() == [("credits", "", False)]
    assert fleet.run() == 1
    with fleet.harness.engine.connect() as connection:
        result = trial_result(connection, list(trial.probes))

    assert len(fleet.harness.adapter.requested) == 1
    assert (result.accepted, result.refused) == ((STOP,), ())
    assert fleet.pauses() == []
    assert fleet.run() > 0
    assert fleet.reasons() == ["stale"] * 4
    entries = fleet.harness.execute("SELECT act, subject, rows FROM operator_acts")
    assert entries == [("try", {"platform": "x"}, 1)]


def test_trial_that_is_refused_leaves_the_stop_with_its_beginning(fleet: Fleet) -> None:
    (before,) = fleet.harness.execute("SELECT paused_at, refusals FROM pauses")

    trial = fleet.attempt()
    fleet.run()
    with fleet.harness.engine.connect() as connection:
        result = trial_result(connection, list(trial.probes))

    (after,) = fleet.harness.execute("SELECT paused_at, refusals FROM pauses")
    assert (after.paused_at, after.refusals) == (before.paused_at, before.refusals + 1)
    assert fleet.pauses() == [("credits", "", True)]
    assert (result.refused, result.reasons) == (
        (STOP,),
        ("Our credits at X are used up: an operator must add some.",),
    )
    assert fleet.reasons() == ["paused"] * 4


def test_trial_without_a_worker_waits(fleet: Fleet) -> None:
    trial = fleet.attempt()

    with fleet.harness.engine.connect() as connection:
        assert trial_result(connection, list(trial.probes)).waiting == (STOP,)
        assert [one.key for one in stops(connection)] == [STOP]


def test_stop_that_ended_by_itself_goes_when_a_call_is_accepted(fleet: Fleet) -> None:
    fleet.harness.execute("UPDATE pauses SET paused_until = now()")
    fleet.harness.execute("UPDATE refresh_state SET next_run_at = now()")
    fleet.answer(None)

    fleet.run()

    assert fleet.pauses() == []


def test_limit_of_the_platform_is_never_tried(fleet: Fleet) -> None:
    fleet.harness.execute("UPDATE pauses SET kind = 'app'")

    with pytest.raises(NothingToTryError, match="nothing on X waits for an operator"):
        fleet.attempt()
    assert fleet.pauses() == [("app", "", True)]


def test_limit_beside_a_stop_prevents_the_trial_and_leaves_both(fleet: Fleet) -> None:
    fleet.harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('x', 'app', '', now() + interval '1 hour', 'limit')"
    )

    with pytest.raises(NothingToTryError, match="cannot be called now"):
        fleet.attempt()
    assert fleet.pauses() == [("app", "", True), ("credits", "", True)]


def test_refused_application_stops_the_platform_until_the_next_retry(
    harness: Harness, client: RedisClient
) -> None:
    fleet = Fleet(harness, client)
    fleet.answer(Misconfigured("The API version has ended.", application=True))

    assert fleet.run() == 2

    assert fleet.pauses() == [("misconfigured", "", True)]
    (pause,) = harness.execute("SELECT paused_until - now() AS left FROM pauses")
    assert timedelta(seconds=60) < pause.left < timedelta(minutes=3)
    warnings = [harness.state(one).warnings[0] for one in fleet.ids]
    assert [one.partition(":")[0] for one in warnings] == ["platform_unavailable"] * 4
    fleet.answer(None)
    fleet.attempt()
    fleet.run()
    assert fleet.pauses() == []


def test_job_that_meets_a_refused_application_warns_its_rows(harness: Harness, client: RedisClient) -> None:
    fleet = Fleet(harness, client)
    fleet.answer(Misconfigured("The API version has ended.", application=True))
    with harness.scheduler.begin() as connection:
        first, second = claim_due(connection, lease=HOUR).jobs

    refresh(first, fleet.context)
    refresh(second, fleet.context)

    assert len(harness.adapter.requested) == 1
    rows = [harness.state(one) for one, _ in second.claims]
    assert [(row.outcome, row.attempts) for row in rows] == [("paused", 0)] * 2
    assert all(row.warnings[0].startswith("platform_unavailable: ") for row in rows)


def test_blocked_account_stops_alone_and_a_reconnect_ends_it(harness: Harness, client: RedisClient) -> None:
    fleet = Fleet(harness, client)
    until = datetime.now(UTC) + HOUR
    blocked = Paused("Blocked.", kind=BucketKind.ACCOUNT, until=until, stop=PauseKind.BLOCKED)
    harness.adapter.script = lambda account, publication: (
        blocked if account.account_id == "acc_1" else reads(views=1)(account, publication)
    )

    fleet.run()

    assert fleet.pauses() == [("blocked", "acc_1", True)]
    assert fleet.reasons() == ["paused", "paused", "stale", "stale"]
    fleet.answer(None)
    fleet.attempt(Scope(account_id="acc_1"))
    fleet.run()
    assert fleet.pauses() == []
