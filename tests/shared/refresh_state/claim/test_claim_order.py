"""The order in which a claim takes workspaces, accounts and rows, and how platforms share the fleet."""

from datetime import UTC, datetime, timedelta

from shared.vocabulary import Platform
from tests.claiming import claim_due
from tests.harness import Harness
from tests.shared.refresh_state.claim.claimed import LEASE, claimed, in_flight


def test_account_with_many_due_rows_hides_no_other(harness: Harness) -> None:
    harness.publications(harness.account("acc_large"), 300, next_run_at=datetime.now(UTC) - timedelta(days=3))
    small = harness.publications(harness.account("acc_small", workspace_id="ws_2"), 1)

    claims = claimed(harness, jobs=2)

    assert {job.account_id for job in claims.jobs} == {"acc_large", "acc_small"}
    assert [(small[0], 1)] in [list(job.claims) for job in claims.jobs]


def test_workspaces_get_jobs_alternately(harness: Harness) -> None:
    for number in range(5):
        harness.publications(
            harness.account(f"acc_a{number}"), next_run_at=datetime.now(UTC) - timedelta(days=number + 2)
        )
    harness.publications(harness.account("acc_b", workspace_id="ws_2"))

    assert "acc_b" in {job.account_id for job in claimed(harness, jobs=2).jobs}


def test_longest_due_rows_and_accounts_go_first(
    harness: Harness,
) -> None:
    now = datetime.now(UTC)
    ids = harness.publications(harness.account("acc_young", Platform.LINKEDIN, kind="member"), 7)
    for age, one in enumerate(ids):
        harness.execute(
            "UPDATE refresh_state SET next_run_at = :at WHERE publication_id = :id",
            at=now - timedelta(minutes=age),
            id=one,
        )
    harness.publications(harness.account("acc_old", Platform.TIKTOK), next_run_at=now - timedelta(days=1))
    harness.publications(harness.account("acc_older", Platform.TIKTOK), next_run_at=now - timedelta(days=2))

    order = [claimed(harness, jobs=1).jobs[0] for _ in range(3)]

    assert [job.account_id for job in order] == ["acc_older", "acc_old", "acc_young"]
    assert [one for one, _ in order[2].claims] == ids[2:], "the five that wait longest"


def test_account_that_was_never_served_goes_before_one_that_was(harness: Harness) -> None:
    now = datetime.now(UTC)
    harness.publications(harness.account("acc_served"), next_run_at=now - timedelta(days=2))
    harness.publications(harness.account("acc_never"), next_run_at=now - timedelta(days=1))
    harness.execute("INSERT INTO turns (scope, subject, served) VALUES ('account', 'acc_served', 1)")

    assert [job.account_id for job in claimed(harness, jobs=2).jobs] == ["acc_never", "acc_served"]


def test_platforms_with_due_rows_or_jobs_in_flight_share_the_fleet(harness: Harness) -> None:
    for number in range(6):
        harness.publications(harness.account(f"acc_x{number}", Platform.X))
    for number in range(2):
        in_flight(harness, harness.account(f"acc_tt{number}", Platform.TIKTOK), 1)

    with harness.engine.connect() as connection:
        jobs = claim_due(connection, shared_jobs=5, lease=LEASE).jobs

    assert len(jobs) == 3, "five for two platforms, rounded up"
