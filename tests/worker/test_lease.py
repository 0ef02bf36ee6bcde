"""A slow platform never costs a living worker its lease; a worker without progress loses it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.linkedin.linkedin import LinkedIn as SimulatedLinkedIn
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Post, World
from shared.accounts import states
from shared.batches import LINKEDIN_MEMBER_CALLS, job_size
from shared.refresh_queue import RefreshJob
from shared.refresh_state.claim import Claims
from shared.settings import Settings
from shared.vocabulary import Lane, Platform
from tests.claiming import claim_due
from tests.harness import Harness, open_harness
from tests.worker.http.in_process import InProcess
from tests.worker.running import fenced_writes
from worker.adapters.linkedin.linkedin import LinkedIn
from worker.clock import DatabaseClock
from worker.http.client import Client
from worker.refresh import refresh

LEASE = timedelta(seconds=60)
TOKEN = "AQ-member"


class Time:
    """Seconds that pass for the worker and, through the rows' instants, for the database."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.harness: Harness | None = None

    def passes(self, seconds: float) -> None:
        """Let time pass: every lease moves towards its end."""
        self.seconds += seconds
        assert self.harness is not None
        self.harness.execute(
            "UPDATE refresh_state SET next_run_at = next_run_at - make_interval(secs => :s),"
            " claimed_at = claimed_at - make_interval(secs => :s) WHERE claimed_at IS NOT NULL",
            s=seconds,
        )


class Member:
    """A LinkedIn member whose posts the real adapter fetches from a simulated LinkedIn, six calls a post."""

    def __init__(self, harness: Harness, time: Time, posts: int) -> None:
        self.harness, self.time = harness, time
        self.calls = 0
        self.at_call: Callable[[int], None] = lambda _number: None
        self.taken_over: list[Claims] = []
        self.world = World(0, lambda: datetime.now(UTC))
        self.world.add_accounts(
            [
                SimulatedAccount(
                    "linkedin",
                    "pa_acc_1",
                    TOKEN,
                    kind="member",
                    scopes=frozenset({"r_member_postAnalytics"}),
                    minted_at=datetime.now(UTC) - timedelta(days=1),
                )
            ]
        )
        seal = harness.context.vault.seal
        account = harness.account(
            "acc_1", Platform.LINKEDIN, kind="member", sealed_access_token=seal(SecretStr(TOKEN))
        )
        self.ids = harness.publications(account, posts)
        for number, publication_id in enumerate(self.ids):
            urn = f"urn:li:share:{7_390_000_000_000_000_000 + number}"
            harness.execute(
                "UPDATE publications SET platform_post_id = :urn WHERE id = :id", urn=urn, id=publication_id
            )
            self.world.add_posts(
                [
                    Post(
                        "linkedin",
                        urn,
                        "pa_acc_1",
                        datetime.now(UTC) - timedelta(days=2),
                        counters={"impressionCount": 10},
                    )
                ]
            )
        self._platform = SimulatedLinkedIn(self.world, Behaviour())

    def run(self, job: RefreshJob) -> None:
        """Refresh a job; each call runs ``at_call`` with its number before it is answered."""

        def answer(request: httpx.Request) -> httpx.Response:
            self.calls += 1
            self.at_call(self.calls)
            return self._platform.handle(request)

        with Client(transport=InProcess(answer), now=self.harness.context.clock.now) as client:
            adapter = LinkedIn(Settings(linkedin_api_url="http://linkedin.test"))
            refresh(job, replace(self.harness.context, client=client, adapters={Platform.LINKEDIN: adapter}))

    def whole(self) -> RefreshJob:
        """Claim every row as one job, as large as a platform's batch may be."""
        rows = self.harness.execute(
            "UPDATE refresh_state SET claim_seq = claim_seq + 1, claimed_at = now(), reason = 'claimed',"
            " next_run_at = now() + make_interval(secs => :s) RETURNING publication_id, claim_seq",
            s=LEASE.total_seconds(),
        )
        return RefreshJob("acc_1", tuple(sorted((one, seq) for one, seq in rows)))


def claimed(harness: Harness) -> Claims:
    with harness.engine.begin() as connection:
        return claim_due(connection, lease=LEASE)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def harness(database_url: str, time: Time) -> Iterator[Harness]:
    with open_harness(database_url) as opened:
        time.harness = opened
        yield replace(opened, context=replace(opened.context, clock=DatabaseClock(lambda: time.seconds)))


