"""The delta feed over HTTP: one cursor, every row once, then every change."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from shared.changes import cursor as cursors
from tests.api_stub.support import POSTS, Api, api
from tests.servers import connect

CHANGES = "/v1/analytics/changes"
CHANGE_METRICS = "UPDATE post_analytics SET metrics = '{\"views\": 7}' WHERE publication_id = "
RECONNECT = "state = 'requires_reconnect', state_reason = 'Reconnect.', name = 'Dravo'"


def page(running: Api, cursor: str | None = None, **parameters: Any) -> Any:
    answer = running.get(CHANGES, params={**({"cursor": cursor} if cursor else {}), **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()


def walk(running: Api, cursor: str | None = None, limit: int = 2) -> tuple[list[Any], str]:
    """Follow the feed until it is caught up; return the changes and the cursor."""
    changes = []
    while True:
        body = page(running, cursor, limit=limit)
        assert len(body["changes"]) <= limit
        changes += body["changes"]
        cursor = body["cursor"]
        if not body["has_more"]:
            return changes, cursor


def ids(changes: list[Any]) -> list[Any]:
    return [one.get("publication_id") or one["account"]["account_id"] for one in changes]


@contextmanager
def open_transaction(running: Api, statement: str) -> Iterator[psycopg.Connection]:
    url = running.rows.engine.url.render_as_string(hide_password=False)
    with connect(url) as connection:
        connection.execute("BEGIN")
        connection.execute(statement.encode())
        yield connection
        connection.rollback()


def test_walk_from_the_beginning_shows_every_row_once_and_then_only_what_changes(api: Api) -> None:
    rows = [str(api.rows.publication()) for _ in range(5)]

    changes, cursor = walk(api)
    assert ids(changes) == ["acc_1", *rows]
    assert walk(api, cursor)[0] == []

    api.rows.execute(f"{CHANGE_METRICS}{rows[1]}")
    newer, cursor = walk(api, cursor)
    assert ids(newer) == [rows[1]]
    assert int(newer[0]["change"]) > int(changes[-1]["change"])
    assert walk(api, cursor)[0] == []


def test_change_holds_the_item_of_the_page_of_posts(api: Api) -> None:
    api.rows.publication(text="Shipping Dravo")
    changes, _ = walk(api)

    assert changes[1]["type"] == "analytics.updated"
    assert changes[1]["item"] == api.posts()["items"][0]
    assert changes[1]["publication_id"] == changes[1]["item"]["publication_id"]
    assert set(changes[1]) == {"type", "change", "changed_at", "publication_id", "item"}


def test_reading_the_feed_makes_nothing_due(api: Api) -> None:
    row = api.rows.publication(analytics={"stale_after": "2020-01-01T00:00:00Z"}, state={"next_run_at": None})
    before = api.rows.state(row)

    walk(api)

    assert api.rows.state(row) == before


def test_deleted_publication_is_a_change_with_its_ids(api: Api) -> None:
    row = api.rows.publication(post_id="post_9", platform_post_id="17")
    _, cursor = walk(api)

    api.rows.execute("DELETE FROM publications WHERE id = :id", id=row)

    (change,), _ = walk(api, cursor)
    assert change["type"] == "analytics.deleted"
    assert change["publication_id"] == str(row)
    assert change["item"] == {
        "post_id": "post_9",
        "account_id": "acc_1",
        "platform": "instagram",
        "platform_post_id": "17",
    }


def test_account_comes_before_its_rows_of_one_transaction(api: Api) -> None:
    row = api.rows.publication()
    _, cursor = walk(api)
    with api.rows.engine.begin() as connection:
        connection.execute(text("UPDATE post_analytics SET sync_status = 'requires_reconnect'"))
        connection.execute(text(f"UPDATE accounts SET {RECONNECT}"))

    changes, _ = walk(api, cursor, limit=1)

    assert [one["type"] for one in changes] == ["account.requires_reconnect", "analytics.updated"]
    assert changes[0]["account"] == {
        "account_id": "acc_1",
        "platform": "instagram",
        "name": "Dravo",
        "state": "requires_reconnect",
        "reason": "Reconnect.",
    }
    assert changes[0]["change"] == changes[1]["change"]
    assert changes[1]["publication_id"] == str(row)


def test_token_of_an_account_is_no_change(api: Api) -> None:
    _, cursor = walk(api)

    api.rows.execute("UPDATE accounts SET sealed_access_token = 'other', name = 'other'")

    assert walk(api, cursor)[0] == []


def test_open_transaction_holds_the_feed_and_nothing_is_missed(api: Api) -> None:
    first, second = api.rows.publication(), api.rows.publication()
    _, cursor = walk(api)

    with open_transaction(api, f"{CHANGE_METRICS}{first}") as older:
        api.rows.execute(f"{CHANGE_METRICS}{second}")  # a later transaction, committed first
        visible, cursor = walk(api, cursor)
        assert visible == []
        older.commit()

    assert ids(walk(api, cursor)[0]) == [str(first), str(second)]


def test_cursor_of_the_present_shows_only_what_comes_later(api: Api) -> None:
    api.rows.publication()
    body = page(api, "now")
    assert (body["changes"], body["has_more"]) == ([], False)

    later = api.rows.publication()

    assert ids(walk(api, body["cursor"])[0]) == [str(later)]


def test_present_of_an_empty_workspace_is_its_beginning(api: Api) -> None:
    other = {"Authorization": f"Bearer {api.rows.key('ws_2')}"}
    api.rows.publication()
    cursor = api.get(f"{CHANGES}?cursor=now", headers=other).json()["cursor"]
    assert cursors.decode(cursor, "ws_2").position == cursors.BEGINNING
    api.rows.account("acc_2", "ws_2")
    row = api.rows.publication("acc_2")

    body = api.get(CHANGES, params={"cursor": cursor}, headers=other).json()

    assert ids(body["changes"]) == ["acc_2", str(row)]


def test_workspace_sees_its_own_changes_only(api: Api) -> None:
    api.rows.account("acc_2", "ws_2")
    api.rows.publication("acc_2")
    own = api.rows.publication()

    assert ids(walk(api)[0]) == ["acc_1", str(own)]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("cursor=", "cursor"),
        ("cursor=c1_", "cursor"),
        ("cursor=yesterday", "cursor"),
        ("cursor=c1_%C3%A9", "cursor"),
        ("cursor=c1_****", "cursor"),
        (f"cursor=c1_{'A' * 84}", "cursor"),
        (f"cursor=c1_{'A' * 400}", "cursor"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=1e2", "limit"),
        ("limit=", "limit"),
        ("page=2", "page"),
        ("Cursor=now", "Cursor"),
        ("cursor=now&cursor=now", "cursor"),
    ],
)
def test_bad_input_is_named(api: Api, query: str, parameter: str) -> None:
    refusal = api.refused(f"{CHANGES}?{query}")

    assert (refusal["status"], refusal["parameter"]) == (400, parameter)


def test_cursor_of_another_workspace_or_from_the_future_is_refused(api: Api) -> None:
    api.rows.publication()
    cursor = walk(api)[1]
    known = cursors.decode(cursor, "ws_1")
    ahead = cursors.Cursor(known.position._replace(changed_in=2**60), known.origin, known.at)
    other = {"Authorization": f"Bearer {api.rows.key('ws_2')}"}

    assert api.refused(CHANGES, params={"cursor": cursor}, headers=other)["status"] == 400
    refusal = api.refused(CHANGES, params={"cursor": cursors.encode(ahead, "ws_1")})
    assert (refusal["status"], refusal["parameter"]) == (400, "cursor")
    assert "future" in refusal["message"]


def test_cursor_of_another_timeline_has_expired(api: Api) -> None:
    known = cursors.decode(walk(api)[1], "ws_1")
    other = cursors.Cursor(known.position, cursors.origin_of(1, 1, 2), known.at)

    refusal = api.refused(CHANGES, params={"cursor": cursors.encode(other, "ws_1")})

    assert (refusal["status"], refusal["code"], refusal["parameter"]) == (410, "cursor_expired", "cursor")
    assert "start again without a cursor; what that walk does not show is gone" in refusal["message"]


def test_cursor_older_than_deletions_are_kept_has_expired(database_url: str) -> None:
    with api(database_url, changes_keep_days=2) as running:
        known = cursors.decode(walk(running)[1], "ws_1")
        for days, status in ((1.9, 200), (2.1, 410)):
            at = known.at - timedelta(days=days)
            old = cursors.encode(cursors.Cursor(known.position, known.origin, at), "ws_1")
            assert running.get(CHANGES, params={"cursor": old}).status_code == status


def test_cursor_is_short_and_renewed_by_an_empty_page(api: Api) -> None:
    api.rows.account("a" * 255)
    first = page(api, limit=1)["cursor"]

    assert len(first) <= cursors.MAX_LENGTH
    cursor = walk(api)[1]
    later = page(api, cursor)["cursor"]
    assert cursors.decode(later, "ws_1").at > cursors.decode(cursor, "ws_1").at


def test_publication_id_is_the_same_in_posts_and_history(api: Api) -> None:
    row = str(api.rows.publication(post_id="post_1"))

    assert api.posts()["items"][0]["publication_id"] == row
    assert api.get(f"{POSTS}/post_1/history").json()["publications"][0]["publication_id"] == row
