"""When tokens are renewed before their use, and what a renewal replaces and keeps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from shared.freshness.refit import Fitted
from shared.vocabulary import AccountState, Platform
from tests.harness import Harness
from worker.credentials import tokens
from worker.credentials.tokens import StoredAccount, StoredState
from worker.errors import Reauthorize
from worker.readings import Account, Tokens

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
PAIR = SecretStr("pair")


def account(platform: Platform, **fields: Any) -> Account:
    known: dict[str, Any] = {
        "account_id": "acc_1",
        "workspace_id": "ws_1",
        "platform": platform,
        "platform_account_id": "1",
        "login": None,
        "kind": None,
        "scopes": frozenset(),
        "access_token": SecretStr("token"),
        "refresh_token": None,
        "token_expires_at": None,
        "refresh_token_expires_at": None,
        "token_minted_at": None,
    }
    return Account(**{**known, **fields})


INSTAGRAM = {"login": "instagram"}
PAIRED = {"refresh_token": PAIR}


@pytest.mark.parametrize(
    ("platform", "fields", "left", "soon"),
    [
        (Platform.X, PAIRED, 3 * MINUTE + SECOND, False),
        (Platform.X, PAIRED, 3 * MINUTE, True),
        (Platform.X, PAIRED, -DAY, True),
        (Platform.X, PAIRED, None, False),
        (Platform.X, {}, MINUTE, False),
        (Platform.TIKTOK, PAIRED, 3 * MINUTE + SECOND, False),
        (Platform.TIKTOK, PAIRED, 3 * MINUTE, True),
        (Platform.LINKEDIN, PAIRED, 7 * DAY + SECOND, False),
        (Platform.LINKEDIN, PAIRED, 7 * DAY, True),
        (Platform.LINKEDIN, {}, DAY, False),
        (Platform.FACEBOOK, PAIRED, MINUTE, False),
        (Platform.INSTAGRAM, INSTAGRAM, 15 * DAY + SECOND, False),
        (Platform.INSTAGRAM, INSTAGRAM, 15 * DAY, True),
        (Platform.INSTAGRAM, INSTAGRAM, SECOND, True),
        (Platform.INSTAGRAM, INSTAGRAM, timedelta(), False),
        (Platform.INSTAGRAM, {**INSTAGRAM, "token_minted_at": NOW - DAY + SECOND}, DAY, False),
        (Platform.INSTAGRAM, {**INSTAGRAM, "token_minted_at": NOW - DAY}, DAY, True),
        (Platform.INSTAGRAM, {"login": "facebook", **PAIRED}, DAY, False),
    ],
)
def test_token_is_renewed_early_where_the_platform_allows_it(
    platform: Platform, fields: dict[str, Any], left: timedelta | None, *, soon: bool
) -> None:
    expires_at = NOW + left if left is not None else None

    assert tokens.ends_soon(account(platform, token_expires_at=expires_at, **fields), NOW) is soon


def connected(harness: Harness, **columns: Any) -> StoredAccount:
    harness.account(
        "acc_1",
        Platform.LINKEDIN,
        **{
            "sealed_refresh_token": harness.context.vault.seal(PAIR),
            "token_expires_at": NOW,
            "refresh_token_expires_at": NOW + DAY,
            "scopes": ["r_member", "r_organization"],
            "token_minted_at": NOW - DAY,
            "kind": "member",
            **columns,
        },
    )
    return stored(harness)


def stored(harness: Harness) -> StoredAccount:
    with harness.engine.connect() as connection:
        loaded = tokens.load(connection, "acc_1", harness.context.vault)
    assert loaded is not None
    return loaded


def test_account_is_loaded_with_all_its_fields(harness: Harness) -> None:
    loaded = connected(harness, login="l", token_version=7, state="disconnected", state_reason="Connect it.")

    assert loaded == StoredAccount(
        account(
            Platform.LINKEDIN,
            platform_account_id="pa_acc_1",
            login="l",
            kind="member",
            scopes=frozenset({"r_member", "r_organization"}),
            access_token=SecretStr("token-of-acc_1"),
            refresh_token=PAIR,
            token_expires_at=NOW,
            refresh_token_expires_at=NOW + DAY,
            token_minted_at=NOW - DAY,
        ),
        7,
        AccountState.DISCONNECTED,
        "Connect it.",
    )
    with harness.engine.connect() as connection:
        assert tokens.load(connection, "acc_2", harness.context.vault) is None

    harness.execute("UPDATE accounts SET sealed_access_token = NULL, sealed_refresh_token = NULL")
    without = stored(harness)
    assert (without.account.access_token, without.account.refresh_token) == (SecretStr(""), None)
    assert without.unopened is None, "X is read with the application's token then"


def test_account_is_loaded_with_the_highest_pressure_on_it_and_its_own_fit(harness: Harness) -> None:
    alone = connected(harness)
    pressures = [
        ("linkedin", "", 2.0),
        ("linkedin", "acc_1", 1.5),
        ("linkedin", "acc_2", 9.0),
        ("x", "", 9.0),
    ]
    for platform, account_id, factor in pressures:
        harness.execute(
            "INSERT INTO quota_pressure (platform, account_id, bucket, factor, calls_per_hour)"
            " VALUES (:platform, :account_id, 'app:', :factor, 1)",
            platform=platform,
            account_id=account_id,
            factor=factor,
        )

    def fit(platform: str, account_id: str, half_life: float) -> None:
        harness.execute(
            "INSERT INTO growth_fits (platform, account_id, half_life, pairs, reads_at_first,"
            " reads_at_any_age) VALUES (:platform, :account_id, :half_life, 300, 5, NULL)",
            platform=platform,
            account_id=account_id,
            half_life=half_life,
        )

    assert (alone.pressure, alone.fitted) == (None, None)
    assert (stored(harness).pressure, stored(harness).fitted) == (2.0, None)
    harness.execute("UPDATE quota_pressure SET factor = 3 WHERE account_id = 'acc_1'")
    fit("linkedin", "acc_2", 8.0)
    fit("x", "", 9.0)
    fit("linkedin", "", 7.0)
    assert (stored(harness).pressure, stored(harness).fitted) == (3.0, Fitted(7.0, 5.0, None))
    fit("linkedin", "acc_1", 6.0)
    assert stored(harness).fitted == Fitted(6.0, 5.0, None)


def test_renewal_replaces_only_the_fields_it_brings(harness: Harness) -> None:
    before = connected(harness)
    harness.account("acc_2", Platform.LINKEDIN)
    other = harness.execute("SELECT * FROM accounts WHERE account_id = 'acc_2'")

    poor = tokens.renew(
        harness.engine, harness.context.vault, before, lambda _: Tokens(SecretStr("new"), None)
    )

    assert poor == stored(harness)
    assert poor.token_version == before.token_version + 1
    assert poor.account.access_token == SecretStr("new")
    assert poor.account.refresh_token == PAIR, "no new pair: the stored one is the only one"
    assert poor.account.token_expires_at is None
    assert poor.account.refresh_token_expires_at == NOW + DAY
    assert poor.account.scopes == {"r_member", "r_organization"}
    assert poor.account.token_minted_at is not None
    assert poor.account.token_minted_at > NOW - DAY

    brought = Tokens(SecretStr("newer"), NOW + HOUR, SecretStr("next"), NOW + 2 * DAY, frozenset())
    rich = tokens.renew(harness.engine, harness.context.vault, poor, lambda _: brought)

    assert rich.account.access_token == SecretStr("newer")
    assert rich.account.refresh_token == SecretStr("next")
    assert rich.account.token_expires_at == NOW + HOUR
    assert rich.account.refresh_token_expires_at == NOW + 2 * DAY
    assert rich.account.scopes == frozenset()
    assert harness.execute("SELECT * FROM accounts WHERE account_id = 'acc_2'") == other


def test_newer_stored_pair_is_used_without_a_call(harness: Harness) -> None:
    before = connected(harness)
    harness.execute("UPDATE accounts SET token_version = token_version + 1")

    after = tokens.renew(harness.engine, harness.context.vault, before, lambda _: pytest.fail("it was asked"))

    assert after == stored(harness)


def test_renewal_of_inactive_account_raises_its_reason(harness: Harness) -> None:
    before = connected(harness)
    harness.execute("UPDATE accounts SET state = 'disconnected'")

    with pytest.raises(Reauthorize, match="is not connected"):
        tokens.renew(harness.engine, harness.context.vault, before, lambda _: pytest.fail("it was asked"))


def test_repr_of_an_account_s_state_shows_no_tokens(harness: Harness) -> None:
    harness.account("acc_1", state="disconnected", state_reason="Connect it.", sealed_access_token="broken")
    harness.account("acc_2")
    with harness.engine.connect() as connection:
        assert tokens.state(connection, "acc_1") == StoredState(AccountState.DISCONNECTED, "Connect it.", 1)
        assert tokens.state(connection, "acc_2") == StoredState(AccountState.ACTIVE, None, 1)
        assert tokens.state(connection, "acc_3") is None