@pytest.mark.parametrize("seconds", [0.1, 1, 5, 20])
def test_slow_platform_loses_no_reading_and_no_lease(harness: Harness, time: Time, seconds: float) -> None:
    member = Member(harness, time, 20)
    job = member.whole()
    fenced = fenced_writes(Platform.LINKEDIN)
    expired = []

    def slow(number: int) -> None:
        time.passes(seconds)
        if number % 5 == 0:  # another scheduler looks for work
            expired.append(claimed(harness).rows)

    member.at_call = slow
    member.run(job)

    assert member.calls == 20 * LINKEDIN_MEMBER_CALLS
    assert set(expired) == {0}, "nobody else gets a row of a worker that makes progress"
    assert harness.execute("SELECT sync_status, count(*) FROM post_analytics GROUP BY 1") == [("synced", 20)]
    assert harness.execute("SELECT count(*) FROM refresh_state WHERE claimed_at IS NOT NULL") == [(0,)]
    assert harness.execute("SELECT max(unfinished), max(attempts) FROM refresh_state") == [(0, 0)]
    assert fenced_writes(Platform.LINKEDIN) == fenced


def test_readings_are_recorded_when_the_lease_is_extended(harness: Harness, time: Time) -> None:
    member = Member(harness, time, 3)
    job = member.whole()
    synced = "SELECT count(*) FROM post_analytics WHERE sync_status = 'synced'"
    seen: list[int] = []

    def slow(_number: int) -> None:
        time.passes(20)
        seen.append(harness.execute(synced)[0][0])
        if member.calls == 2 * LINKEDIN_MEMBER_CALLS + 3:
            raise KeyboardInterrupt  # as if the process were killed

    member.at_call = slow
    with pytest.raises(KeyboardInterrupt):
        member.run(job)

    assert seen[-1] == 2, "the rows that were read survive the worker"
    assert harness.execute("SELECT sync_status FROM post_analytics ORDER BY publication_id") == [
        ("synced",),
        ("synced",),
        ("pending",),
    ]


def test_fast_job_extends_no_lease(harness: Harness, time: Time) -> None:
    member = Member(harness, time, 3)
    job = member.whole()
    ends = "SELECT DISTINCT next_run_at FROM refresh_state"
    seen = []
    member.at_call = lambda _number: seen.append(harness.execute(ends)[0][0])

    member.run(job)

    assert len(set(seen)) == 1


def test_rows_claimed_by_another_worker_are_dropped_and_the_others_continue(
    harness: Harness, time: Time
) -> None:
    member = Member(harness, time, 3)
    job = member.whole()
    lost_row = member.ids[2]

    def overtaken(number: int) -> None:
        time.passes(5)
        if number == 3:
            harness.execute(
                "UPDATE refresh_state SET claim_seq = claim_seq + 1 WHERE publication_id = :id", id=lost_row
            )

    member.at_call = overtaken
    member.run(job)

    assert [harness.state(one).sync_status for one in member.ids] == ["synced", "synced", "pending"]
    assert harness.state(lost_row).claimed_at is not None


def test_job_without_standing_claims_stops_calling(harness: Harness, time: Time) -> None:
    member = Member(harness, time, 3)
    job = member.whole()

    def disconnected(number: int) -> None:
        time.passes(25)
        if number == 2:
            with harness.engine.begin() as connection:
                states.disconnect(connection, "ws_1", "acc_1")

    member.at_call = disconnected
    member.run(job)

    assert member.calls == 2
    assert {harness.state(one).sync_status for one in member.ids} == {"requires_reconnect"}


def test_frozen_worker_loses_its_lease_and_writes_nothing(harness: Harness, time: Time) -> None:
    member = Member(harness, time, 2)
    job = member.whole()
    again: list[Claims] = []

    def frozen(number: int) -> None:
        if number == 2:
            time.passes(61)
            again.append(claimed(harness))

    member.at_call = frozen
    member.run(job)

    assert [claims.expired_leases for claims in again] == [2]
    assert member.calls == 2
    assert {harness.state(one).sync_status for one in member.ids} == {"pending"}


def test_short_database_outage_does_not_end_the_job(harness: Harness, time: Time) -> None:
    member = Member(harness, time, 2)
    job = member.whole()
    member.at_call = lambda _number: time.passes(7)
    away = iter([True])
    begin = harness.engine.begin

    def begin_or_fail(*arguments: object, **options: object) -> object:
        if member.calls == 3 and next(away, False):
            raise OperationalError("SELECT", None, Exception("gone"))
        return begin(*arguments, **options)

    # Of a copy: the tests' own statements go through the same engine.
    engine = type("Engine", (), {"begin": staticmethod(begin_or_fail), "connect": harness.engine.connect})()
    member.harness = replace(harness, context=replace(harness.context, engine=engine))
    member.run(job)

    assert {harness.state(one).sync_status for one in member.ids} == {"synced"}


def test_job_size_is_bounded_by_calls(harness: Harness, time: Time) -> None:
    Member(harness, time, 12)

    assert {len(job.claims) for job in claimed(harness).jobs} == {
        job_size(Platform.LINKEDIN, "member", Lane.BACKGROUND)
    }
    assert job_size(Platform.LINKEDIN, "member", Lane.BACKGROUND) * LINKEDIN_MEMBER_CALLS <= 30
    assert job_size(Platform.LINKEDIN, "organization", Lane.INTERACTIVE) == 20
