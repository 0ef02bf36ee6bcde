"""Renewals ahead of their expiry: which pauses and budgets they wait for, and what their answers teach."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from shared.quota.limits import Bucket
from shared.vocabulary import BucketKind, Platform
from tests.harness import Harness
from worker.adapters.contract import Upstream
from worker.credentials import tokens
from worker.credentials.renewal import renew_ahead
from worker.errors import TryAgain
from worker.readings import Account, Limit, Tokens

HOUR = timedelta(hours=1)


def expiring(harness: Harness, **columns: Any) -> None:
    harness.account(
        "acc_1",
        Platform.LINKEDIN,
        sealed_refresh_token=harness.context.vault.seal(SecretStr("pair")),
        token_expires_at=datetime.now(UTC) + timedelta(days=1),
        **columns,
    )


def pause(harness: Harness, kind: str, subject: str) -> None:
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('linkedin', :kind, :subject, now() + interval '1 hour', 'Wait.')",
        kind=kind,
        subject=subject,
    )


@pytest.mark.parametrize("state", ["disconnected", "requires_reconnect"])
def test_account_that_may_not_be_read_is_left_alone(
    harness: Harness, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    expiring(harness, state=state)

    renew_ahead("acc_1", harness.context)
    renew_ahead("acc_unknown", harness.context)

    assert harness.adapter.renewals == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("kind", "subject", "renewed"),
    [
        ("background", "", False),
        ("background", "acc_1", False),
        ("background", "acc_2", True),
        ("endpoint", "oauth/token", False),
        ("endpoint", "another", True),
        ("operator_account", "acc_1", False),
    ],
)
def test_renewal_waits_for_pauses_that_concern_it(
    harness: Harness, kind: str, subject: str, *, renewed: bool
) -> None:
    expiring(harness)
    pause(harness, kind, subject)

    renew_ahead("acc_1", harness.context)

    assert bool(harness.adapter.renewals) is renewed


def test_renewal_is_background_work(harness: Harness) -> None:
    expiring(harness)
    application = Bucket(Platform.LINKEDIN, BucketKind.APP)
    harness.context.budgets.budgets.defer_background(application, HOUR)

    renew_ahead("acc_1", harness.context)

    assert harness.adapter.renewals == []


@pytest.mark.parametrize("refused", [False, True])
def test_limits_that_a_renewal_reports_hold_for_the_next_one(harness: Harness, *, refused: bool) -> None:
    expiring(harness)

    def renew(upstream: Upstream, account: Account) -> Tokens:
        harness.adapter.renewals.append(account.account_id)
        exhausted = Limit(
            BucketKind.ENDPOINT,
            "oauth/token",
            limit=5,
            remaining=0,
            resets_at=harness.context.clock.now() + HOUR,
        )
        upstream.report_limits(exhausted)
        if refused:
            raise TryAgain("Down.")
        return Tokens(SecretStr("new"), harness.context.clock.now() + HOUR)

    harness.adapter.renew = renew  # type: ignore[method-assign] # a script of the answer's headers

    renew_ahead("acc_1", harness.context)
    renew_ahead("acc_1", harness.context)

    assert harness.adapter.renewals == ["acc_1"]


def test_renewal_that_succeeds_ends_a_row_of_failures(harness: Harness) -> None:
    expiring(harness)
    breakers = harness.context.budgets.breakers
    for _ in range(4):
        assert breakers.failed(Platform.LINKEDIN, "oauth/token") is None

    renew_ahead("acc_1", harness.context)

    assert breakers.failed(Platform.LINKEDIN, "oauth/token") is None
    assert harness.adapter.renewals == ["acc_1"]


def test_renewal_waits_for_another_one_for_a_quarter_of_the_lease(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    expiring(harness)
    waits: list[timedelta] = []

    def renew(*_: Any, lock_wait: timedelta) -> Any:
        waits.append(lock_wait)
        raise TryAgain("The account's tokens are still being renewed.")

    monkeypatch.setattr(tokens, "renew", renew)
    renew_ahead("acc_1", harness.context)

    assert waits == [harness.context.settings.lease / 4]


def test_renewal_without_an_endpoint_of_its_own_needs_no_budget(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    expiring(harness)
    harness.adapter.renewal_endpoint = None
    monkeypatch.setattr(harness.context.budgets.budgets, "reserve", lambda *_: pytest.fail("reserved"))

    renew_ahead("acc_1", harness.context)

    assert harness.adapter.renewals == ["acc_1"]
