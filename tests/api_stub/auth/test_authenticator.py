"""API keys: which are accepted, and that a refusal gives no reason."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from api_stub.auth.api_keys import ApiKeys
from shared.accounts.api_keys import create_key, hash_key, list_keys, revoke_key
from tests.api_stub.support import POSTS, Api


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Basic {valid}",
        "Bearer dra_short",
        "Bearer dra_" + "A" * 43,
        "Bearer dra_" + "A" * 9_000,
        "Bearer dra_ÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer \x00",
    ],
)
def test_every_missing_or_wrong_credential_gets_the_same_answer(api: Api, header: str | None) -> None:
    given = None if header is None else header.replace("{valid}", api.rows.key()).encode()
    headers = [] if given is None else [(b"authorization", given)]
    request = api.client.build_request("GET", POSTS)
    del request.headers["authorization"]
    request.headers = type(request.headers)([*request.headers.raw, *headers])

    answer = api.run(api.client.send(request))

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json() == {
        "error": {
            "code": "unauthorized",
            "message": "A valid API key or token is required: Authorization: Bearer …",
        }
    }


def test_authorization_scheme_is_case_insensitive(api: Api) -> None:
    assert api.get(headers={"Authorization": f"bearer {api.rows.key()}"}).status_code == 200


def test_two_authorization_headers_are_refused(api: Api) -> None:
    header = ("Authorization", f"Bearer {api.rows.key()}")
    request = api.client.build_request("GET", POSTS, headers=[header, header])

    assert api.run(api.client.send(request)).status_code == 401


def test_key_reads_its_own_workspace_only(api: Api) -> None:
    api.rows.account("acc_other", workspace="ws_2")
    api.rows.publication("acc_other", post_id="theirs")
    headers = {"Authorization": f"Bearer {api.rows.key('ws_2')}"}

    assert api.posts()["total"] == 0
    assert api.posts(postId="theirs")["total"] == 0
    assert api.posts(accountId="acc_other")["total"] == 0
    assert api.get(headers=headers).json()["items"][0]["post_id"] == "theirs"


def test_revoked_key_is_refused_after_the_cache_expires(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("api_stub.auth.api_keys.time.monotonic", lambda: clock[0])
    with api.rows.engine.begin() as connection:
        key_id, key = create_key(connection, "ws_1", "doomed")
    headers = {"Authorization": f"Bearer {key}"}
    assert api.get(headers=headers).status_code == 200
    with api.rows.engine.begin() as connection:
        assert revoke_key(connection, key_id)

    clock[0] += 2.9
    assert api.get(headers=headers).status_code == 200, "it is not looked up for each request"

    clock[0] = 103.0

    assert api.get(headers=headers).status_code == 401


def test_last_use_of_keys_is_saved_by_one_statement(api: Api) -> None:
    api.get()
    api.get()
    with api.rows.engine.begin() as connection:
        assert [key.last_used_at for key in list_keys(connection)] == [None]

    api.run(api.service.keys.save_last_used())

    with api.rows.engine.begin() as connection:
        assert [key.last_used_at is None for key in list_keys(connection)] == [False]


def test_only_a_hash_of_a_key_is_stored(api: Api) -> None:
    key = api.rows.key()
    stored = api.rows.execute("SELECT * FROM api_keys")

    assert key not in repr(stored)
    assert hash_key(key) in [row.key_hash for row in stored]


def test_earlier_use_never_overwrites_a_later_one(api: Api) -> None:
    later = datetime.now(UTC) + timedelta(minutes=1)
    api.get()
    api.rows.execute("UPDATE api_keys SET last_used_at = :later", later=later)
    api.rows.key("ws_2")

    api.run(api.service.keys.save_last_used())

    with api.rows.engine.begin() as connection:
        assert {key.last_used_at for key in list_keys(connection)} == {later, None}


def test_cache_holds_the_ten_thousand_latest_keys() -> None:
    looked_up: list[Any] = []

    class OneKey:
        async def fetch(self, _: str, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
            looked_up.append(parameters["hash"])
            return [("key_1", "ws_1")]

    async def lookups(keys: ApiKeys, *names: str) -> int:
        before = len(looked_up)
        for name in names:
            await keys.find(name)
        return len(looked_up) - before

    async def check() -> None:
        keys = ApiKeys(cast("Any", OneKey()))
        assert await lookups(keys, *map(str, range(10_000))) == 10_000
        assert await lookups(keys, "0", "9999") == 0
        assert await lookups(keys, "one more") == 1
        assert await lookups(keys, "one more", "9999", "1") == 0
        assert await lookups(keys, "0") == 1, "the one found first is forgotten"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api_stub.auth.api_keys.time.monotonic", lambda: 100.0)
        asyncio.run(check())
