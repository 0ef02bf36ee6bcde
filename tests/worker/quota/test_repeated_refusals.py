"""A refusal escalates when the first call after its pause is refused again; a success resets that."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from deploy.simulators.server import Simulators
from deploy.simulators.world import Account as SimulatedAccount
from shared.quota.budgets import Budgets
from shared.redis_client import RedisClient
from shared.refresh_state.claim import JOBS_PER_ACCOUNT
from shared.settings import Settings
from shared.vocabulary import BucketKind, Lane, Platform
from tests.claiming import due_jobs
from tests.harness import Harness
from tests.worker.adapters.support import account, publication, replies, reply, upstream
from tests.worker.http.in_process import InProcess
from tests.worker.quota.fake_clock import FakeClock
from worker.adapters.linkedin.linkedin import LinkedIn
from worker.context import WorkerContext
from worker.errors import Paused, RefreshError
from worker.http.client import Client
from worker.quota.fleet import FleetBudgets
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred
from worker.refresh import refresh

REFUSED = {"serviceErrorCode": 101, "message": "Resource level throttle MEMBER DAY limit is reached."}
STATISTICS = {"elements": [{"share": "urn:li:share:1", "totalShareStatistics": {"likeCount": 1}}]}
SHORT = timedelta(seconds=90)
HOLDER = account(Platform.LINKEDIN, kind="organization")


def job(fleet: FleetBudgets, clock: FakeClock, *statuses: int) -> RefreshError | None:
    """Run one job whose calls get these statuses; return its error."""
    budget = JobBudget(
        fleet, "acc_1", Platform.LINKEDIN, Lane.BACKGROUND, (), now=clock.now, sleep=clock.passes
    )
    answers = [reply(STATISTICS if status == 200 else REFUSED, status) for status in statuses]
    sent = upstream(replies(*answers), now=clock.now())
    try:
        for _ in statuses:
            budget.acquire(Platform.LINKEDIN, "acc_1", "organizationalEntityShareStatistics", 1)
            list(LinkedIn(Settings()).fetch(sent, HOLDER, [publication(1, "urn:li:share:1")]))
    except RefreshError as error:
        return budget.on_result(error)
    return budget.on_result(None)


def wait(ended: RefreshError | None, clock: FakeClock) -> timedelta:
    assert isinstance(ended, Paused)
    return ended.until - clock.now()


def test_limit_refused_again_after_its_pause_is_the_daily_limit(
    fleet: FleetBudgets, clock: FakeClock
) -> None:
    assert wait(job(fleet, clock, 429), clock) == SHORT
    clock.passes(90)

    assert wait(job(fleet, clock, 429), clock) > timedelta(hours=11)
    with pytest.raises(Deferred):
        JobBudget(fleet, "acc_1", Platform.LINKEDIN, Lane.INTERACTIVE, (), now=clock.now).acquire(
            Platform.LINKEDIN, "acc_1", "organizationalEntityShareStatistics", 1
        )


@pytest.mark.parametrize("successes", [[(200,), (429,)], [(200, 429)]], ids=["another job", "the same job"])
def test_success_after_a_pause_resets_escalation(
    fleet: FleetBudgets, clock: FakeClock, successes: list[tuple[int, ...]]
) -> None:
    assert wait(job(fleet, clock, 429), clock) == SHORT
    clock.passes(90)

    *before, last = [job(fleet, clock, *statuses) for statuses in successes]

    assert all(ended is None for ended in before)
    assert wait(last, clock) == SHORT


def test_refusal_of_another_bucket_does_not_escalate(fleet: FleetBudgets, clock: FakeClock) -> None:
    first = JobBudget(fleet, "acc_1", Platform.LINKEDIN, Lane.BACKGROUND, (), now=clock.now)
    first.acquire(Platform.LINKEDIN, "acc_1", "posts", 1)
    first.on_result(Paused("App.", kind=BucketKind.APP, until=clock.now() + SHORT))
    clock.passes(90)

    assert wait(job(fleet, clock, 429), clock) == SHORT


# Tokens


class Fleet:
    """Workers whose LinkedIn is simulated, with 1,000 due posts of an account whose token is revoked."""

    def __init__(self, harness: Harness, client: RedisClient, **columns: object) -> None:
        self.harness = harness
        self.clock = FakeClock()
        self.simulators = Simulators(now=harness.context.clock.now)
        known = SimulatedAccount("linkedin", "5550001", "token-of-acc_1", revoked=True)
        self.simulators.world.add_accounts([known])
        harness.publications(
            harness.account("acc_1", Platform.LINKEDIN, platform_account_id="5550001", **columns), 1000
        )
        harness.execute("UPDATE publications SET platform_post_id = 'urn:li:share:' || id")
        made = FleetBudgets.of(Settings(), client)
        http = Client(transport=InProcess(self._answer), now=harness.context.clock.now)
        self.context: WorkerContext = replace(
            harness.context,
            budgets=replace(made, budgets=Budgets(client, now=self.clock.micros)),
            client=http,
            adapters={Platform.LINKEDIN: LinkedIn(Settings())},
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        return self.simulators.serve("linkedin", request).response

    def run(self) -> None:
        """Claim as many jobs as may be in flight at once, then run them."""
        for one in [job for _ in range(2 * JOBS_PER_ACCOUNT) for job in due_jobs(self.harness.engine)]:
            refresh(one, self.context)

    @property
    def refused(self) -> int:
        """Calls that the platform refused."""
        return len(self.simulators.request_log.entries())

    def statuses(self) -> list[tuple[str, int]]:
        """Return how many rows have each status."""
        rows = self.harness.execute("SELECT sync_status, count(*) FROM post_analytics GROUP BY 1")
        return [(row[0], row[1]) for row in rows]


def test_revoked_imported_token_is_refused_only_for_the_jobs_in_flight(
    harness: Harness, client: RedisClient
) -> None:
    fleet = Fleet(harness, client)

    fleet.run()
    fleet.run()

    assert 1 <= fleet.refused <= JOBS_PER_ACCOUNT
    assert fleet.statuses() == [("requires_reconnect", 1000)]


def test_refused_renewed_token_is_retried_once_by_the_fleet(harness: Harness, client: RedisClient) -> None:
    fleet = Fleet(harness, client, token_minted_at=harness.execute("SELECT now()")[0][0])

    fleet.run()
    before = (fleet.refused, fleet.statuses())
    fleet.run()
    rested = fleet.refused
    fleet.clock.passes(9)
    harness.execute("UPDATE pauses SET paused_until = now() - interval '1 second'")
    harness.execute("UPDATE refresh_state SET next_run_at = now() WHERE reason = 'paused'")
    fleet.run()

    assert before == (1, [("pending", 1000)])
    assert rested == 1, "nobody asks while the account rests"
    assert fleet.refused <= 1 + JOBS_PER_ACCOUNT
    assert fleet.statuses() == [("requires_reconnect", 1000)]


def test_renewed_token_that_is_accepted_later_continues(harness: Harness, client: RedisClient) -> None:
    fleet = Fleet(harness, client, token_minted_at=harness.execute("SELECT now()")[0][0])
    fleet.run()

    scopes = frozenset({"rw_organization_admin", "r_organization_social"})
    fleet.simulators.world.change_account("linkedin", "5550001", revoked=False, scopes=scopes)
    fleet.clock.passes(9)
    harness.execute("UPDATE pauses SET paused_until = now() - interval '1 second'")
    harness.execute("UPDATE refresh_state SET next_run_at = now() WHERE reason = 'paused'")
    fleet.run()

    assert harness.execute("SELECT state FROM accounts") == [("active",)]
    assert harness.execute(
        "SELECT count(*) FROM post_analytics WHERE outcome IN ('requires_reconnect', 'retry')"
    ) == [(0,)]
