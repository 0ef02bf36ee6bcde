"""Rows made due: deduplicated, bound to a workspace, never at the cost of the work in flight."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy.engine import make_url

from shared.due import DUE_CHANNEL, make_due
from shared.vocabulary import Reason
from tests.stories import House

LATER = datetime.now(UTC) + timedelta(hours=5)


def asked(home: House, ids: list[int], reason: Reason, workspace: str = "ws_1") -> int:
    with home.engine.begin() as connection:
        return make_due(connection, workspace, ids, reason)


def test_a_row_is_made_due_once_however_many_ask(home: House) -> None:
    ids = home.publications(home.account("acc_1"), 2, next_run_at=LATER, reason="stale")

    assert [asked(home, ids, Reason.READ) for _ in range(3)] == [2, 0, 0]
    assert home.state(ids[0]).reason == "read"
    assert home.state(ids[0]).wait <= timedelta()


def test_people_s_requests_take_the_interactive_lane(home: House) -> None:
    ids = home.publications(home.account("acc_1"), 1, next_run_at=LATER, reason="stale")

    asked(home, ids, Reason.READ)
    assert home.state(ids[0]).priority == 0
    assert asked(home, ids, Reason.FORCED) == 1
    assert home.state(ids[0]).priority == 1


def test_another_workspace_s_rows_are_out_of_reach(home: House) -> None:
    ids = home.publications(home.account("acc_1"), 1, next_run_at=LATER, reason="stale")

    assert asked(home, ids, Reason.MANUAL, workspace="ws_2") == 0
    assert home.state(ids[0]).reason == "stale"


def test_a_row_in_flight_stays_with_its_worker(home: House) -> None:
    ids = home.publications(
        home.account("acc_1"), 1, next_run_at=LATER, claimed_at=datetime.now(UTC), reason="claimed"
    )

    asked(home, ids, Reason.FORCED)

    row = home.state(ids[0])
    assert (row.next_run_at, row.reason, row.priority) == (LATER, "claimed", 1)


@pytest.mark.parametrize(
    ("reason", "made_due"), [(Reason.READ, 0), (Reason.MANUAL, 1), (Reason.FORCED, 1)], ids=str
)
def test_what_is_no_longer_polled_is_asked_for_by_people_only(
    home: House, reason: Reason, made_due: int
) -> None:
    ids = home.publications(home.account("acc_1"), 1, next_run_at=None, reason="stopped")

    assert asked(home, ids, reason) == made_due


@pytest.mark.parametrize("kept", ["blocked", "quarantined"])
def test_blocked_and_quarantined_rows_stay(home: House, kept: str) -> None:
    ids = home.publications(home.account("acc_1"), 1, next_run_at=None, reason=kept)

    assert asked(home, ids, Reason.MANUAL) == 0


def test_the_doorbell_rings_at_commit_and_only_then(home: House, database_url: str) -> None:
    ids = home.publications(home.account("acc_1"), 1, next_run_at=LATER, reason="stale")
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as listener:
        listener.execute(f"LISTEN {DUE_CHANNEL}")
        with home.engine.connect() as connection:
            make_due(connection, "ws_1", ids, Reason.MANUAL)
            assert list(listener.notifies(timeout=0)) == []
            connection.commit()
        assert [notice.channel for notice in listener.notifies(timeout=5, stop_after=1)] == [DUE_CHANNEL]
