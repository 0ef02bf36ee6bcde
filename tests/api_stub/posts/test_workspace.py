"""`Workspace` reads and changes nothing of another workspace, even when given its row ids."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
import pytest
from sqlalchemy import text

from api_stub.auth.authenticator import Caller
from api_stub.http.database import conninfo
from api_stub.posts import workspace
from api_stub.posts.instants import UNBOUNDED
from api_stub.posts.parameters import HistoryQuery
from api_stub.posts.workspace import Workspace
from shared.refresh_state.notifications import DUE_CHANNEL
from tests.api_stub.support import Api

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class Pair(NamedTuple):
    """The `Workspace` of ``ws_1``, and rows of two workspaces that share every id that may be shared."""

    workspace: Workspace
    ours: int
    theirs: int


@pytest.fixture
def pair(api: Api) -> Pair:
    """Store the same post in two workspaces."""
    api.rows.account("acc_2", workspace="ws_2")
    later = datetime.now(UTC) + timedelta(hours=1)
    ours, theirs = (
        api.rows.publication(
            account,
            post_id="shared_post",
            platform_post_id="shared_there",
            state={"next_run_at": later, "reason": "stale"},
            analytics={"stale_after": later - timedelta(hours=2)},
        )
        for account in ("acc_1", "acc_2")
    )
    for row in (ours, theirs):
        api.rows.insert(
            "snapshots",
            {
                "publication_id": row,
                "taken_at": LONG_AGO,
                "last_seen_at": LONG_AGO,
                "claim_seq": 1,
                "sync_status": "synced",
                "metrics": {"views": row},
            },
        )
    return Pair(api.service.workspace(Caller("ws_1", "tests")), ours, theirs)


def test_rows_of_another_workspace_are_not_served(api: Api, pair: Pair) -> None:
    both = [pair.ours, pair.theirs]

    assert list(api.run(pair.workspace.rows(both))) == [pair.ours]
    assert list(api.run(pair.workspace.next_runs(both))) == [pair.ours]


@pytest.mark.parametrize("post_id", ["shared_post", "shared_there"])
def test_shared_id_finds_only_the_own_publication(api: Api, pair: Pair, post_id: str) -> None:
    publications = api.run(pair.workspace.publications(post_id))

    assert [publication.id for publication in publications] == [pair.ours]


@pytest.mark.parametrize("interval", ["raw", "hour", "day"])
def test_history_of_another_workspace_is_not_served(api: Api, pair: Pair, interval: str) -> None:
    points = api.run(pair.workspace.history([pair.ours, pair.theirs], HistoryQuery(UNBOUNDED, interval)))

    assert [point.publication_id for point in points] == [pair.ours]


@pytest.mark.parametrize("with_ours", [False, True])
def test_read_makes_no_row_of_another_workspace_due(api: Api, pair: Pair, *, with_ours: bool) -> None:
    before = api.rows.state(pair.theirs)

    with api.rows.engine.begin() as busy:
        busy.execute(
            text("SELECT FROM refresh_state WHERE publication_id = :id FOR UPDATE"), {"id": pair.theirs}
        )
        api.run(pair.workspace.make_stale_due([pair.theirs, *([pair.ours] if with_ours else [])]))

    assert api.rows.state(pair.theirs) == before
    assert (api.rows.state(pair.ours).reason == "read") is with_ours


def test_read_of_another_workspaces_row_sends_no_notification(
    api: Api, pair: Pair, database_url: str
) -> None:
    with psycopg.connect(conninfo(database_url), autocommit=True) as listener:
        listener.execute(f"LISTEN {DUE_CHANNEL}")
        api.run(pair.workspace.make_stale_due([pair.theirs]))
        assert list(listener.notifies(timeout=0)) == []

        api.run(pair.workspace.make_stale_due([pair.theirs, pair.ours]))
        assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1


def test_notification_names_the_claim_that_will_answer(
    api: Api, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[object] = []

    def due_payload(claims: object) -> str:
        named.append(claims)
        return ""

    monkeypatch.setattr(workspace, "due_payload", due_payload)
    api.rows.execute("UPDATE refresh_state SET claim_seq = 41")

    api.run(pair.workspace.make_stale_due([pair.ours]))

    assert named == [[(pair.ours, 42)]]


@pytest.mark.parametrize("with_ours", [False, True])
def test_forced_read_requests_no_row_of_another_workspace(api: Api, pair: Pair, *, with_ours: bool) -> None:
    before = api.rows.state(pair.theirs)
    wanted = [pair.theirs, *([pair.ours] if with_ours else [])]

    pending = api.run(pair.workspace.request_refresh(wanted, datetime.now(UTC)))

    assert pending == ([pair.ours] if with_ours else [])
    assert api.rows.state(pair.theirs) == before


def test_row_of_another_workspace_is_not_waited_for(api: Api, pair: Pair) -> None:
    api.rows.execute("UPDATE refresh_state SET priority = 1, next_run_at = now()")

    assert api.run(pair.workspace.still_pending([pair.ours, pair.theirs], datetime.now(UTC))) == [pair.ours]


def test_another_workspaces_key_reads_its_own_row_under_a_shared_id(api: Api, pair: Pair) -> None:
    headers = {"Authorization": f"Bearer {api.rows.key('ws_2')}"}

    def accounts(**options: Any) -> list[str]:
        return [
            item["account_id"]
            for item in api.get(params={"postId": "shared_post"}, **options).json()["items"]
        ]

    assert pair.ours != pair.theirs
    assert (accounts(), accounts(headers=headers)) == (["acc_1"], ["acc_2"])
