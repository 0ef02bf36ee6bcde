"""The caps of jobs in flight, with several schedulers at once; observed through `claim` alone."""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Connection

from deploy.local.servers.postgres import Postgres
from shared import database
from shared.refresh_state import claim
from shared.refresh_state.claim import JOBS_PER_ACCOUNT, Claims
from shared.refresh_state.ready import locks
from shared.vocabulary import Lane, Platform
from tests.claiming import claim_due
from tests.harness import Harness
from tests.servers import connect
from tests.shared.refresh_state.claim.claimed import in_flight

SCHEDULERS = 8


def claims_of(connection: Connection, *, jobs: int, platform_jobs: int) -> Claims:
    return claim_due(connection, jobs=jobs, platform_jobs=platform_jobs)


def in_flight_after_rounds(database_url: str, *, rounds: int, jobs: int, platform_jobs: int) -> Counter[str]:
    """Let eight schedulers claim at once, again and again; count the jobs that each account was given."""
    engine = database.connect(database_url, application="schedulers", pool_size=SCHEDULERS)
    together = Barrier(SCHEDULERS)

    def schedule(_: int) -> list[str]:
        accounts = []
        for _ in range(rounds):
            together.wait(timeout=30)
            with engine.begin() as connection:
                claims = claims_of(connection, jobs=jobs, platform_jobs=platform_jobs)
            accounts += [job.account_id for job in claims.jobs]
        return accounts

    try:
        with ThreadPoolExecutor(SCHEDULERS) as pool:
            return Counter(
                account for accounts in pool.map(schedule, range(SCHEDULERS)) for account in accounts
            )
    finally:
        engine.dispose()


def test_eight_concurrent_schedulers_keep_the_cap_of_an_account(harness: Harness, database_url: str) -> None:
    for number in range(3):
        harness.publications(
            harness.account(f"acc_{number}", Platform.LINKEDIN, workspace_id=f"ws_{number}", kind="member"),
            5 * SCHEDULERS,
        )

    in_flight = in_flight_after_rounds(database_url, rounds=8, jobs=10, platform_jobs=100)

    assert in_flight == dict.fromkeys(("acc_0", "acc_1", "acc_2"), JOBS_PER_ACCOUNT)


def test_eight_concurrent_schedulers_keep_the_cap_of_a_platform(harness: Harness, database_url: str) -> None:
    for number in range(SCHEDULERS):
        harness.publications(
            harness.account(f"acc_{number}", Platform.TIKTOK, workspace_id=f"ws_{number}"), 40
        )

    in_flight = in_flight_after_rounds(database_url, rounds=6, jobs=3, platform_jobs=6)

    assert in_flight.total() == 6


def test_claim_skips_accounts_that_another_claim_has_locked_without_waiting(harness: Harness) -> None:
    for number in range(10):
        harness.publications(harness.account(f"acc_{number}", Platform.TIKTOK, workspace_id=f"ws_{number}"))

    with harness.engine.begin() as one, harness.engine.begin() as other:
        first = {job.account_id for job in claims_of(one, jobs=5, platform_jobs=100).jobs}
        second = {job.account_id for job in claims_of(other, jobs=5, platform_jobs=100).jobs}

    assert len(first) == len(second) == 5
    assert not first & second


def test_capacity_reserved_by_another_claim_is_free_after_its_rollback(harness: Harness) -> None:
    for number in range(10):
        harness.publications(harness.account(f"acc_{number}", Platform.TIKTOK, workspace_id=f"ws_{number}"))

    with harness.engine.connect() as one, harness.engine.connect() as other:
        assert len(claims_of(one, jobs=4, platform_jobs=6).jobs) == 4
        with other.begin():
            assert len(claims_of(other, jobs=10, platform_jobs=6).jobs) == 2
        one.rollback()

    with harness.engine.begin() as third:
        assert len(claims_of(third, jobs=10, platform_jobs=6).jobs) == 4


def six_in_the_background_and_four_interactive(harness: Harness) -> None:
    """Store accounts with a due row each; those of the background come first."""
    for number in range(10):
        account = harness.account(f"acc_{number}", Platform.TIKTOK, workspace_id=f"ws_{number}")
        harness.publications(account, priority=int(number >= 6))
    harness.execute(
        "UPDATE refresh_state SET next_run_at = next_run_at - interval '1 hour' WHERE priority = 0"
    )


def claim_interactive(connection: Connection, jobs: int) -> None:
    assert len(claim_due(connection, Lane.INTERACTIVE, jobs=jobs, platform_jobs=6).jobs) == jobs


def test_jobs_that_other_claims_have_reserved_count_before_their_commit(
    harness: Harness, postgres_server: Postgres
) -> None:
    six_in_the_background_and_four_interactive(harness)

    with (
        connect(postgres_server.url_of("postgres")) as elsewhere,
        harness.engine.begin() as one,
        harness.engine.begin() as another,
        harness.engine.begin() as other,
    ):
        for number in range(len(Platform)):  # in another database of the server
            elsewhere.execute("SELECT pg_advisory_lock_shared(%s, 6)", [locks.RESERVED + number])
        claim_interactive(one, 2)
        claim_interactive(another, 2)
        claims = claims_of(other, jobs=6, platform_jobs=6)

    assert len(claims.jobs) == 2


def commit_while_a_claim_chooses(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, commit: Callable[[Connection], object]
) -> None:
    """Let another claim commit before the next one locks the accounts that it has chosen."""

    def commit_before(
        connection: Connection, accounts: Mapping[str, str], most: int
    ) -> tuple[list[str], Mapping[str, int]]:
        monkeypatch.setattr(claim, "lock_and_reserve", locks.lock_and_reserve)
        with harness.engine.begin() as one:
            commit(one)
        return locks.lock_and_reserve(connection, accounts, most)

    monkeypatch.setattr(claim, "lock_and_reserve", commit_before)


def test_jobs_that_are_committed_while_a_claim_chooses_count(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    six_in_the_background_and_four_interactive(harness)
    commit_while_a_claim_chooses(harness, monkeypatch, lambda one: claim_interactive(one, 4))

    with harness.engine.begin() as other:
        claims = claims_of(other, jobs=6, platform_jobs=6)

    assert len(claims.jobs) == 2


def test_last_job_of_an_account_that_is_committed_while_a_claim_chooses_counts(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = harness.account("acc_1", Platform.LINKEDIN, kind="member")
    in_flight(harness, account, JOBS_PER_ACCOUNT - 1)
    due = harness.publications(account, 6)
    commit_while_a_claim_chooses(harness, monkeypatch, lambda one: claims_of(one, jobs=1, platform_jobs=100))

    with harness.engine.begin() as other:
        assert claims_of(other, jobs=1, platform_jobs=100).jobs == ()
    rows = harness.execute(
        "SELECT FROM refresh_state WHERE publication_id = ANY(:ids) AND claimed_at IS NULL", ids=due
    )
    assert len(rows) == 1
