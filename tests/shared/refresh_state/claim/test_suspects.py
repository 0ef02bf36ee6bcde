"""Rows that were started and never finished: in small groups at first, then one at a time."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.refresh_state.ready.in_flight import SUSPECT_STARTS
from shared.vocabulary import Lane, Platform
from tests.claiming import claim_due
from tests.harness import Harness
from tests.shared.refresh_state.claim.claimed import in_flight

AGO = datetime.now(UTC) - timedelta(minutes=2)
PAUSE = (
    "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
    " VALUES ('instagram', :kind, :account, now() + interval '1 hour', 'limit')"
)


def claimed_jobs(harness: Harness, lane: Lane = Lane.BACKGROUND) -> list[list[int]]:
    with harness.engine.begin() as connection:
        claims = claim_due(connection, lane)
    return [[publication_id for publication_id, _ in job.claims] for job in claims.jobs]


def claimed(harness: Harness, lane: Lane = Lane.BACKGROUND) -> list[int]:
    return sorted(publication_id for job in claimed_jobs(harness, lane) for publication_id in job)


def suspects(harness: Harness, account_id: str, number: int, starts: int = SUSPECT_STARTS) -> list[int]:
    """Store rows whose lease ended, after so many starts that never finished."""
    return harness.publications(account_id, number, claimed_at=AGO, unfinished=starts, reason="claimed")


def test_one_suspect_at_a_time_is_claimed_in_the_whole_fleet(harness: Harness) -> None:
    later = suspects(harness, harness.account("acc_1", Platform.X), 2)
    ids = suspects(harness, harness.account("acc_2"), 2) + later
    harness.execute(
        "UPDATE refresh_state SET next_run_at = now() - interval '1 s' WHERE publication_id = ANY(:ids)",
        ids=later,
    )

    first = claimed(harness)
    assert first == ids[:1], "the one that has waited longest"
    assert claimed(harness) == []
    harness.execute(PAUSE, kind="app", account="")
    assert claimed(harness) == [], "the suspect of the paused platform is still in flight"
    harness.execute("DELETE FROM pauses")

    harness.execute(
        "UPDATE refresh_state SET claimed_at = NULL, unfinished = 0 WHERE publication_id = :id", id=first[0]
    )
    second = claimed(harness)
    assert len(second) == 1
    assert {*first, *second} <= set(ids)


def test_next_suspect_is_claimed_when_the_lease_of_the_former_expires(harness: Harness) -> None:
    suspects(harness, harness.account("acc_1"), 3)
    first = claimed(harness)
    harness.execute(
        "UPDATE refresh_state SET next_run_at = now() - interval '1 s' WHERE publication_id = :id",
        id=first[0],
    )

    second = claimed(harness)

    assert len(second) == 1
    assert second != first


def test_suspects_do_not_delay_other_rows(harness: Harness) -> None:
    aside = suspects(harness, harness.account("acc_1"), 2)
    others = harness.publications(harness.account("acc_2"), 3)

    assert set(others) < set(claimed(harness)) <= {*others, *aside}


@pytest.mark.parametrize(
    ("number", "groups"), [(1, [1]), (2, [2]), (4, [2, 2]), (5, [3, 2]), (20, [5, 5, 5, 5]), (100, [10] * 10)]
)
def test_batch_that_lost_its_worker_is_retried_in_small_groups(
    harness: Harness, number: int, groups: list[int]
) -> None:
    ids = suspects(harness, harness.account("acc_1", Platform.X), number, starts=1)

    jobs = claimed_jobs(harness)

    assert [len(job) for job in jobs] == groups
    assert [publication_id for job in jobs for publication_id in job] == ids


def test_rows_that_lost_a_worker_share_no_job_with_others_or_suspects(harness: Harness) -> None:
    ids = suspects(harness, harness.account("acc_1", Platform.X), 10, starts=0)
    suspect, lost, others = ids[0], ids[1:5], ids[5:]
    for starts, rows in ((SUSPECT_STARTS, [suspect]), (1, lost)):
        harness.execute(
            "UPDATE refresh_state SET unfinished = :starts WHERE publication_id = ANY(:rows)",
            starts=starts,
            rows=rows,
        )

    assert sorted(claimed_jobs(harness)) == [[suspect], lost[:2], lost[2:], others]


def test_suspect_of_an_unreadable_account_delays_no_other(harness: Harness) -> None:
    suspects(harness, harness.account("acc_dead", state="requires_reconnect"), 1)
    for kind in ("account", "background"):
        suspects(harness, harness.account(f"acc_{kind}"), 1)
        harness.execute(PAUSE, kind=kind, account=f"acc_{kind}")
    (waiting,) = suspects(harness, harness.account("acc_3"), 1)

    assert claimed(harness) == [waiting]


def test_suspect_that_somebody_waits_for_is_claimed_during_a_pause_of_background_work(
    harness: Harness,
) -> None:
    (suspect,) = suspects(harness, harness.account("acc_1"), 1)
    harness.execute("UPDATE refresh_state SET priority = 1")
    harness.execute(PAUSE, kind="background", account="acc_1")

    assert claimed(harness, Lane.INTERACTIVE) == [suspect]


def test_jobs_in_flight_delay_no_suspect(harness: Harness) -> None:
    in_flight(harness, harness.account("acc_busy"), 1)
    (suspect,) = suspects(harness, harness.account("acc_1"), 1)

    assert claimed(harness) == [suspect]


def test_rows_with_unfinished_starts_and_no_open_claim_are_claimed_in_jobs_of_their_own(
    harness: Harness,
) -> None:
    released = harness.publications(
        harness.account("acc_1"), 4, unfinished=SUSPECT_STARTS, claimed_at=None, reason="stale"
    )

    assert claimed_jobs(harness) == [[one] for one in released]


def test_row_without_open_claim_is_claimed_while_a_suspect_is_in_flight(harness: Harness) -> None:
    (suspect,) = suspects(harness, harness.account("acc_1"), 1)
    assert claimed(harness) == [suspect]
    (released,) = harness.publications(
        harness.account("acc_2", Platform.X), 1, unfinished=SUSPECT_STARTS, claimed_at=None, reason="stale"
    )

    assert claimed(harness) == [released]


def test_row_without_open_claim_delays_no_suspect(harness: Harness) -> None:
    later = datetime.now(UTC) + timedelta(minutes=1)
    harness.publications(
        harness.account("acc_1"), 1, unfinished=SUSPECT_STARTS, next_run_at=later, reason="stale"
    )
    (suspect,) = suspects(harness, harness.account("acc_2"), 1)

    assert claimed(harness) == [suspect]
