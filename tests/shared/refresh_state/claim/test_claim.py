"""A claim takes due rows within the caps, and no row twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from shared.refresh_state.claim import JOBS_PER_ACCOUNT
from shared.refresh_state.release_claim import release_claim
from shared.vocabulary import Lane, Platform
from tests.claiming import claim_due
from tests.harness import Harness
from tests.shared.refresh_state.claim.claimed import LEASE, claimed, in_flight


@pytest.mark.parametrize("ahead", [0, 600])
def test_due_rows_of_an_account_form_one_job_up_to_the_batch_size(harness: Harness, ahead: float) -> None:
    ids = harness.publications(harness.account("acc_tt", Platform.TIKTOK), 105)
    last = ids[:5]  # the ones that became due last, although the largest part of their interval has passed
    harness.execute(
        "UPDATE refresh_state SET next_run_at = now() - interval '5 s' WHERE publication_id = ANY(:ids)",
        ids=last,
    )
    harness.execute(
        "UPDATE post_analytics SET last_updated_at = now() - CASE WHEN publication_id = ANY(:ids)"
        " THEN interval '6 s' ELSE interval '1 day' END",
        ids=last,
    )

    jobs = [claimed(harness, ahead=ahead).jobs for _ in range(2)]

    assert [[one for one, _ in job.claims] for (job,) in jobs] == [ids[5:], last]


def test_interactive_job_holds_one_call_so_that_threads_share_the_work(harness: Harness) -> None:
    harness.publications(harness.account("acc_tt", Platform.TIKTOK), 25, priority=1)

    jobs = [claimed(harness, Lane.INTERACTIVE).jobs for _ in range(2)]

    assert [len(job.claims) for (job,) in jobs] == [20, 5]


@pytest.mark.parametrize(("due", "rows"), [(3, 20), (20, 20), (21, 40)])
def test_nearly_due_siblings_fill_the_last_call_and_make_none(harness: Harness, due: int, rows: int) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    account = harness.account("acc_tt", Platform.TIKTOK)
    ids = harness.publications(account, 60, next_run_at=soon, reason="stale")
    harness.execute(
        "UPDATE refresh_state SET next_run_at = now() WHERE publication_id = ANY(:ids)", ids=ids[:due]
    )

    (job,) = claimed(harness, ahead=600).jobs

    assert len(job.claims) == rows
    assert set(ids[:due]) <= {publication_id for publication_id, _ in job.claims}


def test_job_of_three_calls_counts_as_three_jobs_of_one(harness: Harness) -> None:
    for number in range(3):
        harness.publications(harness.account(f"acc_large{number}", Platform.TIKTOK), 41)
    for number in range(8):
        harness.publications(harness.account(f"acc_small{number}", Platform.X, workspace_id="ws_2"))

    order = [claimed(harness, jobs=1).jobs[0].account_id[4:9] for _ in range(10)]

    _, second, third = [place for place, name in enumerate(order) if name == "large"]
    assert order[second + 1 : third] == ["small"] * 3, order


def test_rows_that_are_not_due_or_not_readable_are_not_claimed(harness: Harness) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    harness.publications(harness.account("acc_later"), next_run_at=later)
    harness.publications(harness.account("acc_stopped"), next_run_at=None, reason="stopped")
    harness.publications(harness.account("acc_dead", state="requires_reconnect"))
    harness.publications(harness.account("acc_paused"))
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', 'account', 'acc_paused', now() + interval '1 hour', 'limit')"
    )

    assert claimed(harness).jobs == ()


def test_caps_of_account_and_platform_hold_within_one_claim(harness: Harness) -> None:
    harness.publications(
        harness.account("acc_1", Platform.LINKEDIN, kind="member"), 5 * (JOBS_PER_ACCOUNT + 2)
    )
    rounds = [len(claimed(harness).jobs) for _ in range(JOBS_PER_ACCOUNT + 2)]
    for number in range(6):
        harness.publications(harness.account(f"acc_fb{number}", Platform.FACEBOOK))

    assert rounds == [1, 1, 1, 1, 0, 0]
    assert len(claimed(harness, platform_jobs=4).jobs) == 4


def test_expired_lease_is_claimed_again_and_the_old_claim_is_void(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    first = claimed(harness).jobs[0]
    harness.execute("UPDATE refresh_state SET next_run_at = now() - interval '1 second'")

    second = claimed(harness)

    assert second.expired_leases == 1
    assert second.jobs[0].claims == ((publication, first.claims[0][1] + 1),)


def test_nearly_due_siblings_fill_a_job_only_where_that_costs_no_call(harness: Harness) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    for platform in (Platform.X, Platform.FACEBOOK):
        account = harness.account(f"acc_{platform.value}", platform)
        harness.publications(account, 1)
        harness.execute("UPDATE publications SET platform_post_id = platform_post_id || 'due'")
        harness.publications(account, 3, next_run_at=soon, reason="stale")
        harness.execute("UPDATE publications SET platform_post_id = platform_post_id || 'x'")

    sizes = {job.account_id: len(job.claims) for job in claimed(harness, ahead=600).jobs}

    assert sizes == {"acc_x": 4, "acc_facebook": 1}


def test_free_slots_are_filled_with_the_rows_whose_interval_has_passed_most(harness: Harness) -> None:
    account = harness.account("acc_tt", Platform.TIKTOK)
    (due,) = harness.publications(account)
    harness.execute("UPDATE publications SET platform_post_id = 'due'")
    rows = harness.publications(account, 24, next_run_at=datetime.now(UTC), reason="stale")
    for place, one in enumerate(rows):
        # the later a row is due, the more of its interval has passed: from 5 to 97 %
        part, left = 0.05 + 0.04 * place, timedelta(hours=1 + place)
        harness.execute(
            "UPDATE refresh_state SET next_run_at = now() + :left WHERE publication_id = :id",
            left=left,
            id=one,
        )
        harness.execute(
            "UPDATE post_analytics SET last_updated_at = now() - :passed WHERE publication_id = :id",
            passed=left * part / (1 - part),
            id=one,
        )

    (first,) = claimed(harness, ahead=30 * 86_400).jobs
    assert {one for one, _ in first.claims} == {due, *rows[5:]}

    harness.execute("UPDATE refresh_state SET next_run_at = now() WHERE publication_id = :id", id=rows[4])
    (second,) = claimed(harness, ahead=30 * 86_400).jobs
    assert {one for one, _ in second.claims} == set(rows[2:5])


def test_row_whose_interval_has_no_length_stops_no_claim(harness: Harness) -> None:
    """A server whose clock was set back may have stored a reading of the future."""
    account = harness.account("acc_tt", Platform.TIKTOK)
    (due,) = harness.publications(account)
    harness.execute("UPDATE publications SET platform_post_id = 'due'")
    soon = datetime.now(UTC) + timedelta(hours=1)
    (odd,) = harness.publications(account, next_run_at=soon, reason="stale")
    harness.execute(
        "UPDATE post_analytics SET last_updated_at = :soon WHERE publication_id = :id", soon=soon, id=odd
    )

    (job,) = claimed(harness, ahead=86_400).jobs

    assert {one for one, _ in job.claims} == {due, odd}


def test_retry_or_paused_row_is_not_claimed_before_its_time(harness: Harness) -> None:
    account = harness.account("acc_x", Platform.X)
    harness.publications(account, 1)
    harness.execute("UPDATE publications SET platform_post_id = 'due'")
    harness.publications(account, 2, next_run_at=datetime.now(UTC) + timedelta(minutes=5), reason="retry")

    assert [len(job.claims) for job in claimed(harness, ahead=600).jobs] == [1]


def test_interactive_lane_claims_only_rows_with_priority(harness: Harness) -> None:
    account = harness.account("acc_1")
    harness.publications(account, 3)
    harness.execute(
        "UPDATE refresh_state SET priority = 1 WHERE publication_id = (SELECT min(id) FROM publications)"
    )

    assert [len(job.claims) for job in claimed(harness, Lane.INTERACTIVE).jobs] == [1]


def test_concurrent_schedulers_never_claim_a_row_twice(harness: Harness) -> None:
    for number in range(20):
        harness.publications(harness.account(f"acc_{number}", Platform.TIKTOK), 40)

    with ThreadPoolExecutor(5) as schedulers:
        rounds = list(schedulers.map(lambda _: claimed(harness, jobs=5), range(20)))

    claimed_rows = [claim for claims in rounds for job in claims.jobs for claim in job.claims]
    assert (
        len(claimed_rows) == len(set(claimed_rows)) == len({publication for publication, _ in claimed_rows})
    )
    assert len(claimed_rows) > 400


def test_released_claim_is_void_and_its_row_due_at_once(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"), 2)
    jobs = claimed(harness).jobs

    with harness.engine.begin() as connection:
        assert release_claim(connection, jobs) == 2
        assert release_claim(connection, jobs) == 0

    assert len(claimed(harness).jobs[0].claims) == 2


def test_claim_writes_lease_and_claim_seq_and_nothing_else(harness: Harness) -> None:
    account = harness.account("acc_1")
    (one,) = harness.publications(account, claim_seq=4, attempts=2, unfinished=1, priority=1)
    (later,) = harness.publications(
        harness.account("acc_2"), claim_seq=4, next_run_at=datetime.now(UTC) + timedelta(hours=1)
    )

    claims = claimed(harness)

    row, undue = harness.state(one), harness.state(later)
    assert (claims.rows, claims.expired_leases, claims.jobs[0].claims) == (1, 0, ((one, 5),))
    assert row.next_run_at == row.claimed_at + LEASE
    assert (row.claim_seq, row.reason, row.attempts, row.unfinished, row.priority) == (5, "claimed", 2, 1, 1)
    assert (undue.claim_seq, undue.claimed_at, undue.reason) == (4, None, "new")


def test_jobs_with_an_expired_lease_do_not_count_for_caps(harness: Harness) -> None:
    lost = in_flight(harness, harness.account("acc_1", Platform.TIKTOK), JOBS_PER_ACCOUNT + 1, left=-LEASE)
    harness.publications(harness.account("acc_2", Platform.TIKTOK))

    claims = claimed(harness, platform_jobs=2)

    assert sorted(job.account_id for job in claims.jobs) == ["acc_1", "acc_2"]
    assert (claims.rows, claims.expired_leases) == (len(lost) + 1, len(lost))


def test_jobs_in_flight_count_for_the_caps_of_account_and_platform(harness: Harness) -> None:
    full = harness.account("acc_full", Platform.TIKTOK)
    in_flight(harness, full, JOBS_PER_ACCOUNT)
    below_cap = harness.account("acc_below_cap", Platform.TIKTOK)
    in_flight(harness, below_cap, JOBS_PER_ACCOUNT - 1)
    for account in (full, below_cap, *(harness.account(f"acc_{n}", Platform.TIKTOK) for n in range(3))):
        harness.publications(account)
        harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
    harness.publications(harness.account("acc_x", Platform.X))
    under_way = 2 * JOBS_PER_ACCOUNT - 1

    def claimed_accounts(platform_jobs: int) -> set[str]:
        with harness.engine.connect() as connection:
            jobs = claim_due(connection, platform_jobs=platform_jobs, lease=LEASE).jobs
            connection.rollback()
        return {job.account_id for job in jobs}

    assert claimed_accounts(under_way) == {"acc_x"}
    assert len(claimed_accounts(under_way + 2)) == 3
    assert claimed_accounts(100) == {"acc_below_cap", "acc_0", "acc_1", "acc_2", "acc_x"}


def test_locked_row_is_skipped_without_waiting(harness: Harness) -> None:
    locked, free = harness.publications(harness.account("acc_1"), 2)
    with harness.engine.connect() as other, harness.engine.connect() as connection:
        other.execute(
            text("SELECT 1 FROM refresh_state WHERE publication_id = :id FOR UPDATE"), {"id": locked}
        )
        connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
        (job,) = claim_due(connection, jobs=1, platform_jobs=1, lease=LEASE).jobs

    assert [one for one, _ in job.claims] == [free]


def test_only_stale_siblings_within_the_margin_join_a_background_job(harness: Harness) -> None:
    soon, late = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (500, 700))
    account = harness.account("acc_x", Platform.X)
    rows: dict[str, dict[str, Any]] = {
        "due": {},
        "stale soon": {"next_run_at": soon, "reason": "stale"},
        "stale late": {"next_run_at": late, "reason": "stale"},
        "asked for": {"next_run_at": soon, "reason": "read"},
        "in flight": {"next_run_at": soon, "reason": "stale", "claimed_at": datetime.now(UTC)},
        "for people": {"priority": 1},
        "for people soon": {"next_run_at": soon, "reason": "stale", "priority": 1},
    }
    ids = {}
    for name, state in rows.items():
        (ids[name],) = harness.publications(account, **state)
        harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")

    interactive = claimed(harness, Lane.INTERACTIVE, ahead=600).jobs
    background = claimed(harness, ahead=600).jobs

    assert [one for job in interactive for one, _ in job.claims] == [ids["for people"]]
    assert {one for job in background for one, _ in job.claims} == {
        ids["due"],
        ids["stale soon"],
        ids["for people soon"],
    }
