"""Claims that are given back: only those that still stand, due again when the caller says."""

from datetime import UTC, datetime, timedelta

from shared.refresh_queue import RefreshJob
from shared.refresh_state.release_claim import release_claim
from tests.harness import open_harness

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_only_claims_that_still_hold_are_released(database_url: str) -> None:
    with open_harness(database_url) as harness:
        account = harness.account("acc_1")
        claimed = {"claim_seq": 4, "claimed_at": NOW, "next_run_at": NOW, "reason": "claimed"}
        ids = harness.publications(account, 4, **claimed, attempts=2, unfinished=1, priority=1)
        stands, started, finished, other = ids
        harness.execute("UPDATE refresh_state SET claim_seq = 5 WHERE publication_id = :id", id=started)
        harness.execute("UPDATE refresh_state SET claimed_at = NULL WHERE publication_id = :id", id=finished)
        jobs = [RefreshJob(account, ((started, 4), (finished, 4))), RefreshJob(account, ((stands, 4),))]

        with harness.engine.begin() as connection:
            now = connection.exec_driver_sql("SELECT now()").scalar_one()
            assert release_claim(connection, jobs, after=timedelta(seconds=3)) == 1
            assert release_claim(connection, jobs, after=timedelta(seconds=3)) == 0

        columns = "next_run_at, claimed_at, claim_seq, reason, attempts, unfinished, priority"
        states = harness.execute(f"SELECT {columns} FROM refresh_state ORDER BY publication_id")
        assert [tuple(row) for row in states] == [
            (now + timedelta(seconds=3), None, 5, "stale", 2, 1, 1),
            (NOW, NOW, 5, "claimed", 2, 1, 1),
            (NOW, None, 4, "claimed", 2, 1, 1),
            (NOW, NOW, 4, "claimed", 2, 1, 1),
        ]
        harness.execute("UPDATE refresh_state SET claimed_at = now() WHERE publication_id = :id", id=other)
        with harness.engine.begin() as connection:
            now = connection.exec_driver_sql("SELECT now()").scalar_one()
            assert release_claim(connection, [RefreshJob(account, ((other, 4),))]) == 1
        assert harness.state(other).next_run_at == now
