"""Fair shares across claims; the cost of one large account or one hanging platform for the others."""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import quantiles

import pytest

from shared.refresh_queue import RefreshJob
from shared.refresh_state.fair_share import Limits
from shared.vocabulary import Platform
from tests.claiming import claim_due
from tests.harness import Harness

LEASE = timedelta(hours=1)


def claimed(
    harness: Harness, jobs: int, *, platform_jobs: int = 100, shared_jobs: int | None = None
) -> tuple[RefreshJob, ...]:
    with harness.engine.begin() as connection:
        return claim_due(
            connection, jobs=jobs, platform_jobs=platform_jobs, shared_jobs=shared_jobs, lease=LEASE
        ).jobs


def finish(harness: Harness, *jobs: RefreshJob, except_of: str = "") -> None:
    """Finish the rows of jobs: they are due again at once, those of the account ``except_of`` in a day."""
    harness.execute(
        "UPDATE refresh_state SET claimed_at = NULL, next_run_at = now()"
        " + CASE account_id WHEN :except_of THEN interval '1 day' ELSE interval '-1 s' END"
        " WHERE publication_id = ANY(:ids)",
        ids=[publication_id for job in jobs for publication_id, _ in job.claims],
        except_of=except_of,
    )


def accounts_of_claims(harness: Harness, number: int) -> list[str]:
    """Hand out one job at a time, each finished before the next; return whose it was."""
    claims = []
    for _ in range(number):
        (job,) = claimed(harness, jobs=1)
        claims.append(job.account_id)
        finish(harness, job)
    return claims


def test_shares_hold_across_claims(harness: Harness) -> None:
    for number, days in enumerate((9, 5, 1)):
        account = harness.account(f"acc_{number}", workspace_id=f"ws_{number}")
        harness.publications(account, 3, next_run_at=datetime.now(UTC) - timedelta(days=days))

    assert Counter(accounts_of_claims(harness, 12)) == {"acc_0": 4, "acc_1": 4, "acc_2": 4}


def test_workspace_of_weight_two_gets_twice_the_jobs(harness: Harness) -> None:
    for name in ("light", "heavy"):
        harness.publications(harness.account(f"acc_{name}", workspace_id=f"ws_{name}"))
    harness.execute("INSERT INTO turns (scope, subject, weight) VALUES ('workspace', 'ws_heavy', 2)")

    assert Counter(accounts_of_claims(harness, 30))["acc_heavy"] == pytest.approx(20, abs=1)


def test_accounts_share_the_jobs_of_their_workspace(harness: Harness) -> None:
    for number in range(3):
        harness.publications(harness.account(f"acc_many{number}", workspace_id="ws_many"))
    harness.publications(harness.account("acc_one", workspace_id="ws_one"))

    assert Counter(accounts_of_claims(harness, 12)) == {
        "acc_one": 6,
        "acc_many0": 2,
        "acc_many1": 2,
        "acc_many2": 2,
    }


def test_workspace_that_was_idle_is_next_and_has_no_older_credit(harness: Harness) -> None:
    harness.publications(harness.account("acc_busy", workspace_id="ws_busy"))
    accounts_of_claims(harness, 10)
    harness.publications(harness.account("acc_back", workspace_id="ws_back"))
    harness.execute(
        "INSERT INTO turns (scope, subject, served, served_at)"
        " VALUES ('workspace', 'ws_back', -5000, now() - interval '1 hour')"
    )

    claims = accounts_of_claims(harness, 8)
    assert claims[0] == "acc_back"
    assert Counter(claims)["acc_busy"] in {3, 4}


@dataclass
class Fleet:
    """Threads that take jobs in the order of the queue, in ticks of one job's usual length."""

    harness: Harness
    threads: int = 8
    now: int = 0
    queue: deque[RefreshJob] = field(default_factory=deque)
    running: list[tuple[int, RefreshJob]] = field(default_factory=list)
    share: float = 0.85

    def tick(self, takes: dict[str, int]) -> list[RefreshJob]:
        """Fill the queue, run the threads; return the jobs that ended. ``takes``: ticks by account."""
        capacity = 2 * self.threads - len(self.queue)
        if capacity > 0:
            shared = int(self.threads * self.share)
            self.queue += claimed(self.harness, capacity, platform_jobs=3 * self.threads, shared_jobs=shared)
        while self.queue and len(self.running) < self.threads:
            job = self.queue.popleft()
            self.running.append((self.now + takes.get(job.account_id, 1), job))
        self.now += 1
        ended = [job for ends, job in self.running if ends <= self.now]
        self.running = [(ends, job) for ends, job in self.running if ends > self.now]
        return ended


