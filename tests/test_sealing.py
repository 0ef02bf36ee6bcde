"""The API seals tokens that arrive by events; workers open them; the API cannot."""

import json
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from shared.accounts import reseal
from shared.accounts.vault import SealingKey, Vault, new_key
from tests.api_stub import support
from tests.api_stub.support import Api
from worker.credentials import tokens

EVENTS_TOKEN = "t" * 43
OLD, NEW = new_key(), new_key()


@pytest.fixture
def api(database_url: str) -> Iterator[Api]:
    """Give a service that has a sealing key and no secret key."""
    with support.api(
        database_url, internal_token=EVENTS_TOKEN, sealing_key=Vault([SecretStr(OLD)]).sealing_key
    ) as running:
        yield running


def connect(api: Api, event_id: str = "evt_1", kind: str = "account.connected", **data: str) -> None:
    account = {"account_id": "acc_new", "workspace_id": "ws_1", "platform": "x", "platform_account_id": "42"}
    body = {
        "event_id": event_id,
        "type": kind,
        "data": {**account, "access_token": "access", "refresh_token": "refresh", **data},
    }
    answer = api.run(
        api.client.post(
            "/internal/events",
            headers={"Authorization": f"Bearer {EVENTS_TOKEN}"},
            content=json.dumps(body).encode(),
        )
    )
    assert answer.json() == {"accepted": 1, "duplicates": 0, "errors": []}, answer.text


def load(api: Api, *keys: str) -> tokens.StoredAccount:
    with api.rows.engine.begin() as connection:
        stored = tokens.load(connection, "acc_new", Vault([SecretStr(key) for key in keys]))
    assert stored is not None
    return stored


def test_worker_opens_the_tokens_that_the_api_sealed_without_a_secret_key(api: Api) -> None:
    connect(api)

    stored = load(api, NEW, OLD)

    assert stored.account.access_token == SecretStr("access")
    assert "refresh" not in api.rows.execute("SELECT sealed_refresh_token FROM accounts")[-1][0]
    assert load(api, NEW).unopened


def test_reconnection_stores_the_token_of_the_event(api: Api) -> None:
    connect(api)
    connect(api, "evt_2", "account.reconnected", access_token="second")

    assert load(api, OLD).account.access_token == SecretStr("second")


def test_sealing_key_seals_even_if_the_api_is_given_secret_keys_too(database_url: str) -> None:
    with support.api(
        database_url,
        internal_token=EVENTS_TOKEN,
        secret_keys=OLD,
        sealing_key=Vault([SecretStr(OLD)]).sealing_key,
    ) as api:
        connect(api)
        (row,) = api.rows.execute("SELECT sealed_access_token FROM accounts WHERE account_id = 'acc_new'")

    assert row.sealed_access_token.startswith("sealed1.")
    assert not hasattr(SealingKey, "open")


def test_rotation_lets_the_secret_key_of_an_old_sealing_key_be_retired(api: Api) -> None:
    connect(api)

    *_, done = reseal.reseal(api.rows.engine, Vault([SecretStr(NEW), SecretStr(OLD)]))

    assert (done.resealed, done.unopened) == (1, [])
    assert load(api, NEW).account.access_token == SecretStr("access")
