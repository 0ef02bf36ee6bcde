"""API keys: their shape, what is stored and listed, and permanent revocation."""

import re
from hashlib import sha256

import pytest

from shared.accounts import api_keys
from tests.harness import open_harness


def test_key_is_stored_as_hash_listed_newest_first_and_revoked_once(database_url: str) -> None:
    with open_harness(database_url) as harness, harness.engine.begin() as connection:
        made = [api_keys.create_key(connection, workspace, name) for workspace, name in
                (("ws_1", "first"), ("ws_2", None), ("ws_1", ""))]  # fmt: skip
        connection.exec_driver_sql("UPDATE api_keys SET created_at = now() - interval '1 day'"
                                   " WHERE name = 'first'")  # fmt: skip
        key_id, key = made[0]

        assert re.fullmatch(r"key_[0-9a-f]{16}", key_id)
        assert re.fullmatch(r"dra_[A-Za-z0-9_-]{43}", key)
        assert all(api_keys.looks_like_key(one) for _, one in made)
        assert api_keys.hash_key(key) == sha256(key.encode()).digest()
        stored = connection.exec_driver_sql("SELECT key_id, key_hash FROM api_keys").all()
        assert {row.key_id: bytes(row.key_hash) for row in stored} == {
            one: api_keys.hash_key(secret) for one, secret in made
        }

        everything = api_keys.list_keys(connection)
        of_one = api_keys.list_keys(connection, "ws_1")
        assert [one.key_id for one in everything] == [*sorted([made[1][0], made[2][0]]), key_id]
        assert [(one.workspace_id, one.name, one.revoked_at) for one in of_one] == [
            ("ws_1", "", None),
            ("ws_1", "first", None),
        ]
        assert api_keys.list_keys(connection, "ws_3") == []

        connection.exec_driver_sql("UPDATE api_keys SET revoked_at = now() - interval '1 day'"
                                   " WHERE name = 'first'")  # fmt: skip
        before = {one.key_id: one.revoked_at for one in api_keys.list_keys(connection)}
        assert api_keys.revoke_key(connection, key_id) is True
        assert api_keys.revoke_key(connection, made[1][0]) is True
        assert api_keys.revoke_key(connection, "key_unknown") is False
        after = {one.key_id: one.revoked_at for one in api_keys.list_keys(connection)}
        assert after[key_id] == before[key_id] is not None, "the first revocation's instant stays"
        assert after[made[1][0]] is not None
        assert after[made[2][0]] is None


@pytest.mark.parametrize(("workspace", "name"), [("", None), ("ws\0", None), ("ws_1", "n\0"), ("", "n")])
def test_key_without_workspace_or_with_nul_is_refused(
    database_url: str, workspace: str, name: str | None
) -> None:
    with open_harness(database_url) as harness, harness.engine.begin() as connection:
        with pytest.raises(ValueError, match="belongs to a workspace"):
            api_keys.create_key(connection, workspace, name)
        assert api_keys.list_keys(connection) == []


@pytest.mark.parametrize(
    ("credential", "is_one"),
    [
        ("dra_" + "a" * 32, True),
        ("dra_" + "-_Z9" * 32, True),
        ("dra_" + "a" * 31, False),
        ("dra_" + "a" * 129, False),
        ("dra_" + "a" * 32 + " ", False),
        ("dra-" + "a" * 32, False),
        ("xdra_" + "a" * 32, False),
    ],
)
def test_key_is_recognized_by_its_shape(credential: str, *, is_one: bool) -> None:
    assert api_keys.looks_like_key(credential) is is_one


def test_keys_of_one_instant_are_listed_by_their_ids(database_url: str) -> None:
    with open_harness(database_url) as harness, harness.engine.begin() as connection:
        made = [api_keys.create_key(connection, "ws_1", None)[0] for _ in range(8)]

        assert [one.key_id for one in api_keys.list_keys(connection)] == sorted(made)
