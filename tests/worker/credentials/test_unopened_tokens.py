"""Tokens that no key opens, and instants at the ends of the calendar: every refresh still records."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from shared.accounts.vault import Vault, new_key
from shared.refresh_queue import RefreshJob
from shared.vocabulary import Platform
from tests.scenarios import House, house
from tests.worker.test_refresh import claims, run
from worker.credentials.renewal import renew_ahead
from worker.readings import Tokens
from worker.refresh import refresh


@pytest.fixture
def home(database_url: str) -> Iterator[House]:
    with house(database_url) as opened:
        yield opened


def seal_with_a_lost_key(home: House, account_id: str) -> None:
    sealed = Vault([SecretStr(new_key())]).seal(SecretStr("token"))
    home.execute(
        "UPDATE accounts SET sealed_access_token = :sealed WHERE account_id = :id",
        sealed=sealed,
        id=account_id,
    )


def test_a_token_that_no_key_opens_is_recorded_and_nobody_is_asked(
    home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    publication = home.publications(home.account("acc_1"))[0]
    run(home)
    seal_with_a_lost_key(home, "acc_1")

    run(home, times=7)

    row = home.state(publication)
    assert (row.sync_status, row.metrics, row.outcome) == ("synced", {"views": 1}, "misconfigured")
    assert (row.reason, row.attempts, row.unfinished, row.claimed_at) == ("retry", 0, 0, None)
    assert row.wait > timedelta(seconds=30), "it is not tried again at once"
    assert row.warnings == [
        "platform_unavailable: the stored authorization cannot be opened; operators are told"
    ]
    assert "DRAVO_SECRET_KEYS" in row.outcome_detail
    assert len(home.adapter.asked) == 1
    assert home.execute("SELECT state FROM accounts") == [("active",)], "its owner has nothing to do"
    assert "operator_needed" in capsys.readouterr().out


def test_a_key_that_comes_back_lets_the_row_go_on(home: House) -> None:
    publication = home.publications(home.account("acc_1"))[0]
    (good,) = home.execute("SELECT sealed_access_token FROM accounts")
    seal_with_a_lost_key(home, "acc_1")
    run(home)
    home.execute("UPDATE accounts SET sealed_access_token = :good", good=good[0])
    run(home)

    assert (home.state(publication).sync_status, home.state(publication).warnings) == ("synced", [])


def test_a_lost_key_of_one_account_concerns_no_other(home: House) -> None:
    bad = home.publications(home.account("acc_1"))[0]
    good = home.publications(home.account("acc_2"))[0]
    seal_with_a_lost_key(home, "acc_1")

    run(home)

    assert [home.state(one).sync_status for one in (bad, good)] == ["pending", "synced"]


def test_a_renewal_ahead_with_a_lost_key_asks_nobody(home: House) -> None:
    soon = datetime.now(UTC) + timedelta(days=1)
    home.account("acc_1", Platform.LINKEDIN, token_expires_at=soon)
    seal_with_a_lost_key(home, "acc_1")

    renew_ahead("acc_1", home.tools)

    assert home.adapter.renewals == []


@pytest.mark.parametrize("instant", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)])
@pytest.mark.parametrize("platform", [Platform.INSTAGRAM, Platform.X, Platform.LINKEDIN])
def test_instants_at_the_ends_of_the_calendar_stop_no_refresh(
    home: House, platform: Platform, instant: datetime
) -> None:
    seal = home.tools.vault.seal
    account = home.account(
        "acc_1",
        platform,
        login="instagram" if platform is Platform.INSTAGRAM else None,
        sealed_refresh_token=seal(SecretStr("pair")),
        token_expires_at=instant,
        token_minted_at=instant,
    )
    publication = home.publications(account)[0]
    home.adapter.renewal = Tokens(SecretStr("new"), None)

    run(home)
    renew_ahead(account, home.tools)

    assert home.state(publication).sync_status == "synced"


def test_a_bug_in_a_renewal_is_recorded_like_any_other_trouble(home: House) -> None:
    account = home.account(
        "acc_1",
        Platform.X,
        sealed_refresh_token=home.tools.vault.seal(SecretStr("pair")),
        token_expires_at=datetime.now(UTC),
    )
    publication = home.publications(account)[0]  # and no renewal is scripted: the adapter fails an assertion

    run(home)

    assert (home.state(publication).reason, home.state(publication).unfinished) == ("retry", 0)


def test_a_start_outlives_what_goes_wrong_while_tokens_are_loaded(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    publication = home.publications(home.account("acc_1"))[0]
    job: RefreshJob = claims(home)[0]

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("worker.credentials.tokens.load", broken)
    with pytest.raises(ZeroDivisionError):
        refresh(job, home.tools)

    assert home.state(publication).unfinished == 1, "a row that breaks its worker is met by the quarantine"