def staleness(harness: Harness, interval: int, ticks: int) -> list[int]:
    """Serve tenant B, whose rows are due after ``interval`` ticks; return the age of each at its read."""
    rows = [
        row.publication_id
        for row in harness.execute("SELECT * FROM refresh_state WHERE account_id = 'acc_b'")
    ]
    read_at = {row: -(interval * place // len(rows)) for place, row in enumerate(rows)}
    fleet, ages = Fleet(harness), []
    harness.execute(
        "UPDATE refresh_state SET claimed_at = NULL, next_run_at = now() + interval '1 day'"
        " WHERE account_id = 'acc_b'"
    )
    for now in range(ticks):
        due = [row for row, at in read_at.items() if now - at == interval]
        harness.execute(
            "UPDATE refresh_state SET next_run_at = now() WHERE publication_id = ANY(:ids)", ids=due
        )
        ended = fleet.tick({})
        finish(harness, *ended, except_of="acc_b")
        for job in ended:
            if job.account_id == "acc_b":
                ages += [fleet.now - read_at[row] for row, _ in job.claims]
                read_at |= {row: fleet.now for row, _ in job.claims}
    return ages


def test_workspace_with_a_huge_backlog_does_not_make_a_small_one_stale(harness: Harness) -> None:
    harness.publications(harness.account("acc_b", Platform.TIKTOK, workspace_id="ws_b"), 20)
    alone = staleness(harness, interval=20, ticks=50)
    for number in range(20):
        account = harness.account(f"acc_a{number}", Platform.TIKTOK, workspace_id="ws_a")
        harness.publications(account, 41, next_run_at=datetime.now(UTC) - timedelta(days=30))

    crowded = staleness(harness, interval=20, ticks=50)

    assert len(crowded) >= 0.9 * len(alone) > 0
    assert quantiles(crowded, n=20)[-1] <= 1.2 * quantiles(alone, n=20)[-1]


def test_hanging_platform_leaves_others_nine_tenths_of_their_throughput(harness: Harness) -> None:
    for platform in Platform:
        for number in range(6):
            harness.publications(harness.account(f"acc_{platform.value}{number}", platform), 2)

    def others_served(takes: dict[str, int]) -> int:
        fleet, served = Fleet(harness), 0
        for _ in range(60):
            ended = fleet.tick(takes)
            finish(harness, *ended)
            served += sum(not job.account_id.startswith("acc_tiktok") for job in ended)
        harness.execute("UPDATE refresh_state SET claimed_at = NULL, next_run_at = now() - interval '1 s'")
        return served

    before = others_served({})
    during = others_served({f"acc_tiktok{number}": 30 for number in range(6)})

    assert during >= 0.9 * before > 0


def test_only_platform_with_work_gets_the_whole_capacity(harness: Harness) -> None:
    for number in range(10):
        harness.publications(harness.account(f"acc_{number}", Platform.X))

    assert len(claimed(harness, jobs=20, platform_jobs=8, shared_jobs=2)) == 8


def test_platform_without_work_takes_no_share_from_a_busy_one(harness: Harness) -> None:
    for number in range(8):
        harness.publications(harness.account(f"busy_{number}"), 1)
    idle = harness.account("idle", Platform.X)
    harness.publications(idle, 1, next_run_at=datetime.now(UTC) + timedelta(hours=1))

    assert len(claimed(harness, jobs=20, platform_jobs=8, shared_jobs=2)) == 8


@pytest.mark.parametrize(
    ("wanted", "capacities"),
    [
        ({}, {}),
        ({"x": 3}, {"x": 40}),
        ({"x": 90, "tiktok": 90}, {"x": 8, "tiktok": 8}),
        ({"x": 1, "tiktok": 90}, {"x": 8, "tiktok": 15}),
        ({"tiktok": 90, "x": 0}, {"x": 8, "tiktok": 16}),
        ({"x": 1, "facebook": 4, "tiktok": 90}, {"x": 6, "facebook": 8, "tiktok": 11}),
        ({"x": 7, "facebook": 7, "tiktok": 7}, {"x": 6, "facebook": 6, "tiktok": 6}),
    ],
)
def test_platforms_are_given_what_others_do_not_want_of_their_share(
    wanted: dict[str, int], capacities: dict[str, int]
) -> None:
    assert Limits(jobs=32, platform_jobs=40, shared_jobs=16).capacities(wanted) == capacities
