"""An account's state: one refusal stops all of its rows at once, a reconnection brings them back in order."""

from datetime import UTC, datetime, timedelta

import pytest

from shared import account_state, intake
from tests.stories import House


def require(home: House, version: int | None = None, workspace: str = "ws_1") -> int | None:
    with home.engine.begin() as connection:
        return account_state.require_reconnect(
            connection, workspace, "acc_1", "Reconnect.", token_version=version
        )


def reconnect(home: House) -> int:
    with home.engine.begin() as connection:
        return account_state.reconnect(connection, "ws_1", "acc_1")


def test_all_rows_of_the_account_are_marked_and_taken_out_of_work(home: House) -> None:
    ids = home.publications(home.account("acc_1"), 3)
    other = home.publications(home.account("acc_2"))[0]

    assert require(home) == 3

    rows = [home.state(one) for one in ids]
    assert {(row.sync_status, row.error_message, row.next_run_at) for row in rows} == {
        ("requires_reconnect", "Reconnect.", None)
    }
    assert {row.claim_seq for row in rows} == {1}, "whoever has them now is fenced off"
    assert home.state(other).sync_status == "pending"


def test_a_refusal_of_an_older_pair_is_no_verdict(home: House) -> None:
    home.publications(home.account("acc_1", token_version=5))

    assert require(home, version=4) is None
    assert require(home, version=5) == 1
    assert require(home, version=5) is None, "once is enough"


def test_another_workspace_cannot_touch_it(home: House) -> None:
    home.publications(home.account("acc_1"))

    assert require(home, workspace="ws_2") is None


def test_a_reconnection_makes_the_rows_due_the_stalest_first(home: House) -> None:
    ids = home.publications(home.account("acc_1"), 3)
    for days, one in zip((1, 9, None), ids, strict=True):
        at = datetime.now(UTC) - timedelta(days=days) if days else None
        home.execute(
            "UPDATE post_analytics SET last_updated_at = :at WHERE publication_id = :id", at=at, id=one
        )
    require(home)

    assert reconnect(home) == 3

    order = home.execute(
        "SELECT publication_id FROM refresh_state WHERE next_run_at <= now() ORDER BY next_run_at"
    )
    assert [row[0] for row in order] == [ids[2], ids[1], ids[0]]
    assert home.execute("SELECT state, state_reason FROM accounts") == [("active", None)]


def test_a_disconnected_account_keeps_its_values_and_says_so(home: House) -> None:
    publication = home.publications(home.account("acc_1"))[0]
    home.execute("UPDATE post_analytics SET metrics = '{\"views\": 7}'")
    with home.engine.begin() as connection:
        account_state.disconnect(connection, "ws_1", "acc_1")

    row = home.state(publication)
    assert (row.sync_status, row.metrics, row.next_run_at) == ("requires_reconnect", {"views": 7}, None)
    assert home.execute("SELECT state FROM accounts") == [("disconnected",)]


@pytest.mark.parametrize("connected", [True, False], ids=["published_before", "published_while_disconnected"])
def test_after_a_reconnection_a_row_without_an_id_waits_for_it_and_asks_for_nothing_else(
    home: House, *, connected: bool
) -> None:
    home.account("acc_1")
    row = {"post_id": "post_1", "account_id": "acc_1", "created_at": "2026-06-23T10:15:30Z"}
    with home.engine.begin() as connection:
        if connected:
            intake.take_publications(connection, [row])
        account_state.disconnect(connection, "ws_1", "acc_1")
        if not connected:
            intake.take_publications(connection, [row])
    ((publication,),) = home.execute("SELECT id FROM publications")
    assert home.state(publication).sync_status == "requires_reconnect"

    assert reconnect(home) == 0

    state = home.state(publication)
    assert (state.reason, state.next_run_at) == ("stopped", None)
    assert (state.sync_status, state.error_message) == ("pending", None)
    assert (state.outcome, state.outcome_detail, state.attempted_at) == (None, None, None)
