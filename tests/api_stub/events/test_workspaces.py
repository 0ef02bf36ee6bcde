"""Events that name another workspace than that of their account are refused and change nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.accounts.vault import new_key
from tests.api_stub import support
from tests.api_stub.support import Api

TOKEN = "internal-token-of-the-tests-long-enough"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def api(database_url: str) -> Iterator[Api]:
    """Give a service that accepts events, with a publication of ``ws_1`` and an account of ``ws_2``."""
    with support.api(database_url, internal_token=TOKEN, secret_keys=new_key()) as running:
        running.rows.publication(post_id="post_1", platform_post_id="there_1")
        running.rows.account("acc_2", workspace="ws_2")
        yield running


def everything(api: Api) -> list[Any]:
    """Return all rows that an event may change."""
    return [
        api.rows.execute(f"SELECT * FROM {table} ORDER BY 1")
        for table in ("accounts", "publications", "refresh_state", "post_analytics")
    ]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("account.disconnected", {"account_id": "acc_1"}),
        ("account.reconnected", {"account_id": "acc_1", "access_token": "token-of-somebody-else"}),
        (
            "account.connected",
            {
                "account_id": "acc_1",
                "platform": "instagram",
                "platform_account_id": "pa_acc_1",
                "access_token": "token-of-somebody-else",
            },
        ),
        (
            "publication.published",
            {"account_id": "acc_1", "post_id": "post_2", "created_at": "2026-06-23T10:15:30Z"},
        ),
    ],
)
def test_event_that_names_another_workspace_is_refused_and_changes_nothing(
    api: Api, kind: str, data: dict[str, Any]
) -> None:
    before = everything(api)
    event = {"event_id": "evt_1", "type": kind, "data": {**data, "workspace_id": "ws_2"}}

    answer = api.run(api.client.post("/internal/events", json=event, headers=HEADERS))

    assert answer.status_code == 400
    assert "workspace" in answer.json()["errors"][0]["message"]
    assert everything(api) == before
    event["data"] = {**data, "workspace_id": "ws_1"}
    assert api.run(api.client.post("/internal/events", json=event, headers=HEADERS)).status_code == 200
    assert everything(api) != before


@pytest.mark.parametrize(
    "named",
    [
        {"workspace_id": "ws_2"},
        {"account_id": "acc_2"},
        {"platform_post_id": "there_2"},
        {"workspace_id": "ws_2", "account_id": "acc_1"},
    ],
)
def test_deletion_that_names_something_else_deletes_nothing(api: Api, named: dict[str, str]) -> None:
    before = everything(api)
    event = {"event_id": "evt_1", "type": "publication.deleted", "data": {"post_id": "post_1", **named}}

    assert api.run(api.client.post("/internal/events", json=event, headers=HEADERS)).status_code == 200

    assert everything(api) == before


def test_deletion_leaves_the_same_post_of_another_workspace(api: Api) -> None:
    api.rows.publication("acc_2", post_id="post_1", platform_post_id="there_1")
    data = {"post_id": "post_1", "workspace_id": "ws_1"}
    event = {"event_id": "evt_1", "type": "publication.deleted", "data": data}

    assert api.run(api.client.post("/internal/events", json=event, headers=HEADERS)).status_code == 200

    assert [row.workspace_id for row in api.rows.execute("SELECT * FROM publications")] == ["ws_2"]
