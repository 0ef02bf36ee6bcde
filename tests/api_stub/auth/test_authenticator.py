"""API keys: who gets in, and that nothing tells why not."""

import pytest

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
        "Bearer dra_short",
        "Bearer dra_" + "A" * 43,
        "Bearer dra_" + "A" * 9_000,
        "Bearer dra_ÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer \x00",
    ],
)
def test_every_missing_or_wrong_credential_gets_the_same_answer(api: Api, header: str | None) -> None:
    headers = [] if header is None else [(b"authorization", header.encode())]
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


def test_the_scheme_is_read_in_any_case(api: Api) -> None:
    assert api.get(headers={"Authorization": f"bearer {api.rows.key()}"}).status_code == 200


def test_two_credentials_at_once_are_none(api: Api) -> None:
    header = ("Authorization", f"Bearer {api.rows.key()}")
    request = api.client.build_request("GET", POSTS, headers=[header, header])

    assert api.run(api.client.send(request)).status_code == 401


def test_a_key_opens_its_own_workspace_only(api: Api) -> None:
    api.rows.account("acc_other", workspace="ws_2")
    api.rows.publication("acc_other", post_id="theirs")
    headers = {"Authorization": f"Bearer {api.rows.key('ws_2')}"}

    assert api.posts()["total"] == 0
    assert api.posts(postId="theirs")["total"] == 0
    assert api.posts(accountId="acc_other")["total"] == 0
    assert api.get(headers=headers).json()["items"][0]["post_id"] == "theirs"


def test_a_revoked_key_is_refused_once_it_is_looked_up_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("api_stub.auth.api_keys.time.monotonic", lambda: clock[0])
    with api.rows.engine.begin() as connection:
        key_id, key = create_key(connection, "ws_1", "doomed")
    headers = {"Authorization": f"Bearer {key}"}
    assert api.get(headers=headers).status_code == 200
    with api.rows.engine.begin() as connection:
        assert revoke_key(connection, key_id)

    clock[0] += 4.9

    assert api.get(headers=headers).status_code == 401


def test_the_last_use_is_noted_by_one_statement_and_not_by_each_request(api: Api) -> None:
    api.get()
    api.get()
    with api.rows.engine.begin() as connection:
        assert [key.last_used_at for key in list_keys(connection)] == [None]

    api.run(api.service.keys.note_use())

    with api.rows.engine.begin() as connection:
        assert [key.last_used_at is None for key in list_keys(connection)] == [False]


def test_only_a_hash_of_a_key_is_stored(api: Api) -> None:
    key = api.rows.key()
    stored = api.rows.execute("SELECT * FROM api_keys")

    assert key not in repr(stored)
    assert hash_key(key) in [row.key_hash for row in stored]
