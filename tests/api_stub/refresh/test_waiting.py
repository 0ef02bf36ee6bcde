"""Refresh on read: which rows are waited for, what ends the wait, and the warnings of the others."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api_stub.http.database import conninfo
from tests.api_stub.refresh.fake_worker import FINISH, both, worker
from tests.api_stub.support import POSTS, Api


@pytest.mark.parametrize(
    ("state", "damage"),
    [
        ({"reason": "blocked", "next_run_at": None}, "UPDATE accounts SET state = 'requires_reconnect'"),
        ({"reason": "blocked", "next_run_at": None}, "UPDATE accounts SET state = 'disconnected'"),
        ({"reason": "quarantined", "next_run_at": None}, "SELECT 1"),
        (
            {"next_run_at": datetime.now(UTC), "priority": 1},
            "UPDATE accounts SET state = 'requires_reconnect'",
        ),
        (
            {},
            "INSERT INTO pauses VALUES ('instagram', 'app', '', now(), now() + interval '1 hour', 'limit')",
        ),
    ],
)
def test_blocked_paused_and_quarantined_rows_are_not_waited_for(
    patient: Api, state: dict[str, Any], damage: str
) -> None:
    patient.rows.publication(state=state)
    patient.rows.execute(damage)
    started = datetime.now(UTC)

    item = patient.posts(refresh="true")["items"][0]

    assert [warning.split(":")[0] for warning in item["warnings"]] == ["refresh_pending"]
    assert datetime.now(UTC) - started < timedelta(seconds=5)


PAUSE = "INSERT INTO pauses VALUES ('instagram', '{}', '', now(), '2099-01-01T06:52:00Z', 'secret words')"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            "SELECT 1",
            "it is due and waits for a worker in the interactive lane; these are the last known values",
        ),
        (
            PAUSE.format("app"),
            "not refreshed: a limit of Instagram is reached; it is tried again from 2099-01-01T06:52:00Z",
        ),
        (
            PAUSE.format("credits"),
            (
                "not refreshed: Instagram is not read for now; operators are alerted;"
                " it is tried again from 2099-01-01T06:52:00Z"
            ),
        ),
        (
            "UPDATE publications SET platform_post_id = NULL, publish_id = 'v1'",
            "it is due and waits for a worker in the interactive lane; these are the last known values",
        ),
        (
            PAUSE.format("app").replace("instagram", "x").replace("2099", "2098"),
            "it is due and waits for a worker in the interactive lane; these are the last known values",
        ),
        (
            PAUSE.format("operator_platform"),
            "not refreshed: refreshes are paused; it is tried again from 2099-01-01T06:52:00Z",
        ),
        (
            "UPDATE accounts SET state = 'requires_reconnect'",
            "not refreshed: the account must be reconnected first",
        ),
        (
            "UPDATE refresh_state SET claimed_at = now(), next_run_at = now() + interval '1 minute'",
            "a worker is refreshing it; these are the last known values",
        ),
    ],
)
def test_pending_refresh_says_what_the_row_waits_for(hasty: Api, damage: str, sentence: str) -> None:
    hasty.rows.publication()
    hasty.rows.execute(damage)

    (item,) = hasty.posts(refresh="true")["items"]

    assert item["warnings"] == [f"refresh_pending: {sentence}"]


def test_forced_read_refreshes_a_stopped_row(hasty: Api) -> None:
    row = hasty.rows.publication(state={"reason": "stopped", "next_run_at": None})

    hasty.posts(refresh="true")

    assert hasty.rows.state(row).reason == "forced"


def test_paused_attempt_ends_the_wait_with_refresh_pending(patient: Api, database_url: str) -> None:
    patient.rows.publication()
    paused = (
        "UPDATE post_analytics SET attempted_at = now(), outcome = 'paused'"
        " WHERE publication_id = ANY(%(ids)s)"
    )

    answer, _ = patient.run(
        both(patient.client.get(f"{POSTS}?refresh=1"), worker(database_url, rows=1, finish=paused))
    )

    item = answer.json()["items"][0]
    assert [warning.split(":")[0] for warning in item["warnings"]] == ["refresh_pending"]
    assert item["metrics"] == {"views": 1}


def test_failed_attempt_ends_the_wait_without_a_warning(patient: Api, database_url: str) -> None:
    patient.rows.publication()
    failed = (
        "UPDATE post_analytics SET attempted_at = now(), outcome = 'gone', sync_status = 'failed',"
        " error_message = 'gone' WHERE publication_id = ANY(%(ids)s)"
    )

    answer, _ = patient.run(
        both(patient.client.get(f"{POSTS}?refresh=1"), worker(database_url, rows=1, finish=failed))
    )

    assert (answer.json()["items"][0]["sync_status"], answer.json()["items"][0]["warnings"]) == ("failed", [])


def test_refresh_finished_during_a_lost_connection_ends_the_wait(patient: Api, database_url: str) -> None:
    patient.rows.publication()

    async def finish_unheard() -> None:
        async with await psycopg.AsyncConnection.connect(
            conninfo(database_url), autocommit=True
        ) as connection:
            while not (
                await (await connection.execute("SELECT FROM refresh_state WHERE priority > 0")).fetchall()
            ):
                pass
            ids = await (await connection.execute("SELECT array_agg(id) FROM publications")).fetchone()
            assert ids
            await connection.execute(FINISH, {"ids": ids[0]})
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'dravo-api-listener' AND datname = current_database()"
            )

    answer, _ = patient.run(both(patient.client.get(f"{POSTS}?refresh=1"), finish_unheard()))

    assert answer.json()["items"][0]["metrics"] == {"views": 2}


def test_row_deleted_during_the_wait_is_left_out(patient: Api, database_url: str) -> None:
    row = patient.rows.publication()
    delete = "DELETE FROM publications WHERE id = ANY(%(ids)s)"

    answer, _ = patient.run(
        both(patient.client.get(f"{POSTS}?refresh=1"), worker(database_url, rows=1, finish=delete))
    )

    assert answer.json()["items"] == []
    assert row
