"""Tokens: renewed ahead of their end, once for the whole fleet, stored before they are used."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from scheduler.renewals import ending_soon
from shared.vocabulary import Platform
from tests.scenarios import House, house
from worker.credentials import tokens
from worker.credentials.renewal import renew_ahead
from worker.errors import Reauthorize, TryAgain
from worker.readings import Account, Tokens


@pytest.fixture
def home(database_url: str) -> Iterator[House]:
    with house(database_url) as opened:
        opened.adapter.renewal = Tokens(
            SecretStr("new"), datetime.now(UTC) + timedelta(days=60), refresh_token=SecretStr("new-pair")
        )
        yield opened


def linkedin(home: House, account_id: str = "acc_1", **columns: Any) -> str:
    defaults = {
        "sealed_refresh_token": home.tools.vault.seal(SecretStr("old-pair")),
        "token_expires_at": datetime.now(UTC) + timedelta(days=2),
    }
    return home.account(account_id, Platform.LINKEDIN, **{**defaults, **columns})


def stored(home: House) -> Any:
    return home.execute("SELECT * FROM accounts")[0]


def test_the_tick_names_what_ends_soon_and_can_be_renewed(home: House) -> None:
    soon, late = datetime.now(UTC) + timedelta(days=2), datetime.now(UTC) + timedelta(days=50)
    linkedin(home, "acc_soon")
    linkedin(home, "acc_late", token_expires_at=late)
    linkedin(home, "acc_no_pair", sealed_refresh_token=None)
    linkedin(home, "acc_over", token_expires_at=datetime.now(UTC) - timedelta(days=1))
    linkedin(home, "acc_dead", state="requires_reconnect")
    home.account("acc_ig", Platform.INSTAGRAM, login="instagram", token_expires_at=soon + timedelta(days=5))
    home.account("acc_ig_fb", Platform.INSTAGRAM, login="facebook", token_expires_at=soon)
    home.account(
        "acc_ig_young",
        Platform.INSTAGRAM,
        login="instagram",
        token_expires_at=soon,
        token_minted_at=datetime.now(UTC),
    )
    home.account("acc_x", Platform.X, token_expires_at=soon)

    with home.engine.connect() as connection:
        assert ending_soon(connection) == ["acc_soon", "acc_ig"]


def test_a_renewal_ahead_stores_the_new_pair_and_a_second_message_does_nothing(home: House) -> None:
    account = linkedin(home)

    renew_ahead(account, home.tools)
    renew_ahead(account, home.tools)

    assert home.adapter.renewals == ["acc_1"]
    row = stored(home)
    assert home.tools.vault.open(row.sealed_access_token).get_secret_value() == "new"
    assert home.tools.vault.open(row.sealed_refresh_token).get_secret_value() == "new-pair"
    assert (row.token_version, row.state) == (2, "active")


def test_a_dead_pair_marks_the_account_and_a_passing_trouble_does_not(home: House) -> None:
    account = linkedin(home)
    home.adapter.renewal = TryAgain("Down.")
    renew_ahead(account, home.tools)
    assert stored(home).state == "active"

    home.adapter.renewal = Reauthorize("Reconnect the account.")
    renew_ahead(account, home.tools)
    assert (stored(home).state, stored(home).state_reason) == ("requires_reconnect", "Reconnect the account.")


def test_eight_at_once_renew_once_and_all_get_the_new_pair(database_url: str) -> None:
    with house(database_url) as home:
        linkedin(home)
        asked: list[str] = []
        together = threading.Barrier(8)
        with home.engine.connect() as connection:
            before = tokens.load(connection, "acc_1", home.tools.vault)
        assert before is not None

        def ask(account: Account) -> Tokens:
            asked.append(account.account_id)
            return Tokens(SecretStr("new"), None, refresh_token=SecretStr("new-pair"))

        def renew(_: int) -> str:
            together.wait(10)
            assert before is not None
            after = tokens.renew(home.engine, home.tools.vault, before, ask)
            return after.account.access_token.get_secret_value()

        with ThreadPoolExecutor(8) as workers:
            seen = set(workers.map(renew, range(8)))

    assert (seen, asked) == ({"new"}, ["acc_1"])


def test_an_account_that_died_meanwhile_is_not_asked(home: House) -> None:
    linkedin(home)
    with home.engine.connect() as connection:
        before = tokens.load(connection, "acc_1", home.tools.vault)
    assert before is not None
    home.execute("UPDATE accounts SET state = 'requires_reconnect', state_reason = 'Reconnect.'")

    with pytest.raises(Reauthorize, match="Reconnect"):
        tokens.renew(home.engine, home.tools.vault, before, lambda _: pytest.fail("it was asked"))
