"""The intake: what is taken, what is refused and why, and that the same rows again change nothing."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from shared import account_state, due
from shared.database import connect
from shared.intake import Taken, take_accounts, take_publications
from shared.vault import Vault, new_key
from tests import servers

VAULT = Vault([SecretStr(new_key())])
TOKEN = "EAAsecrettoken0123456789"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = connect(database_url, application="tests", pool_size=4)
    yield opened
    opened.dispose()


def account(**fields: object) -> dict[str, object]:
    row: dict[str, object] = {
        "account_id": "acc_1",
        "workspace_id": "ws_1",
        "platform": "instagram",
        "platform_account_id": "17841400000000000",
        "access_token": TOKEN,
    }
    return row | fields


def publication(**fields: object) -> dict[str, object]:
    row: dict[str, object] = {
        "post_id": "post_1",
        "account_id": "acc_1",
        "platform_post_id": "18000000000000000",
        "created_at": "2026-06-23T10:15:30Z",
    }
    return row | fields


def give_accounts(engine: Engine, *rows: object) -> Taken:
    with engine.begin() as connection:
        return take_accounts(connection, VAULT, rows)


def give(engine: Engine, *rows: object, priority: int = 0) -> Taken:
    with engine.begin() as connection:
        return take_publications(connection, rows, priority=priority)


def stored(engine: Engine, statement: str) -> list[Mapping[str, Any]]:
    with engine.begin() as connection:
        return [dict(row) for row in connection.execute(text(statement)).mappings()]


def states(engine: Engine) -> list[Mapping[str, Any]]:
    return stored(
        engine,
        "SELECT p.*, r.*, pa.sync_status, pa.error_message, r.next_run_at <= now() AS due FROM publications p"
        " JOIN refresh_state r ON r.publication_id = p.id"
        " JOIN post_analytics pa ON pa.publication_id = p.id ORDER BY p.id",
    )


def messages(taken: Taken) -> list[str]:
    return [refusal.message for refusal in taken.refused]


def test_an_account_is_stored_sealed_and_the_same_row_again_changes_nothing(engine: Engine) -> None:
    row = account(scopes=["instagram_basic"], token_expires_at="2026-12-01T00:00:00+02:00", name="Dravo")

    assert (give_accounts(engine, row).accepted, give_accounts(engine, row).unchanged) == (1, 1)

    (found,) = stored(engine, "SELECT * FROM accounts")
    assert TOKEN not in str(dict(found))
    assert VAULT.open(found["sealed_access_token"]).get_secret_value() == TOKEN
    assert found["login"] == "facebook"
    assert found["kind"] is None
    assert found["scopes"] == ["instagram_basic"]
    assert found["token_expires_at"].isoformat() == "2026-11-30T22:00:00+00:00"
    assert found["token_version"] == 1
    assert found["token_minted_at"] is not None


@pytest.mark.parametrize("missing", [{"access_token": ""}, {"access_token": None}])
def test_an_empty_token_keeps_the_stored_one_with_its_expiry(
    engine: Engine, missing: dict[str, object]
) -> None:
    give_accounts(engine, account(token_expires_at="2030-01-01T00:00:00Z"))

    taken = give_accounts(engine, account(token_expires_at=None, name="New name") | missing)

    assert taken.accepted == 1
    (found,) = stored(engine, "SELECT * FROM accounts")
    assert VAULT.open(found["sealed_access_token"]).get_secret_value() == TOKEN
    assert found["token_expires_at"].year == 2030
    assert found["name"] == "New name"
    assert found["token_version"] == 1


def test_a_new_account_needs_a_token(engine: Engine) -> None:
    taken = give_accounts(engine, account(access_token=""))

    assert messages(taken) == ["access_token is required: the account is not known yet"]
    assert stored(engine, "SELECT * FROM accounts") == []


def test_a_new_token_brings_an_account_and_its_rows_back(engine: Engine) -> None:
    give_accounts(engine, account())
    give(engine, publication())
    with engine.begin() as connection:
        account_state.require_reconnect(connection, "ws_1", "acc_1", "Reconnect it.")
    assert give_accounts(engine, account()).unchanged == 1, "the refused token is no way back"
    assert states(engine)[0]["reason"] == "blocked"

    give_accounts(engine, account(access_token="EAAanother"))

    (found,) = stored(engine, "SELECT * FROM accounts")
    assert (found["state"], found["token_version"]) == ("active", 2)
    assert (states(engine)[0]["reason"], states(engine)[0]["due"]) == ("reconnected", True)


def test_an_old_file_does_not_bring_back_a_pair_that_was_renewed_since(engine: Engine) -> None:
    old = account(refresh_token="r1", token_expires_at="2020-01-01T00:00:00Z")
    give_accounts(engine, old)
    give_accounts(engine, account(access_token="renewed", refresh_token="r2", token_expires_at="2999-01-01"))

    assert give_accounts(engine, old).unchanged == 1

    (found,) = stored(engine, "SELECT * FROM accounts")
    assert VAULT.open(found["sealed_refresh_token"]).get_secret_value() == "r2"


def test_a_known_account_moves_neither_workspace_nor_platform(engine: Engine) -> None:
    give_accounts(engine, account())

    taken = give_accounts(engine, account(workspace_id="ws_2"), account(platform="x"))

    assert messages(taken) == [
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
def test_a_wrong_account_is_named_by_field_and_its_siblings_are_taken(
    engine: Engine, wrong: dict[str, object], message: str
) -> None:
    taken = give_accounts(engine, account(account_id="acc_0"), account() | wrong, account(account_id="acc_2"))

    assert messages(taken) == [message]
    assert taken.refused[0].index == 1
    assert taken.accepted == 2


@pytest.mark.parametrize("row", [None, 3, "text", [], {}])
def test_a_row_that_is_no_object_or_empty_is_refused(engine: Engine, row: object) -> None:
    assert len(give_accounts(engine, row).refused) == 1
    assert len(give(engine, row).refused) == 1


def test_richer_dumps_are_welcome(engine: Engine) -> None:
    assert give_accounts(engine, account(id=7, tags={"a": 1}, internal_notes=None)).accepted == 1


def test_no_message_repeats_a_value(engine: Engine) -> None:
    shifted = dict.fromkeys(account(), TOKEN) | {"created_at": TOKEN, "post_id": TOKEN}

    said = str(give_accounts(engine, shifted)) + str(give(engine, shifted))

    assert TOKEN not in said


def test_a_new_publication_is_pending_and_due(engine: Engine) -> None:
    give_accounts(engine, account())

    taken = give(engine, publication(platform_post_id=18000000000000000001, text="Shipping \U0001f6a2"))

    (row,) = states(engine)
    assert taken.new_ids == (row["id"],)
    assert row["platform_post_id"] == "18000000000000000001"
    assert (row["workspace_id"], row["platform"]) == ("ws_1", "instagram")
    assert (row["sync_status"], row["reason"], row["due"], row["priority"]) == ("pending", "new", True, 0)


def test_events_go_the_fast_lane(engine: Engine) -> None:
    give_accounts(engine, account())

    give(engine, publication(), priority=1)

    assert states(engine)[0]["priority"] == 1


def test_the_scheduler_is_woken_once_a_chunk_and_only_when_something_is_due(
    engine: Engine, database_url: str
) -> None:
    give_accounts(engine, account())
    with servers.connect(database_url) as listening:
        listening.execute(f"LISTEN {due.DUE_CHANNEL}")
        rows = [publication(post_id=f"post_{n}", platform_post_id=f"pp_{n}") for n in range(50)]
        give(engine, *rows)
        give(engine, *rows)

        assert len(_notifications(listening)) == 1


def _notifications(connection: psycopg.Connection) -> list[psycopg.Notify]:
    connection.execute("NOTIFY dravo_due, 'end of test'")
    found = []
    for notification in connection.notifies(timeout=5):
        if notification.payload == "end of test":
            break
        found.append(notification)
    return found


def test_the_same_publications_again_change_nothing_and_a_changed_one_is_not_due_again(
    engine: Engine,
) -> None:
    give_accounts(engine, account())
    give(engine, publication())
    stored(
        engine,
        "UPDATE refresh_state SET next_run_at = now() + interval '1 hour', reason = 'stale' RETURNING 1",
    )

    assert give(engine, publication()).unchanged == 1
    assert give(engine, publication(text="Edited", post_id="post_renamed")).accepted == 1

    (row,) = states(engine)
    assert (row["text"], row["post_id"]) == ("Edited", "post_renamed")
    assert (row["due"], row["reason"]) == (False, "stale")


def test_an_absent_field_keeps_what_is_stored_and_null_clears_it(engine: Engine) -> None:
    give_accounts(engine, account())
    give(engine, publication(text="Kept", media_type="REELS"))

    give(engine, publication(media_type=None))

    assert (states(engine)[0]["text"], states(engine)[0]["media_type"]) == ("Kept", None)


def test_the_last_row_of_a_publication_in_a_chunk_wins(engine: Engine) -> None:
    give_accounts(engine, account())

    taken = give(engine, publication(text="first"), publication(text="last"))

    assert (taken.accepted, len(taken.new_ids)) == (2, 1)
    assert [row["text"] for row in states(engine)] == ["last"]


def test_the_id_that_arrives_later_belongs_to_the_publication_that_waits_for_it(engine: Engine) -> None:
    give_accounts(engine, account())
    early = publication(platform_post_id=None)
    give(engine, early)
    assert (states(engine)[0]["reason"], states(engine)[0]["next_run_at"]) == ("stopped", None)

    assert give(engine, publication()).accepted == 1

    (row,) = states(engine)
    assert (row["platform_post_id"], row["reason"], row["due"]) == ("18000000000000000", "new", True)
    assert give(engine, early).unchanged == 1, "the older file changes nothing"


def test_a_tiktok_publication_is_found_by_its_publish_id(engine: Engine) -> None:
    give_accounts(engine, account(platform="tiktok"))
    give(engine, publication(platform_post_id=None, publish_id="v_pub_file~v2.1"))
    (row,) = states(engine)
    assert (row["sync_status"], row["reason"], row["due"]) == ("pending", "new", True)

    give(engine, publication(post_id="post_other", platform_post_id="7560", publish_id="v_pub_file~v2.1"))

    assert [row["platform_post_id"] for row in states(engine)] == ["7560"]


def test_contradicting_ids_are_refused(engine: Engine) -> None:
    give_accounts(engine, account(platform="tiktok"))
    give(
        engine,
        publication(post_id="post_a", platform_post_id="71", publish_id="v1"),
        publication(post_id="post_b", platform_post_id="72", publish_id="v2"),
    )

    taken = give(
        engine,
        publication(post_id="post_a", platform_post_id="71", publish_id="v2"),
        publication(post_id="post_a", platform_post_id="73", publish_id="v1"),
    )

    assert messages(taken) == [
        "platform_post_id and publish_id belong to two different publications",
        "publish_id is known under another platform_post_id",
    ]


def test_a_post_may_have_several_publications_on_one_account(engine: Engine) -> None:
    give_accounts(engine, account())

    give(engine, publication(), publication(platform_post_id="18000000000000001"))

    assert len(states(engine)) == 2


def test_publications_of_an_account_that_may_not_be_read_wait_for_it(engine: Engine) -> None:
    give_accounts(engine, account())
    with engine.begin() as connection:
        account_state.require_reconnect(connection, "ws_1", "acc_1", "Reconnect it.")

    give(engine, publication())

    (row,) = states(engine)
    assert (row["sync_status"], row["error_message"]) == ("requires_reconnect", "Reconnect it.")
    assert (row["reason"], row["next_run_at"]) == ("blocked", None)


def test_an_id_that_comes_for_a_blocked_row_of_an_account_that_is_back_makes_it_due(engine: Engine) -> None:
    give_accounts(engine, account())
    give(engine, publication(platform_post_id=None))
    with engine.begin() as connection:
        account_state.require_reconnect(connection, "ws_1", "acc_1", "Reconnect it.")
        account_state.reconnect(connection, "ws_1", "acc_1")

    give(engine, publication())

    assert (states(engine)[0]["reason"], states(engine)[0]["due"]) == ("new", True)


def test_a_row_that_a_worker_has_stays_with_it(engine: Engine) -> None:
    give_accounts(engine, account(platform="tiktok"))
    give(engine, publication(platform_post_id=None, publish_id="v1"))
    stored(
        engine,
        "UPDATE refresh_state SET claimed_at = now(), claim_seq = 1, reason = 'claimed',"
        " next_run_at = now() + interval '1 minute' RETURNING 1",
    )

    give(engine, publication(platform_post_id="71", publish_id="v1"))

    (row,) = states(engine)
    assert (row["reason"], row["due"], row["claim_seq"]) == ("claimed", False, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"account_id": "acc_?"}, "account_id is not known: import its account first"),
        (
            {"workspace_id": "ws_2"},
            "workspace_id is not that of the account: a publication belongs to its account's",
        ),
        ({"platform": "x"}, "platform is not that of the account"),
        ({"publish_id": "v_pub"}, "publish_id is for tiktok publications only"),
        ({"post_id": None}, "post_id is required"),
        ({"created_at": None}, "created_at is required"),
        ({"created_at": "yesterday"}, "created_at must be an ISO 8601 instant like 2026-06-23T10:15:30Z"),
        (
            {"media_type": "GIF"},
            "media_type must be one of IMAGE, VIDEO, REELS, CAROUSEL_ALBUM, STORY, or null",
        ),
        (
            {"platform_post_url": "javascript:alert(1)"},
            "platform_post_url must be an http:// or https:// address, or null",
        ),
        ({"platform_post_id": "1" * 513}, "platform_post_id may have at most 512 bytes"),
    ],
)
def test_a_wrong_publication_is_named_by_field_and_its_siblings_are_taken(
    engine: Engine, wrong: dict[str, object], message: str
) -> None:
    give_accounts(engine, account())

    taken = give(engine, publication() | wrong, publication(post_id="post_2", platform_post_id="2"))

    assert messages(taken) == [message]
    assert taken.accepted == 1


def test_a_post_does_not_move_to_another_workspace(engine: Engine) -> None:
    give_accounts(engine, account(), account(account_id="acc_2", workspace_id="ws_2"))
    give(engine, publication())

    taken = give(engine, publication(account_id="acc_2"))

    assert messages(taken) == [
        "post_id is known in another workspace: a post does not move between workspaces"
    ]
    assert len(states(engine)) == 1


def test_two_intakes_of_the_same_rows_at_once_store_each_publication_once(engine: Engine) -> None:
    give_accounts(engine, account())
    rows = [publication(post_id=f"post_{n}", platform_post_id=f"pp_{n}") for n in range(200)]
    waiting = [publication(post_id=f"waiting_{n}", platform_post_id=None) for n in range(50)]

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: give(engine, *rows, *waiting), range(4)))

    assert len(states(engine)) == 250
    assert sum(one.accepted for one in taken) == 250


def test_two_intakes_of_a_new_account_at_once_store_it_once(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: give_accounts(engine, account()), range(4)))

    assert [one.refused for one in taken] == [()] * 4
    assert sum(one.accepted for one in taken) == 1
