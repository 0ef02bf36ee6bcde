"""Import of publications: matching by ids, new and changed rows, refusals."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Engine

from shared.accounts import states as account_state
from shared.refresh_state import notifications
from tests import servers
from tests.shared.ingestion.rows import account, messages, publication, states, store, store_accounts, stored


def test_new_publication_is_pending_and_due(engine: Engine) -> None:
    store_accounts(engine, account())

    result = store(engine, publication(platform_post_id=18000000000000000001, text="Shipping \U0001f6a2"))

    (row,) = states(engine)
    assert result.new_ids == (row["id"],)
    assert row["platform_post_id"] == "18000000000000000001"
    assert (row["workspace_id"], row["platform"]) == ("ws_1", "instagram")
    assert (row["sync_status"], row["reason"], row["due"], row["priority"]) == ("pending", "new", True, 0)


def test_events_use_the_interactive_lane(engine: Engine) -> None:
    store_accounts(engine, account())

    store(engine, publication(), priority=1)

    assert states(engine)[0]["priority"] == 1


def test_scheduler_is_notified_once_per_chunk_if_a_row_is_due(engine: Engine, database_url: str) -> None:
    store_accounts(engine, account())
    with servers.connect(database_url) as listening:
        listening.execute(f"LISTEN {notifications.DUE_CHANNEL}")
        rows = [publication(post_id=f"post_{n}", platform_post_id=f"pp_{n}") for n in range(50)]
        store(engine, *rows)
        store(engine, *rows)

        assert len(_notifications(listening)) == 1


@pytest.mark.parametrize(("state", "notified"), [("active", 1), ("disconnected", 0)])
def test_scheduler_is_notified_of_a_late_id_if_its_row_is_due(
    engine: Engine, database_url: str, state: str, notified: int
) -> None:
    store_accounts(engine, account())
    store(engine, publication(platform_post_id=None))
    stored(engine, f"UPDATE accounts SET state = '{state}' RETURNING 1")
    with servers.connect(database_url) as listening:
        listening.execute(f"LISTEN {notifications.DUE_CHANNEL}")
        store(engine, publication())

        assert len(_notifications(listening)) == notified


def _notifications(connection: psycopg.Connection) -> list[psycopg.Notify]:
    connection.execute("NOTIFY dravo_due, 'end of test'")
    notifications = []
    for notification in connection.notifies(timeout=30):
        if notification.payload == "end of test":
            break
        notifications.append(notification)
    return notifications


def test_importing_again_changes_nothing_and_a_changed_publication_is_not_due(
    engine: Engine,
) -> None:
    store_accounts(engine, account())
    store(engine, publication())
    stored(
        engine,
        "UPDATE refresh_state SET next_run_at = now() + interval '1 hour', reason = 'stale' RETURNING 1",
    )

    assert store(engine, publication()).unchanged == 1
    assert store(engine, publication(text="Edited", post_id="post_renamed")).accepted == 1

    (row,) = states(engine)
    assert (row["text"], row["post_id"]) == ("Edited", "post_renamed")
    assert (row["due"], row["reason"]) == (False, "stale")


def test_absent_field_keeps_the_stored_value_and_null_clears_it(engine: Engine) -> None:
    store_accounts(engine, account())
    store(engine, publication(text="Kept", media_type="REELS"))

    store(engine, publication(media_type=None))

    assert (states(engine)[0]["text"], states(engine)[0]["media_type"]) == ("Kept", None)


def test_last_row_of_a_publication_in_a_chunk_wins(engine: Engine) -> None:
    store_accounts(engine, account())

    result = store(engine, publication(text="first"), publication(text="last"))

    assert (result.accepted, len(result.new_ids)) == (2, 1)
    assert [row["text"] for row in states(engine)] == ["last"]


def test_tiktok_publication_is_matched_by_publish_id(engine: Engine) -> None:
    store_accounts(engine, account(platform="tiktok"))
    store(engine, publication(platform_post_id=None, publish_id="v_pub_file~v2.1"))
    (row,) = states(engine)
    assert (row["sync_status"], row["reason"], row["due"]) == ("pending", "new", True)

    store(engine, publication(post_id="post_other", platform_post_id="7560", publish_id="v_pub_file~v2.1"))

    assert [row["platform_post_id"] for row in states(engine)] == ["7560"]


def test_contradicting_ids_are_refused(engine: Engine) -> None:
    store_accounts(engine, account(platform="tiktok"))
    store(
        engine,
        publication(post_id="post_a", platform_post_id="71", publish_id="v1"),
        publication(post_id="post_b", platform_post_id="72", publish_id="v2"),
    )

    result = store(
        engine,
        publication(post_id="post_a", platform_post_id="71", publish_id="v2"),
        publication(post_id="post_a", platform_post_id="73", publish_id="v1"),
    )

    assert messages(result) == [
        "platform_post_id and publish_id belong to two different publications",
        "publish_id is known under another platform_post_id",
    ]


def test_post_may_have_several_publications_on_one_account(engine: Engine) -> None:
    store_accounts(engine, account())

    store(engine, publication(), publication(platform_post_id="18000000000000001"))

    assert len(states(engine)) == 2


def test_publications_of_an_inactive_account_are_blocked(engine: Engine) -> None:
    store_accounts(engine, account())
    with engine.begin() as connection:
        account_state.require_reconnect(connection, "ws_1", "acc_1", "Reconnect it.")

    store(engine, publication())

    (row,) = states(engine)
    assert (row["sync_status"], row["error_message"]) == ("requires_reconnect", "Reconnect it.")
    assert (row["reason"], row["next_run_at"]) == ("blocked", None)


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
def test_invalid_publication_is_refused_by_field_and_others_are_imported(
    engine: Engine, wrong: dict[str, object], message: str
) -> None:
    store_accounts(engine, account())

    result = store(engine, publication() | wrong, publication(post_id="post_2", platform_post_id="2"))

    assert messages(result) == [message]
    assert result.accepted == 1


def test_post_does_not_move_to_another_workspace(engine: Engine) -> None:
    store_accounts(engine, account(), account(account_id="acc_2", workspace_id="ws_2"))
    store(engine, publication())

    result = store(engine, publication(account_id="acc_2"))

    assert messages(result) == [
        "post_id is known in another workspace: a post does not move between workspaces"
    ]
    assert len(states(engine)) == 1


def test_concurrent_imports_store_each_publication_once(engine: Engine) -> None:
    store_accounts(engine, account())
    rows = [publication(post_id=f"post_{n}", platform_post_id=f"pp_{n}") for n in range(200)]
    waiting = [publication(post_id=f"waiting_{n}", platform_post_id=None) for n in range(50)]

    with ThreadPoolExecutor(4) as pool:
        result = list(pool.map(lambda _: store(engine, *rows, *waiting), range(4)))

    assert len(states(engine)) == 250
    assert sum(one.accepted for one in result) == 250


def test_rows_of_an_inactive_account_without_reason_have_an_error_message(engine: Engine) -> None:
    store_accounts(engine, account())
    stored(engine, "UPDATE accounts SET state = 'disconnected', state_reason = NULL RETURNING 1")

    store(engine, publication())

    (row,) = states(engine)
    assert row["error_message"] == "The account must be connected again before its posts can be refreshed."


def test_row_without_ids_matches_the_newest_publication_of_its_post(engine: Engine) -> None:
    store_accounts(engine, account(platform="tiktok"))
    for number in (1, 2):
        store(engine, publication(platform_post_id=f"pp_{number}"))

    store(engine, publication(platform_post_id=None, text="older file"))

    assert [row["text"] for row in states(engine)] == [None, "older file"]


def test_two_publish_ids_of_one_post_are_two_publications(engine: Engine) -> None:
    store_accounts(engine, account(platform="tiktok"))
    store(engine, publication(platform_post_id=None, publish_id="v1"))
    store(engine, publication(platform_post_id=None, publish_id="v2"))
    store(engine, publication(platform_post_id="pp_1"))

    assert [(row["publish_id"], row["platform_post_id"]) for row in states(engine)] == [
        ("v1", "pp_1"),
        ("v2", None),
    ]
