"""`dravo secrets rotate` and `sealing-key`: every token is sealed with the first key."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import SecretStr

from shared.accounts import reseal
from shared.accounts.vault import Vault, new_key
from shared.database import connect
from tests.deploy.commands.conftest import Dravo

SEALED = (
    "SELECT account_id, sealed_access_token, sealed_refresh_token, token_version FROM accounts ORDER BY 1"
)


@pytest.fixture
def old(fleet: Dravo, monkeypatch: pytest.MonkeyPatch, sql: Any) -> str:
    """Import under an old key; one account has a refresh token."""
    del fleet
    key = new_key()
    vault = Vault([SecretStr(key)])
    sql("UPDATE accounts SET sealed_access_token = :one", one=vault.seal(SecretStr("access")))
    sql(
        "UPDATE accounts SET sealed_refresh_token = :one WHERE account_id = 'acc_x'",
        one=vault.seal(SecretStr("refresh")),
    )
    monkeypatch.setenv("DRAVO_SECRET_KEYS", key)
    return key


def test_rotate_seals_every_token_with_the_first_key(
    fleet: Dravo, old: str, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reseal, "BATCH", 2)
    for number in reversed(range(3)):  # they lie in another order than that of their ids
        sql(
            "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret,"
            " sealed_former_secret) VALUES (:id, 'ws_1', '', '', :secret, :secret)",
            id=f"whe_{number}",
            secret=Vault([SecretStr(old)]).seal(SecretStr("whsec_x")),
        )
    sql("ANALYZE webhook_endpoints")  # a small table is read as it lies, without an index
    new = new_key()
    monkeypatch.setenv("DRAVO_SECRET_KEYS", f"{new},{old}")

    first = fleet("secrets", "rotate", "--json")
    endpoints = sql("SELECT sealed_secret, sealed_former_secret FROM webhook_endpoints")
    second = fleet("secrets", "rotate", "--json")

    assert (first.code, second.code) == (0, 0)
    assert first.json == {
        "accounts": 5,
        "resealed": 5,
        "unchanged": 0,
        "unopened": 0,
        "unopened_accounts": [],
        "unopened_endpoints": [],
    }
    assert (second.json["resealed"], second.json["unchanged"]) == (0, 5), "a second run changes nothing"
    vault = Vault([SecretStr(new)])
    for row in sql(SEALED):
        assert vault.open(row.sealed_access_token).get_secret_value() == "access"
        assert row.token_version == 1, "the token itself is the same"
    (x,) = [row for row in sql(SEALED) if row.account_id == "acc_x"]
    assert vault.open(x.sealed_refresh_token).get_secret_value() == "refresh"
    for row in endpoints:
        assert [vault.open(one).get_secret_value() for one in row] == ["whsec_x", "whsec_x"]


def test_token_that_no_key_opens_is_reported_and_unchanged(
    fleet: Dravo, old: str, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Vault([SecretStr(new_key())]).seal(SecretStr("lost"))
    sql("UPDATE accounts SET sealed_access_token = :lost WHERE account_id = 'acc_facebook'", lost=lost)
    monkeypatch.setenv("DRAVO_SECRET_KEYS", f"{new_key()},{old}")

    result = fleet("secrets", "rotate", "--json")

    assert result.code == 1
    assert (result.json["resealed"], result.json["unopened_accounts"]) == (4, ["acc_facebook"])
    assert "acc_facebook" in result.err
    assert result.err.count("\n") == 1
    assert "lost" not in result.out + result.err
    assert [row.sealed_access_token for row in sql(SEALED) if row.account_id == "acc_facebook"] == [lost]


def test_account_whose_tokens_are_being_renewed_is_rotated_last(
    old: str, sql: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = new_key()
    monkeypatch.setenv("DRAVO_SECRET_KEYS", f"{new},{old}")
    engine = connect(database_url, application="tests")
    vault = Vault([SecretStr(new), SecretStr(old)])
    with ThreadPoolExecutor(1) as other:
        with engine.begin() as renewal:
            renewal.exec_driver_sql("SELECT FROM accounts WHERE account_id = 'acc_x' FOR NO KEY UPDATE")
            progress = reseal.reseal(engine, vault)
            assert next(progress).resealed == 4
            rest = other.submit(list, progress)
        assert rest.result(20)[-1].resealed == 5
    engine.dispose()

    retired = Vault([SecretStr(new)])
    assert all(retired.open(row.sealed_access_token) for row in sql(SEALED))


def test_rotate_without_keys_names_the_setting(fleet: Dravo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRAVO_SECRET_KEYS")

    result = fleet("secrets", "rotate")

    assert result.code == 1
    assert "DRAVO_SECRET_KEYS" in result.err


def test_sealing_key_is_the_public_half_of_the_first_secret_key(
    dravo: Dravo, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [new_key(), new_key()]
    monkeypatch.setenv("DRAVO_SECRET_KEYS", ",".join(keys))

    plain, as_json = dravo("secrets", "sealing-key"), dravo("secrets", "sealing-key", "--json")

    assert plain.out.strip() == as_json.json["sealing_key"] == Vault([SecretStr(keys[0])]).sealing_key
    monkeypatch.setenv("DRAVO_SEALING_KEY", keys[0])
    wrong = dravo("secrets", "sealing-key")
    assert (wrong.code, keys[0] in wrong.err) == (1, False)
    assert "DRAVO_SEALING_KEY: is no sealing key" in wrong.err
