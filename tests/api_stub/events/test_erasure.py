"""Events that erase an account or a workspace, and a service that waits for a replay after a restore."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.accounts.vault import new_key
from shared.erasure.run import step
from shared.redis_client import RedisClient
from tests.api_stub import support
from tests.api_stub.support import Api

TOKEN = "internal-token-of-the-tests-long-enough"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "erasures.jsonl"


@pytest.fixture
def api(database_url: str, ledger: Path) -> Iterator[Api]:
    """Give a service with a post of ``acc_1`` and an erasure ledger."""
    with support.api(
        database_url, internal_token=TOKEN, secret_keys=new_key(), erasure_ledger=str(ledger)
    ) as running:
        running.rows.publication(post_id="post_1")
        yield running


def send(api: Api, kind: str, **data: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    event = {"event_id": f"evt_{json.dumps(data)}", "type": kind, "data": data}
    return api.run(api.client.post("/internal/events", json=event, headers=headers))


@pytest.mark.parametrize(
    ("kind", "data"),
    [("account.erased", {"account_id": "acc_1"}), ("workspace.erased", {"workspace_id": "ws_1"})],
)
def test_event_begins_an_erasure_and_destroys_the_tokens(api: Api, kind: str, data: dict[str, str]) -> None:
    api.rows.execute("UPDATE accounts SET sealed_access_token = 'sealed'")

    assert send(api, kind, **data).status_code == 200

    account = api.rows.execute("SELECT * FROM accounts WHERE account_id = 'acc_1'")[0]
    assert (account.sealed_access_token, account.state) == (None, "disconnected")
    (erasure,) = api.rows.execute("SELECT * FROM erasures")
    assert (erasure.kind, erasure.source, account.erasure) == (kind.partition(".")[0], "event", erasure.code)


def changes(api: Api, cursor: str | None = None) -> Any:
    return api.get("/v1/analytics/changes", params={"cursor": cursor} if cursor else {}).json()


@pytest.mark.parametrize("cursor_at", ["before", "beginning"])
def test_follower_that_asks_after_an_erasure_learns_what_is_gone(
    api: Api, client: RedisClient, cursor_at: str
) -> None:
    (known,) = [one for one in changes(api)["changes"] if one["type"] == "analytics.updated"]
    cursor = changes(api)["cursor"] if cursor_at == "before" else None

    send(api, "account.erased", account_id="acc_1")
    while step(api.rows.engine, client, None) is not None:
        pass

    (change,) = changes(api, cursor)["changes"]
    assert (change["type"], change["publication_id"]) == ("analytics.deleted", known["publication_id"])
    assert int(change["change"]) > int(known["change"])
    blank = {"post_id": None, "account_id": None, "platform": "instagram", "platform_post_id": None}
    assert change["item"] == blank


@pytest.mark.parametrize(
    ("kind", "data", "status"),
    [
        ("account.erased", {"account_id": "acc_nobody"}, 200),
        ("workspace.erased", {"workspace_id": "ws_nobody"}, 200),
        ("account.erased", {"account_id": "acc_1", "workspace_id": "ws_2"}, 400),
        ("account.erased", {}, 400),
        ("workspace.erased", {"workspace_id": ["ws_1"]}, 400),
    ],
)
def test_event_about_nothing_stored_is_accepted_and_a_wrong_one_refused(
    api: Api, kind: str, data: dict[str, Any], status: int
) -> None:
    assert send(api, kind, **data).status_code == status
    assert api.rows.execute("SELECT FROM erasures") == []


def ready(api: Api) -> int:
    return api.run(api.client.get("/readyz")).status_code


def test_service_is_not_ready_until_the_erasures_since_the_backup_are_replayed(
    api: Api, ledger: Path
) -> None:
    assert ready(api) == 200
    line = {"code": "era_1", "kind": "account", "salt": "s", "digest": "d"}
    ledger.write_text(json.dumps(line) + "\n")

    assert ready(api) == 503

    insert = "INSERT INTO erasures (code, kind, source, phase) VALUES ('era_1', 'account', 'replay', 'rows')"
    api.rows.execute(insert)
    assert ready(api) == 503, "a replay under way"
    api.rows.execute("UPDATE erasures SET source = 'event'")
    assert ready(api) == 200, "one that this database itself has begun"
    api.rows.execute("UPDATE erasures SET source = 'replay', ended_at = now()")
    assert ready(api) == 200


def test_service_is_not_ready_while_the_ledger_is_damaged(api: Api, ledger: Path) -> None:
    ledger.write_text("{}\n")

    assert ready(api) == 503
