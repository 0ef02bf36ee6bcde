"""Events: processed once and in order, committed before the response; invalid ones are reported."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from tests.api_stub.events.sent import CONNECTED, PUBLISHED, accepted, event, send
from tests.api_stub.support import CREATED_AT, Api


def test_published_publication_is_served_and_due_at_once(api: Api) -> None:
    answer = send(api, event("evt_1", "publication.published", PUBLISHED))

    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "duplicates": 0, "errors": []})
    item = api.posts()["items"][0]
    assert (item["post_id"], item["sync_status"], item["metrics"]) == ("post_2a7f93", "pending", {})
    state = api.rows.execute("SELECT * FROM refresh_state")[0]
    assert (state.reason, state.priority) == ("new", 1)
    assert state.next_run_at <= datetime.now(UTC)


def test_same_event_again_changes_nothing(api: Api) -> None:
    published = event("evt_1", "publication.published", PUBLISHED)
    other = event(
        "evt_1", "publication.published", {**PUBLISHED, "post_id": "other", "platform_post_id": "7"}
    )
    deleted = event("evt_2", "publication.deleted", {"post_id": "post_2a7f93"})
    assert accepted(api, published, other, deleted) == {"accepted": 2, "duplicates": 1, "errors": []}

    assert accepted(api, published) == {"accepted": 0, "duplicates": 1, "errors": []}
    assert api.posts()["total"] == 0


def test_invalid_events_are_reported_and_valid_ones_committed(api: Api) -> None:
    batch = [
        event("evt_1", "publication.published", PUBLISHED),
        event("evt_2", "publication.published", {**PUBLISHED, "account_id": "acc_nobody"}),
        event("evt_3", "publication.invented", PUBLISHED),
        "no event",
        {"type": "publication.published", "data": PUBLISHED},
        event("evt_6", "publication.published", []),
        event("evt_7", "account.disconnected", {"account_id": ["acc_1"]}),
        event("evt_8", "publication.deleted", {"post_id": 5}),
        event("evt_\x00", "publication.deleted", {"post_id": "p"}),
        event("evt_\ud800", "publication.deleted", {"post_id": "p"}),
        event("evt_11", "account.connected", {**CONNECTED, "account_id": {}}),
        event("evt_12", "publication.deleted", {"account_id": "acc_1"}),
    ]
    before = counted("taken"), counted("refused")

    answer = send(api, batch)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "events_refused"
    assert (answer.json()["accepted"], answer.json()["duplicates"]) == (1, 0)
    assert [error["index"] for error in answer.json()["errors"]] == list(range(1, 12))
    assert answer.json()["errors"][0]["event_id"] == "evt_2"
    assert "account_id" in answer.json()["errors"][0]["message"]
    assert api.posts()["total"] == 1
    assert (counted("taken"), counted("refused")) == (before[0] + 1, before[1] + 1)


def counted(result: str) -> float:
    labels = {"type": "publication.published", "result": result}
    return REGISTRY.get_sample_value("dravo_api_events_total", labels) or 0.0


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        ("publication.published", PUBLISHED),
        ("publication.deleted", {"post_id": "p", "account_id": "acc_1", "workspace_id": "ws_1"}),
        ("account.connected", {**CONNECTED, "name": "n", "scopes": ["s"], "kind": None, "login": None}),
        ("account.disconnected", {"account_id": "acc_1", "workspace_id": "ws_1"}),
    ],
)
@pytest.mark.parametrize("bad", ["\ud800", "\0", "9999-12-31T23:59:59-12:00", 5.5, ["\udfff"], {"a": {}}])
def test_malformed_field_never_fails_the_whole_batch(
    api: Api, kind: str, right: dict[str, Any], bad: Any
) -> None:
    fields = sorted({*right, "text", "media_type", "published_at", "platform_post_url", "token_expires_at"})
    bad_ones = [event(f"evt_{name}", kind, {**right, name: bad}) for name in fields]
    good = event("evt_good", "publication.published", {**PUBLISHED, "post_id": "post_good"})

    answer = send(api, [*bad_ones, good])

    assert answer.status_code in {200, 400}, answer.text
    assert "evt_good" not in [error["event_id"] for error in answer.json()["errors"]]
    assert api.posts(postId="post_good")["total"] == 1
    if bad == "\ud800":
        assert [error["event_id"] for error in answer.json()["errors"]] == [f"evt_{name}" for name in fields]


def test_event_that_only_the_database_refuses_is_named_and_its_siblings_are_committed(api: Api) -> None:
    api.rows.execute("ALTER TABLE publications ADD CONSTRAINT unforeseen CHECK (post_id <> 'post_bad')")
    posts = ["post_a", "post_bad", "post_b"]
    batch = [
        event(
            f"evt_{post}", "publication.published", {**PUBLISHED, "post_id": post, "platform_post_id": post}
        )
        for post in posts
    ]

    answer = send(api, batch)

    assert answer.status_code == 400
    assert [error["event_id"] for error in answer.json()["errors"]] == ["evt_post_bad"]
    assert answer.json()["accepted"] == 2
    assert {item["post_id"] for item in api.posts()["items"]} == {"post_a", "post_b"}
    assert send(api, batch).json()["duplicates"] == 2


def test_refused_event_can_be_sent_again_corrected(api: Api) -> None:
    wrong = event("evt_1", "publication.published", {**PUBLISHED, "created_at": "yesterday"})
    assert send(api, wrong).status_code == 400

    assert accepted(api, event("evt_1", "publication.published", PUBLISHED))["accepted"] == 1


def test_deleted_publication_is_removed_with_its_history(api: Api) -> None:
    gone = api.rows.publication(post_id="post_gone")
    other = api.rows.publication(post_id="post_kept")
    for publication in (gone, other):
        api.rows.insert(
            "snapshots",
            {
                "publication_id": publication,
                "taken_at": CREATED_AT,
                "last_seen_at": CREATED_AT,
                "claim_seq": 1,
                "sync_status": "synced",
                "metrics": {"views": 1},
            },
        )

    accepted(api, event("evt_1", "publication.deleted", {"post_id": "post_gone", "account_id": "acc_1"}))

    assert [item["post_id"] for item in api.posts()["items"]] == ["post_kept"]
    assert [row.publication_id for row in api.rows.execute("SELECT publication_id FROM snapshots")] == [other]
    assert api.get("/v1/analytics/posts/post_gone/history").status_code == 404


def test_disconnected_account_keeps_its_last_values_and_is_not_polled(api: Api) -> None:
    row = api.rows.publication(state={"claim_seq": 7})

    accepted(api, event("evt_1", "account.disconnected", {"account_id": "acc_1"}))

    item = api.posts()["items"][0]
    assert (item["sync_status"], item["metrics"]) == ("requires_reconnect", {"views": 1})
    assert item["error_message"]
    state = api.rows.state(row)
    assert (state.next_run_at, state.reason) == (None, "blocked")
    assert state.claim_seq > 7


def test_reconnected_account_is_active_and_its_rows_due_the_stalest_first(api: Api) -> None:
    now = datetime.now(UTC)
    ages = [timedelta(hours=hours) for hours in (1, 3, 2)]
    rows = [api.rows.publication(analytics={"last_updated_at": now - age}) for age in ages]
    accepted(
        api,
        event("evt_1", "account.connected", {**CONNECTED, "account_id": "acc_1", "platform": "instagram"}),
    )
    accepted(api, event("evt_2", "account.disconnected", {"account_id": "acc_1"}))

    accepted(api, event("evt_3", "account.reconnected", {"account_id": "acc_1", "access_token": "token-two"}))

    assert api.rows.execute("SELECT state FROM accounts WHERE account_id = 'acc_1'")[0].state == "active"
    states = [api.rows.state(row) for row in rows]
    assert {state.reason for state in states} == {"reconnected"}
    assert all(state.next_run_at <= datetime.now(UTC) for state in states)
    order = sorted(range(3), key=lambda n: states[n].next_run_at)
    assert order == [1, 2, 0]


def test_disconnected_account_is_reconnected_with_a_new_token_only(api: Api) -> None:
    row = api.rows.publication()
    connected = {**CONNECTED, "account_id": "acc_1", "platform": "instagram"}
    accepted(api, event("evt_1", "account.connected", connected))
    accepted(api, event("evt_2", "account.disconnected", {"account_id": "acc_1"}))
    reconnected = event("evt_3", "account.reconnected", {"account_id": "acc_1", "name": "Renamed"})

    answer = send(api, reconnected)

    assert "access_token" in answer.json()["errors"][0]["message"]
    assert api.rows.state(row).reason == "blocked"
    assert api.rows.execute("SELECT name, state FROM accounts") == [(None, "disconnected")]
    reconnected["data"]["access_token"] = "token-two"
    assert accepted(api, reconnected)["accepted"] == 1
    assert api.rows.state(row).reason == "reconnected"


def test_refused_reconnection_leaves_the_account_as_it_is(api: Api) -> None:
    api.rows.execute("UPDATE accounts SET state = 'requires_reconnect', sealed_access_token = 'sealed'")
    named = {"account_id": "acc_1", "access_token": "token-two", "token_expires_at": "soon"}

    assert send(api, event("evt_1", "account.reconnected", named)).status_code == 400

    assert api.rows.execute("SELECT state FROM accounts") == [("requires_reconnect",)]


def test_events_of_one_account_are_processed_in_order(api: Api) -> None:
    api.rows.publication()
    off = {"account_id": "acc_new"}

    accepted(
        api,
        event("evt_1", "account.connected", CONNECTED),
        event("evt_2", "publication.published", {**PUBLISHED, "account_id": "acc_new"}),
        event("evt_3", "account.disconnected", off),
        event("evt_4", "account.reconnected", {**off, "access_token": "token-two"}),
        event("evt_5", "publication.deleted", {"post_id": "post_2a7f93"}),
        event("evt_6", "account.disconnected", off),
    )

    assert (
        api.rows.execute("SELECT state FROM accounts WHERE account_id = 'acc_new'")[0].state == "disconnected"
    )
    assert api.posts(accountId="acc_new")["total"] == 0


def test_token_in_an_event_is_stored_sealed(api: Api) -> None:
    accepted(api, event("evt_1", "account.connected", CONNECTED))

    assert "token-one" not in repr(api.rows.execute("SELECT * FROM accounts"))
