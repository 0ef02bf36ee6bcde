"""Tokens that no key decrypts, and extreme instants: every refresh still records an outcome."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from shared.accounts.vault import Vault, new_key
from shared.refresh_queue import RefreshJob
from shared.vocabulary import Platform
from tests.harness import Harness
from tests.worker.running import claims, run
from worker.credentials.renewal import renew_ahead
from worker.readings import Tokens
from worker.refresh import refresh


def seal_with_a_lost_key(harness: Harness, account_id: str) -> None:
    sealed = Vault([SecretStr(new_key())]).seal(SecretStr("token"))
    harness.execute(
        "UPDATE accounts SET sealed_access_token = :sealed WHERE account_id = :id",
        sealed=sealed,
        id=account_id,
    )


def test_undecryptable_token_is_recorded_without_a_call(
    harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    run(harness)
    seal_with_a_lost_key(harness, "acc_1")

    run(harness, times=7)

    row = harness.state(publication)
    assert (row.sync_status, row.metrics, row.outcome) == ("synced", {"views": 1}, "misconfigured")
    assert (row.reason, row.attempts, row.unfinished, row.claimed_at) == ("retry", 0, 0, None)
    assert row.wait > timedelta(seconds=30), "it is not tried again at once"
    assert row.warnings == [
        "platform_unavailable: the stored authorization cannot be opened; operators are alerted"
    ]
    assert "DRAVO_SECRET_KEYS" in row.outcome_detail
    assert len(harness.adapter.requested) == 1
    assert harness.execute("SELECT state FROM accounts") == [("active",)], "its owner has nothing to do"
    assert "operator_needed" in capsys.readouterr().out


def test_restored_key_lets_the_row_sync(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    (good,) = harness.execute("SELECT sealed_access_token FROM accounts")
    seal_with_a_lost_key(harness, "acc_1")
    run(harness)
    harness.execute("UPDATE accounts SET sealed_access_token = :good", good=good[0])
    run(harness)

    assert (harness.state(publication).sync_status, harness.state(publication).warnings) == ("synced", [])


def test_lost_key_of_one_account_affects_no_other(harness: Harness) -> None:
    bad = harness.publications(harness.account("acc_1"))[0]
    good = harness.publications(harness.account("acc_2"))[0]
    seal_with_a_lost_key(harness, "acc_1")

    run(harness)

    assert [harness.state(one).sync_status for one in (bad, good)] == ["pending", "synced"]


def test_early_renewal_with_lost_key_makes_no_call(
    harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    soon = datetime.now(UTC) + timedelta(days=1)
    harness.account("acc_1", Platform.LINKEDIN, token_expires_at=soon)
    seal_with_a_lost_key(harness, "acc_1")

    renew_ahead("acc_1", harness.context)

    assert harness.adapter.renewals == []
    assert "operator_needed" in capsys.readouterr().out


@pytest.mark.parametrize("instant", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)])
@pytest.mark.parametrize("platform", [Platform.INSTAGRAM, Platform.X, Platform.LINKEDIN])
def test_extreme_expiry_instants_stop_no_refresh(
    harness: Harness, platform: Platform, instant: datetime
) -> None:
    seal = harness.context.vault.seal
    account = harness.account(
        "acc_1",
        platform,
        login="instagram" if platform is Platform.INSTAGRAM else None,
        sealed_refresh_token=seal(SecretStr("pair")),
        token_expires_at=instant,
        token_minted_at=instant,
    )
    publication = harness.publications(account)[0]
    harness.adapter.renewal = Tokens(SecretStr("new"), None)

    run(harness)
    renew_ahead(account, harness.context)

    assert harness.state(publication).sync_status == "synced"


def test_exception_in_a_renewal_is_recorded_as_retry(harness: Harness) -> None:
    account = harness.account(
        "acc_1",
        Platform.X,
        sealed_refresh_token=harness.context.vault.seal(SecretStr("pair")),
        token_expires_at=datetime.now(UTC),
    )
    publication = harness.publications(account)[
        0
    ]  # and no renewal is scripted: the adapter fails an assertion

    run(harness)

    assert (harness.state(publication).reason, harness.state(publication).unfinished) == ("retry", 0)


def test_start_stays_committed_when_loading_tokens_fails(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    job: RefreshJob = claims(harness)[0]

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("worker.credentials.tokens.load", broken)
    with pytest.raises(ZeroDivisionError):
        refresh(job, harness.context)

    assert harness.state(publication).unfinished == 1, "a row that breaks its worker is met by the quarantine"
