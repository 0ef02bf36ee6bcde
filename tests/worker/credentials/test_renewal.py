"""Renewals of tokens: before they expire, once for the whole fleet, stored before use."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from scheduler.maintenance.renewals import ending_soon
from shared.vocabulary import Platform
from tests.harness import Harness, open_harness
from tests.worker.running import run
from worker.credentials import renewal, tokens
from worker.credentials.renewal import renew_ahead
from worker.errors import Reauthorize, TryAgain
from worker.readings import Account, Tokens


@pytest.fixture
def harness(database_url: str) -> Iterator[Harness]:
    with open_harness(database_url) as opened:
        opened.adapter.renewal = Tokens(
            SecretStr("new"), datetime.now(UTC) + timedelta(days=60), refresh_token=SecretStr("new-pair")
        )
        yield opened


def linkedin(harness: Harness, account_id: str = "acc_1", **columns: Any) -> str:
    defaults = {
        "sealed_refresh_token": harness.context.vault.seal(SecretStr("old-pair")),
        "token_expires_at": datetime.now(UTC) + timedelta(days=2),
    }
    return harness.account(account_id, Platform.LINKEDIN, **{**defaults, **columns})


def stored(harness: Harness) -> Any:
    return harness.execute("SELECT * FROM accounts")[0]


def test_tick_lists_expiring_renewable_tokens(harness: Harness) -> None:
    soon, late = datetime.now(UTC) + timedelta(days=2), datetime.now(UTC) + timedelta(days=50)
    linkedin(harness, "acc_soon")
    linkedin(harness, "acc_late", token_expires_at=late)
    linkedin(harness, "acc_no_pair", sealed_refresh_token=None)
    linkedin(harness, "acc_over", token_expires_at=datetime.now(UTC) - timedelta(days=1))
    linkedin(harness, "acc_dead", state="requires_reconnect")
    harness.account(
        "acc_ig", Platform.INSTAGRAM, login="instagram", token_expires_at=soon + timedelta(days=5)
    )
    harness.account("acc_ig_fb", Platform.INSTAGRAM, login="facebook", token_expires_at=soon)
    harness.account(
        "acc_ig_young",
        Platform.INSTAGRAM,
        login="instagram",
        token_expires_at=soon,
        token_minted_at=datetime.now(UTC),
    )
    harness.account("acc_x", Platform.X, token_expires_at=soon)

    with harness.engine.connect() as connection:
        assert ending_soon(connection) == ["acc_soon", "acc_ig"]


def test_early_renewal_stores_pair_and_second_message_does_nothing(harness: Harness) -> None:
    account = linkedin(harness)

    renew_ahead(account, harness.context)
    renew_ahead(account, harness.context)

    assert harness.adapter.renewals == ["acc_1"]
    row = stored(harness)
    assert harness.context.vault.open(row.sealed_access_token).get_secret_value() == "new"
    assert harness.context.vault.open(row.sealed_refresh_token).get_secret_value() == "new-pair"
    assert (row.token_version, row.state) == (2, "active")


def test_dead_pair_marks_account_and_transient_error_does_not(harness: Harness) -> None:
    account = linkedin(harness)
    harness.adapter.renewal = TryAgain("Down.")
    renew_ahead(account, harness.context)
    assert stored(harness).state == "active"

    harness.adapter.renewal = Reauthorize("Reconnect the account.")
    renew_ahead(account, harness.context)
    assert (stored(harness).state, stored(harness).state_reason) == (
        "requires_reconnect",
        "Reconnect the account.",
    )


def test_eight_concurrent_renewals_make_one_call_and_share_the_pair(database_url: str) -> None:
    with open_harness(database_url) as harness:
        linkedin(harness)
        requested: list[str] = []
        together = threading.Barrier(8)
        with harness.engine.connect() as connection:
            before = tokens.load(connection, "acc_1", harness.context.vault)
        assert before is not None

        def ask(account: Account) -> Tokens:
            requested.append(account.account_id)
            return Tokens(SecretStr("new"), None, refresh_token=SecretStr("new-pair"))

        def renew(_: int) -> str:
            together.wait(30)
            assert before is not None
            after = tokens.renew(harness.engine, harness.context.vault, before, ask)
            return after.account.access_token.get_secret_value()

        with ThreadPoolExecutor(8) as workers:
            seen = set(workers.map(renew, range(8)))

    assert (seen, requested) == ({"new"}, ["acc_1"])


def test_account_that_became_inactive_is_not_renewed(harness: Harness) -> None:
    linkedin(harness)
    with harness.engine.connect() as connection:
        before = tokens.load(connection, "acc_1", harness.context.vault)
    assert before is not None
    harness.execute("UPDATE accounts SET state = 'requires_reconnect', state_reason = 'Reconnect.'")

    with pytest.raises(Reauthorize, match="Reconnect"):
        tokens.renew(harness.engine, harness.context.vault, before, lambda _: pytest.fail("it was asked"))


def test_refused_pair_marks_no_account_that_was_reconnected_meanwhile(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = linkedin(harness)

    def refused(*_: Any) -> None:
        harness.execute("UPDATE accounts SET token_version = token_version + 1")
        raise Reauthorize("The pair is dead.")

    monkeypatch.setattr(renewal, "renew", refused)
    renew_ahead(account, harness.context)

    assert (stored(harness).state, stored(harness).token_version) == ("active", 2)


def test_dead_pair_ends_a_refresh_although_its_token_still_holds(harness: Harness) -> None:
    harness.publications(linkedin(harness))
    harness.adapter.renewal = Reauthorize("Reconnect the account.")

    run(harness)

    assert (stored(harness).state, harness.adapter.requested) == ("requires_reconnect", [])
