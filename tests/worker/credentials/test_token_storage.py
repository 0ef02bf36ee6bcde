"""A renewed pair is stored, even when the connection of its transaction is lost."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from shared.vocabulary import Platform
from tests.harness import Harness
from worker.credentials import tokens
from worker.credentials.tokens import StoredAccount
from worker.errors import TryAgain
from worker.readings import Account, Tokens


def stored(harness: Harness) -> StoredAccount:
    with harness.engine.connect() as connection:
        account = tokens.load(connection, "acc_1", harness.context.vault)
    assert account is not None
    return account


def connected(harness: Harness) -> StoredAccount:
    seal = harness.context.vault.seal
    harness.account(
        "acc_1",
        Platform.X,
        sealed_refresh_token=seal(SecretStr("single-use")),
        token_expires_at=datetime.now(UTC) + timedelta(minutes=1),
    )
    return stored(harness)


END_TRANSACTIONS_UNDER_WAY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle in transaction'
"""
NEW_PAIR = Tokens(SecretStr("new"), None, refresh_token=SecretStr("next"))


def test_new_pair_is_stored_after_its_connection_was_lost(harness: Harness) -> None:
    before = connected(harness)

    def ask(_: Account) -> Tokens:
        harness.execute(END_TRANSACTIONS_UNDER_WAY)
        return NEW_PAIR

    after = tokens.renew(harness.engine, harness.context.vault, before, ask)

    assert after == stored(harness)
    assert after.token_version == before.token_version + 1
    assert after.account.access_token.get_secret_value() == "new"
    assert after.account.refresh_token == SecretStr("next")


def test_newer_pair_of_a_reconnect_is_not_overwritten(harness: Harness) -> None:
    before = connected(harness)

    def ask(_: Account) -> Tokens:
        harness.execute(END_TRANSACTIONS_UNDER_WAY)
        harness.execute(
            "UPDATE accounts SET sealed_access_token = :token, token_version = token_version + 1",
            token=harness.context.vault.seal(SecretStr("the owner's")),
        )
        return NEW_PAIR

    after = tokens.renew(harness.engine, harness.context.vault, before, ask)

    assert after.account.access_token.get_secret_value() == "the owner's"


def test_new_pair_is_not_stored_for_the_same_account_id_of_another_workspace(harness: Harness) -> None:
    before = connected(harness)

    def ask(_: Account) -> Tokens:
        harness.execute(END_TRANSACTIONS_UNDER_WAY)
        # Erased meanwhile, and imported again by another workspace: both pairs have the same version.
        harness.execute(
            "UPDATE accounts SET workspace_id = 'ws_2', sealed_access_token = :token",
            token=harness.context.vault.seal(SecretStr("the other owner's")),
        )
        return NEW_PAIR

    tokens.renew(harness.engine, harness.context.vault, before, ask)

    after = stored(harness)
    assert after.account.access_token == SecretStr("the other owner's")
    assert after.token_version == before.token_version


def test_lock_wait_for_another_renewal_ends_as_try_again(harness: Harness) -> None:
    before = connected(harness)

    with harness.engine.begin() as other:
        other.exec_driver_sql("SELECT FROM accounts FOR NO KEY UPDATE")
        with pytest.raises(TryAgain, match="still being renewed"):
            tokens.renew(
                harness.engine,
                harness.context.vault,
                before,
                lambda _: pytest.fail("the platform was called"),
                lock_wait=timedelta(milliseconds=50),
            )
