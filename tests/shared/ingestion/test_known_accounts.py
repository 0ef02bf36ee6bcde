"""Import of a known account: what a row changes, and what it leaves as it is stored."""

from datetime import datetime

import pytest
from sqlalchemy import Engine, text

from shared.accounts import states as account_states
from shared.erasure import requests
from shared.erasure.subject import Subject, SubjectKind
from tests.shared.ingestion.rows import VAULT, account, store_accounts, stored

FIRST = {
    "platform": "linkedin",
    "kind": "member",
    "platform_user_id": "user_1",
    "scopes": ["r_member_social"],
    "name": "Dravo",
    "refresh_token": "pair-1",
    "token_expires_at": "2030-01-01T00:00:00Z",
}


def change(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"name": "New"}, {"name": "New"}),
        ({"name": None}, {"name": None}),
        ({"scopes": []}, {"scopes": []}),
        ({"scopes": None, "kind": None, "platform_user_id": ""}, {}),
        ({"kind": "organization"}, {"kind": "organization"}),
        ({"platform_user_id": "user_2"}, {"platform_user_id": "user_2"}),
        ({"platform_account_id": "pa_2"}, {"platform_account_id": "pa_2"}),
        ({"access_token": "another"}, {"token_version": 2, "connected": True, "minted": False}),
        ({"refresh_token": "pair-2"}, {"token_version": 2}),
        ({"access_token": None, "refresh_token": None}, {}),
        ({"refresh_token": "pair-1"}, {}),
    ],
)
def test_row_changes_what_it_gives_and_a_new_token_connects_the_account(
    engine: Engine, given: dict[str, object], changed: dict[str, object]
) -> None:
    always = ("account_id", "workspace_id", "platform", "platform_account_id", "access_token")
    first = account(**FIRST)
    store_accounts(engine, first)
    change(engine, "UPDATE accounts SET connected_at = now() - interval '9 days', token_minted_at = now()")

    result = store_accounts(engine, {name: first[name] for name in always} | given)

    assert (result.accepted, result.unchanged) == ((1, 0) if changed else (0, 1))
    (row,) = stored(
        engine,
        "SELECT *, connected_at > now() - interval '1 day' AS connected,"
        " token_minted_at IS NOT NULL AS minted FROM accounts",
    )
    expected = {
        **{name: FIRST[name] for name in ("kind", "platform_user_id", "scopes", "name")},
        "platform_account_id": first["platform_account_id"],
        "token_version": 1,
        "connected": False,
        "minted": True,
        **changed,
    }
    assert {name: row[name] for name in expected} == expected
    for name in ("access_token", "refresh_token"):
        assert VAULT.open(row[f"sealed_{name}"]).get_secret_value() == (given.get(name) or first[name])


@pytest.mark.parametrize(
    ("known", "state", "given", "accepted"),
    [
        ("2030-01-01", "active", "2020-01-01", False),
        ("2030-01-01", "active", "2029-01-01", True),
        ("2021-01-01", "active", "2020-01-01", True),
        ("2030-01-01", "requires_reconnect", "2020-01-01", True),
        ("2030-01-01", "disconnected", "2020-01-01", True),
        (None, "active", "2020-01-01", True),
        ("2030-01-01", "active", None, True),
    ],
)
def test_expired_token_is_ignored_only_beside_a_valid_one_of_an_active_account(
    engine: Engine, known: str | None, state: str, given: str | None, *, accepted: bool
) -> None:
    store_accounts(engine, account(token_expires_at=known))
    change(engine, f"UPDATE accounts SET state = '{state}'")

    store_accounts(engine, account(access_token="another", token_expires_at=given))

    (row,) = stored(engine, "SELECT sealed_access_token, token_expires_at, state FROM accounts")
    assert VAULT.open(row["sealed_access_token"]).get_secret_value() == (
        "another" if accepted else account()["access_token"]
    )
    expiry = given if accepted else known
    assert row["token_expires_at"] == (datetime.fromisoformat(f"{expiry}T00:00:00Z") if expiry else None)
    assert row["state"] == "active"


def test_account_under_erasure_takes_no_token(engine: Engine) -> None:
    store_accounts(engine, account())
    with engine.begin() as connection:
        account_states.begin_erasure(connection, "ws_1", ["acc_1"], "era_1", "It is being erased.")

    result = store_accounts(engine, account(access_token="another"))

    assert [one.message for one in result.refused] == [
        "the account is being erased: send it again when that has ended"
    ]
    (row,) = stored(engine, "SELECT sealed_access_token, sealed_refresh_token, state FROM accounts")
    assert (row["sealed_access_token"], row["sealed_refresh_token"], row["state"]) == (
        None,
        None,
        "disconnected",
    )


def test_account_of_a_workspace_under_erasure_is_refused(engine: Engine) -> None:
    store_accounts(engine, account())
    with engine.begin() as connection:
        requests.request(connection, Subject(SubjectKind.WORKSPACE, "ws_1"), "command")

    result = store_accounts(
        engine, account(account_id="acc_new"), account(account_id="acc_2", workspace_id="ws_2")
    )

    assert ([one.index for one in result.refused], result.accepted) == ([0], 1)


@pytest.mark.parametrize("state", ["requires_reconnect", "disconnected"])
def test_change_without_a_new_token_connects_nothing(engine: Engine, state: str) -> None:
    store_accounts(engine, account(login="instagram"))
    change(engine, f"UPDATE accounts SET state = '{state}'")

    store_accounts(engine, account(name="New"))

    (row,) = stored(engine, "SELECT name, state, login FROM accounts")
    assert tuple(row.values()) == ("New", state, "instagram")
