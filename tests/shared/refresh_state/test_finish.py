"""Only the claim that stands may write a row's results."""

from datetime import UTC, datetime, timedelta

from shared.refresh_state.finish import lock_claims
from tests.harness import Harness

NOW = datetime.now(UTC)


def test_lock_claims_returns_neither_a_claim_taken_over_nor_one_released(harness: Harness) -> None:
    lease_end = NOW + timedelta(minutes=1)
    own, taken_over, released = harness.publications(
        harness.account("acc_1"), 3, next_run_at=lease_end, claim_seq=4, claimed_at=NOW, reason="claimed"
    )
    harness.execute("UPDATE refresh_state SET claim_seq = 5 WHERE publication_id = :id", id=taken_over)
    # The same `claim_seq`: `finish` ends a claim without counting it.
    harness.execute(
        "UPDATE refresh_state SET claimed_at = NULL, reason = 'stale' WHERE publication_id = :id", id=released
    )

    with harness.engine.begin() as connection:
        standing = lock_claims(connection, [(one, 4) for one in (own, taken_over, released)])

    assert standing == {own}
