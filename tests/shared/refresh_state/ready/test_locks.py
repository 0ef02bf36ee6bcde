"""Locks of claims: one claim at a time has an account."""

from shared.refresh_state.ready.locks import lock_accounts
from tests.harness import Harness


def test_claim_skips_an_account_that_another_one_has_and_waits_for_none(harness: Harness) -> None:
    with harness.engine.begin() as first, harness.engine.begin() as second:
        assert lock_accounts(first, ["b", "a"], 1) == ["b"]
        assert lock_accounts(second, ["b", "a", "c"], 9) == ["a", "c"]
