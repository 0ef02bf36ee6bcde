"""Import of accounts: new, changed and unchanged rows, refusals, tokens."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from shared.accounts import states as account_state
from shared.ingestion.fields import RowError
from shared.ingestion.importer import import_accounts
from shared.ingestion.rows import parse_account
from shared.settings import Settings
from tests.shared.ingestion.rows import (
    TOKEN,
    VAULT,
    account,
    messages,
    publication,
    states,
    store,
    store_accounts,
    stored,
)
from worker.credentials import tokens


def test_account_is_stored_sealed_and_importing_it_again_changes_nothing(engine: Engine) -> None:
    row = account(scopes=["instagram_basic"], token_expires_at="2026-12-01T00:00:00+02:00", name="Dravo")

    assert (store_accounts(engine, row).accepted, store_accounts(engine, row).unchanged) == (1, 1)

    (stored_row,) = stored(engine, "SELECT * FROM accounts")
    assert TOKEN not in str(dict(stored_row))
    assert VAULT.open(stored_row["sealed_access_token"]).get_secret_value() == TOKEN
    assert stored_row["login"] == "facebook"
    assert stored_row["kind"] is None
    assert stored_row["scopes"] == ["instagram_basic"]
    assert stored_row["token_expires_at"].isoformat() == "2026-11-30T22:00:00+00:00"
    assert stored_row["token_version"] == 1
    assert stored_row["token_minted_at"] is None, "only our own renewal knows the age of a token"


@pytest.mark.parametrize("missing", [{"access_token": ""}, {"access_token": None}])
def test_empty_token_keeps_the_stored_one_with_its_expiry(engine: Engine, missing: dict[str, object]) -> None:
    store_accounts(engine, account(token_expires_at="2030-01-01T00:00:00Z"))

    result = store_accounts(engine, account(token_expires_at=None, name="New name") | missing)

    assert result.accepted == 1
    (stored_row,) = stored(engine, "SELECT * FROM accounts")
    assert VAULT.open(stored_row["sealed_access_token"]).get_secret_value() == TOKEN
    assert stored_row["token_expires_at"].year == 2030
    assert stored_row["name"] == "New name"
    assert stored_row["token_version"] == 1


def test_x_account_needs_no_token_if_the_app_has_a_bearer(engine: Engine) -> None:
    mine = {"platform": "x", "access_token": None}
    allowed = Settings(x_app_bearer=SecretStr("AAAA-app-bearer-very-secret")).without_token
    with engine.begin() as connection:
        result = import_accounts(
            connection,
            VAULT,
            [account(**mine), account(account_id="acc_2", access_token=None)],
            without_token=allowed,
        )

    assert (result.accepted, messages(result)) == (
        1,
        ["access_token is required: the account is not known yet"],
    )
    with engine.connect() as connection:
        loaded = tokens.load(connection, "acc_1", VAULT)
    assert loaded is not None
    assert (loaded.unopened, loaded.account.access_token.get_secret_value()) == (None, "")
    assert store_accounts(engine, account(**mine)).unchanged == 1
    assert Settings().without_token == frozenset()


def test_new_account_has_the_usual_kind_and_no_expiry_of_a_token_that_it_lacks(engine: Engine) -> None:
    store_accounts(
        engine,
        account(platform="linkedin", refresh_token_expires_at="2030-01-01T00:00:00Z"),
        account(
            account_id="acc_2", platform="linkedin", kind="member", platform_account_id="urn:li:person:1"
        ),
    )

    rows = stored(engine, "SELECT kind, login, refresh_token_expires_at FROM accounts ORDER BY account_id")
    assert [tuple(row.values()) for row in map(dict, rows)] == [
        ("organization", None, None),
        ("member", None, None),
    ]


def test_new_account_needs_a_token(engine: Engine) -> None:
    result = store_accounts(engine, account(access_token=""))

    assert messages(result) == ["access_token is required: the account is not known yet"]
    assert stored(engine, "SELECT * FROM accounts") == []


def test_new_token_makes_account_active_and_its_rows_due(engine: Engine) -> None:
    store_accounts(engine, account())
    store(engine, publication())
    with engine.begin() as connection:
        account_state.require_reconnect(connection, "ws_1", "acc_1", "Reconnect it.")
    assert store_accounts(engine, account()).unchanged == 1, "the refused token is no way back"
    assert states(engine)[0]["reason"] == "blocked"

    store_accounts(engine, account(access_token="EAAanother"))

    (stored_row,) = stored(engine, "SELECT * FROM accounts")
    assert (stored_row["state"], stored_row["token_version"]) == ("active", 2)
    assert (states(engine)[0]["reason"], states(engine)[0]["due"]) == ("reconnected", True)


def test_old_file_does_not_restore_expired_tokens(engine: Engine) -> None:
    old = account(refresh_token="r1", token_expires_at="2020-01-01T00:00:00Z")
    store_accounts(engine, old)
    store_accounts(engine, account(access_token="renewed", refresh_token="r2", token_expires_at="2199-12-31"))

    assert store_accounts(engine, old).unchanged == 1

    (stored_row,) = stored(engine, "SELECT * FROM accounts")
    assert VAULT.open(stored_row["sealed_refresh_token"]).get_secret_value() == "r2"


def test_known_account_changes_neither_workspace_nor_platform(engine: Engine) -> None:
    store_accounts(engine, account())

    result = store_accounts(engine, account(workspace_id="ws_2"), account(platform="x"))

    assert messages(result) == [
        "workspace_id differs: a known account does not move to another workspace",
        "platform differs: a known account does not change its platform",
    ]
    assert stored(engine, "SELECT workspace_id FROM accounts") == [{"workspace_id": "ws_1"}]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"platform": "myspace"}, "platform must be one of instagram, facebook, x, linkedin, tiktok"),
        ({"platform": None}, "platform is required"),
        ({"platform": ["x"]}, "platform must be one of instagram, facebook, x, linkedin, tiktok"),
        ({"account_id": ""}, "account_id is required"),
        ({"account_id": "a\x00b"}, "account_id may not hold control characters, nor spaces around it"),
        ({"account_id": 1.5}, "account_id must be a string: a fraction has lost digits of an id already"),
        ({"account_id": True}, "account_id must be a string"),
        ({"account_id": "a" * 256}, "account_id may have at most 255 bytes"),
        ({"login": "twitter"}, "login must be one of facebook, instagram, or null"),
        ({"kind": "member"}, "kind is for linkedin accounts only"),
        ({"platform": "x", "login": "facebook"}, "login is for instagram accounts only"),
        ({"access_token": 17}, "access_token must be a string or null"),
        ({"access_token": "a b"}, "access_token holds a character that no token has"),
        ({"scopes": [1]}, "scopes must be a list of strings"),
        ({"name": "a\x00"}, "name may not hold the NUL character"),
        ({"name": "\ud800"}, "name is not valid Unicode text"),
        (
            {"token_expires_at": 1790000000},
            "token_expires_at must be an ISO 8601 instant like 2026-06-23T10:15:30Z",
        ),
        (
            {"token_expires_at": "0001-01-01T00:00:00+14:00"},
            "token_expires_at must be an ISO 8601 instant like 2026-06-23T10:15:30Z",
        ),
        ({"refresh_tokn": "r"}, "refresh_tokn is no field of this row: did you mean refresh_token?"),
    ],
)
def test_invalid_account_is_refused_by_field_and_others_are_imported(
    engine: Engine, wrong: dict[str, object], message: str
) -> None:
    result = store_accounts(
        engine, account(account_id="acc_0"), account() | wrong, account(account_id="acc_2")
    )

    assert messages(result) == [message]
    assert result.refused[0].index == 1
    assert result.accepted == 2


@pytest.mark.parametrize("row", [None, 3, "text", [], {}])
def test_row_that_is_not_an_object_or_empty_is_refused(engine: Engine, row: object) -> None:
    assert len(store_accounts(engine, row).refused) == 1
    assert len(store(engine, row).refused) == 1


def test_unknown_fields_are_ignored(engine: Engine) -> None:
    assert store_accounts(engine, account(id=7, tags={"a": 1}, internal_notes=None)).accepted == 1


def test_refusals_contain_no_value(engine: Engine) -> None:
    shifted = dict.fromkeys(account(), TOKEN) | {"created_at": TOKEN, "post_id": TOKEN}

    said = str(store_accounts(engine, shifted)) + str(store(engine, shifted))

    assert TOKEN not in said


def test_concurrent_imports_of_a_new_account_store_it_once(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        result = list(pool.map(lambda _: store_accounts(engine, account()), range(4)))

    assert [one.refused for one in result] == [()] * 4
    assert sum(one.accepted for one in result) == 1


@pytest.mark.parametrize("name", ["token_expires_at", "refresh_token_expires_at"])
@pytest.mark.parametrize("value", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2200-01-01"])
def test_instant_at_the_end_of_the_calendar_is_refused(name: str, value: str) -> None:
    row = {
        "account_id": "acc_1",
        "workspace_id": "ws_1",
        "platform": "x",
        "platform_account_id": "1",
        "access_token": "token",
        name: value,
    }

    with pytest.raises(RowError, match=rf"{name} must lie between 1970 and 2199; null says"):
        parse_account(row)


@pytest.mark.parametrize(
    ("changed", "years"),
    [
        ({}, (2030, 2031)),
        ({"refresh_token": "pair-1"}, (2030, 2031)),
        ({"refresh_token": "pair-1", "refresh_token_expires_at": "2035-01-01T00:00:00Z"}, (2030, 2035)),
        ({"refresh_token": "pair-2"}, (2030, None)),
        ({"token_expires_at": "2034-01-01T00:00:00Z"}, (2034, 2031)),
        ({"token_expires_at": None}, (None, 2031)),
    ],
)
def test_expiry_belongs_to_its_token(
    engine: Engine, changed: dict[str, object], years: tuple[int | None, int | None]
) -> None:
    first = {"token_expires_at": "2030-01-01T00:00:00Z", "refresh_token_expires_at": "2031-01-01T00:00:00Z"}
    store_accounts(engine, account(refresh_token="pair-1", **first))

    store_accounts(engine, account(**changed))

    (row,) = stored(engine, "SELECT token_expires_at, refresh_token_expires_at FROM accounts")
    assert tuple(at.year if at else None for at in row.values()) == years


def test_import_waits_for_no_account_that_it_does_not_name(engine: Engine) -> None:
    store_accounts(engine, account(), account(account_id="acc_2"))

    with engine.begin() as other, engine.begin() as connection:
        other.exec_driver_sql("SELECT FROM accounts WHERE account_id = 'acc_2' FOR UPDATE")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        assert import_accounts(connection, VAULT, [account(name="New name")]).accepted == 1
