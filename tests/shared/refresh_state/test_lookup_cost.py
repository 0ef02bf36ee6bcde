"""Statements that are given rows by id read these rows alone, however many claims are or were open."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from shared.refresh_queue import RefreshJob
from shared.refresh_state.finish import NextRun, finish, lock_claims
from shared.refresh_state.release_claim import release_claim
from shared.refresh_state.start import extend, start
from shared.vocabulary import Reason
from tests.harness import Harness
from tests.shared.refresh_state.ready.test_cost import ANALYZE, counted, fill

ROWS = 20
LEASE = timedelta(seconds=60)
NOW = datetime.now(UTC)


def next_runs(job: RefreshJob) -> list[NextRun]:
    return [NextRun(row, seq, NOW + LEASE, Reason.STALE, 0, None) for row, seq in job.claims]


USES: dict[str, Callable[[Connection, RefreshJob], int]] = {
    "start": lambda connection, job: len(start(connection, job, LEASE)),
    "extend": lambda connection, job: len(extend(connection, job.claims, [], LEASE)),
    "lock": lambda connection, job: len(lock_claims(connection, job.claims)),
    "finish": lambda connection, job: len(finish(connection, next_runs(job))),
    "release": lambda connection, job: release_claim(connection, [job]),
}


@pytest.mark.parametrize("use", USES)
def test_statistics_without_claims_do_not_change_what_is_read(harness: Harness, use: str) -> None:
    harness.execute("ALTER TABLE refresh_state SET (autovacuum_enabled = off)")
    fill(harness, 4, rows=1_500)
    harness.execute("INSERT INTO post_analytics (publication_id) SELECT id FROM publications")
    harness.execute(ANALYZE)
    harness.execute("UPDATE refresh_state SET claimed_at = now(), next_run_at = now() + interval '1 minute'")
    claims = harness.execute(
        f"SELECT publication_id, claim_seq FROM refresh_state WHERE account_id = 'acc_1' LIMIT {ROWS}"
    )
    job = RefreshJob("acc_1", tuple(sorted((row.publication_id, row.claim_seq) for row in claims)))

    with harness.engine.begin() as connection:
        before = counted(connection)
        used = USES[use](connection, job)
        read: Counter[str] = counted(connection) - before

    assert used == ROWS
    assert read.pop("rows", 0) == 0
    assert sum(number for name, number in read.items() if name.startswith("refresh_state")) <= 4 * ROWS, read
