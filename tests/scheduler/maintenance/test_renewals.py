"""Which tokens a tick renews, to the instant: those that would expire unused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from scheduler.maintenance import renewals
from scheduler.maintenance.renewals import ending_soon
from shared.accounts.token_life import OLD_ENOUGH, RENEW_AHEAD
from shared.quota import pauses
from shared.vocabulary import PauseKind, Platform
from tests.harness import Harness

MICROSECOND = timedelta(microseconds=1)
AHEAD = RENEW_AHEAD[Platform.LINKEDIN]


def linkedin(harness: Harness, account_id: str, **columns: Any) -> str:
    soon = datetime.now(UTC) + timedelta(days=1)
    defaults = {"sealed_refresh_token": "pair", "token_expires_at": soon}
    return harness.account(account_id, Platform.LINKEDIN, **{**defaults, **columns})


def listed(harness: Harness, column: str, waits: dict[str, timedelta]) -> list[str]:
    """Set a column of each account to an instant relative to the transaction's; return who is listed."""
    with harness.engine.connect() as connection:
        for account_id, wait in waits.items():
            connection.execute(
                text(f"UPDATE accounts SET {column} = now() + :wait WHERE account_id = :id"),
                {"wait": wait, "id": account_id},
            )
        return ending_soon(connection)


def test_token_is_renewed_from_its_margin_until_it_expires(harness: Harness) -> None:
    waits = {
        "expired": -MICROSECOND,
        "expires now": timedelta(0),
        "in the margin": AHEAD,
        "before the margin": AHEAD + MICROSECOND,
    }
    for account_id in waits:
        linkedin(harness, account_id)

    assert listed(harness, "token_expires_at", waits) == ["expires now", "in the margin"]


def test_token_that_the_platform_has_just_renewed_is_too_young(harness: Harness) -> None:
    waits = {"too young": -OLD_ENOUGH, "old enough": -OLD_ENOUGH - MICROSECOND}
    for account_id in waits:
        linkedin(harness, account_id)

    assert listed(harness, "token_minted_at", waits) == ["old enough"]


def test_only_tokens_that_can_be_renewed_are_listed(harness: Harness) -> None:
    linkedin(harness, "acc_no_pair", sealed_refresh_token=None)
    linkedin(harness, "acc_locked", state="requires_reconnect")
    soon = datetime.now(UTC) + timedelta(days=1)
    for login in ("instagram", "facebook"):
        harness.account(f"acc_{login}", Platform.INSTAGRAM, login=login, token_expires_at=soon)

    assert listed(harness, "token_minted_at", {}) == ["acc_instagram"]


def test_tokens_of_paused_accounts_wait(harness: Harness) -> None:
    for account_id in ("acc_1", "acc_paused"):
        linkedin(harness, account_id)
    with harness.engine.begin() as connection:
        until = datetime.now(UTC) + timedelta(hours=1)
        pauses.pause(
            connection,
            platform="linkedin",
            kind=PauseKind.ACCOUNT,
            subject="acc_paused",
            until=until,
            reason="",
        )

    assert listed(harness, "token_minted_at", {}) == ["acc_1"]


def test_most_urgent_tokens_of_a_tick_come_first(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    assert renewals.MOST_AT_ONCE == 200
    monkeypatch.setattr(renewals, "MOST_AT_ONCE", 2)
    waits = {f"acc_{hours}": timedelta(hours=hours) for hours in (3, 1, 4, 2)}
    for account_id in waits:
        linkedin(harness, account_id)

    assert listed(harness, "token_expires_at", waits) == ["acc_1", "acc_2"]
