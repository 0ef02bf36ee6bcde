"""A renewed pair is stored, even when the connection of its transaction is lost."""

from datetime import UTC, datetime, timedelta
from itertools import chain, cycle
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared import database
from shared.accounts.vault import Vault, new_key
from shared.vocabulary import Platform
from tests.harness import Harness
from worker.credentials import tokens
from worker.credentials.tokens import StoredAccount
from worker.errors import Misconfigured, Reauthorize, TryAgain
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


@pytest.fixture
def store_fails_until(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the storing of a pair fail until the worker has waited for so many seconds."""
    elapsed, store = [0.0], tokens._store
    away = OperationalError("UPDATE", {}, Exception("away"))
    troubles = chain([away], cycle([PoolTimeoutError("no connection is free"), away]))
    passing = SimpleNamespace(
        monotonic=lambda: 1_000 + elapsed[0],
        sleep=lambda seconds: elapsed.append(elapsed.pop() + seconds),
    )

    def fails_until(ends: float) -> list[float]:
        def storing(*arguments: Any) -> None:
            if elapsed[0] < ends:
                raise next(troubles)
            store(*arguments)

        monkeypatch.setattr(tokens, "time", passing)
        monkeypatch.setattr(tokens, "_RETRY_SECONDS", 10.0)
        monkeypatch.setattr(tokens, "_store", storing)
        return elapsed

    return fails_until


def test_new_pair_is_stored_when_the_database_is_back_within_half_a_minute(
    harness: Harness, store_fails_until: Any
) -> None:
    before = connected(harness)
    store_fails_until(30)

    after = tokens.renew(harness.engine, harness.context.vault, before, lambda _: NEW_PAIR)

    assert after.account.access_token == SecretStr("new")


def test_storing_of_a_new_pair_is_given_up_after_half_a_minute(
    harness: Harness, store_fails_until: Any
) -> None:
    before = connected(harness)
    elapsed = store_fails_until(3_600)

    with pytest.raises((OperationalError, PoolTimeoutError)):
        tokens.renew(harness.engine, harness.context.vault, before, lambda _: NEW_PAIR)

    assert 30 < elapsed[0] <= 40


def test_platform_is_requested_with_what_is_stored_now(harness: Harness) -> None:
    before = connected(harness)
    harness.execute("UPDATE accounts SET platform_account_id = 'corrected'")
    requested: list[str] = []

    def ask(account: Account) -> Tokens:
        requested.append(account.platform_account_id)
        return NEW_PAIR

    tokens.renew(harness.engine, harness.context.vault, before, ask)

    assert requested == ["corrected"]


def test_publications_may_be_inserted_while_the_platform_is_requested(harness: Harness) -> None:
    before = connected(harness)

    def ask(_: Account) -> Tokens:
        with harness.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
            connection.exec_driver_sql("SELECT FROM accounts FOR KEY SHARE")
        return NEW_PAIR

    assert tokens.renew(harness.engine, harness.context.vault, before, ask).token_version == 2


def test_account_stays_locked_while_the_platform_takes_longer_than_transactions_may_be_idle(
    harness: Harness, database_url: str
) -> None:
    before = connected(harness)
    engine = database.connect(database_url, application="tests", idle=timedelta(milliseconds=50))

    def ask(_: Account) -> Tokens:
        harness.execute("SELECT pg_sleep(0.2)")
        for lock in ("NO KEY UPDATE", "SHARE"):  # also one that a second renewal might share
            with pytest.raises(OperationalError, match="could not obtain lock"):
                harness.execute(f"SELECT FROM accounts FOR {lock} NOWAIT")
        return NEW_PAIR

    assert tokens.renew(engine, harness.context.vault, before, ask).token_version == 2
    engine.dispose()


def test_renewal_leaves_no_lock_timeout_on_its_connection(harness: Harness) -> None:
    before = connected(harness)
    with harness.context.engine.connect() as connection:
        timeout = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()

    wait = timedelta(seconds=7)
    tokens.renew(harness.context.engine, harness.context.vault, before, lambda _: NEW_PAIR, lock_wait=wait)

    with harness.context.engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == timeout


def test_pair_that_no_key_opens_is_never_sent(harness: Harness) -> None:
    before = connected(harness)
    lost = Vault([SecretStr(new_key())])

    with pytest.raises(Misconfigured, match="DRAVO_SECRET_KEYS"):
        tokens.renew(harness.engine, lost, before, lambda _: pytest.fail("the platform was called"))


def test_account_that_is_erased_before_or_after_its_renewal_needs_a_new_authorization(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = connected(harness)
    monkeypatch.setattr(
        "shared.observability.failpoints.hit", lambda _: harness.execute("DELETE FROM accounts")
    )

    with pytest.raises(Reauthorize, match="does not exist"):
        tokens.renew(harness.engine, harness.context.vault, before, lambda _: NEW_PAIR)
    with pytest.raises(Reauthorize, match="does not exist"):
        tokens.renew(
            harness.engine, harness.context.vault, before, lambda _: pytest.fail("the platform was called")
        )


def test_database_error_before_the_platform_answers_is_raised_as_it_is(harness: Harness) -> None:
    before = connected(harness)

    def ask(_: Account) -> Tokens:
        raise OperationalError("SELECT", {}, Exception("away"))

    with pytest.raises(OperationalError):
        tokens.renew(harness.engine, harness.context.vault, before, ask)
