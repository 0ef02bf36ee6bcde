"""Refresh on read: which rows become due, which are waited for, and the warnings of the others."""

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api_stub.http.database import conninfo
from tests.api_stub import support
from tests.api_stub.support import POSTS, Api

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
STALE = {"last_updated_at": NOW - 7 * HOUR, "stale_after": NOW - HOUR}
PENDING: dict[str, Any] = {
    "sync_status": "pending",
    "metrics": {},
    "last_updated_at": None,
    "stale_after": None,
}
LATER = {"next_run_at": NOW + HOUR}

FINISH = """
UPDATE post_analytics SET metrics = '{"views": 2}', last_updated_at = now(), attempted_at = now(),
       stale_after = now() + interval '6 hours', outcome = 'synced' WHERE publication_id = ANY(%(ids)s)
"""
RELEASE = """
UPDATE refresh_state SET next_run_at = now() + interval '6 hours', reason = 'stale', priority = 0,
       claimed_at = NULL
 WHERE publication_id = ANY(%(ids)s)
"""
NOTIFY_REFRESHED = "SELECT pg_notify('dravo_refreshed', array_to_string(%(ids)s::bigint[], ','))"


async def worker(url: str, *, rows: int, finish: str = FINISH) -> int:
    """Act as scheduler and worker: finish rows that become due in the interactive lane; return how many."""
    finished = 0
    async with await psycopg.AsyncConnection.connect(conninfo(url), autocommit=True) as connection:
        while finished < rows:
            cursor = await connection.execute(
                "UPDATE refresh_state SET next_run_at = now() + interval '1 minute', reason = 'claimed',"
                " claimed_at = now(), claim_seq = claim_seq + 1"
                " WHERE priority > 0 AND next_run_at <= now() RETURNING publication_id"
            )
            ids = [row[0] for row in await cursor.fetchall()]
            if ids:
                async with connection.transaction():
                    await connection.execute(finish, {"ids": ids})
                    await connection.execute(RELEASE, {"ids": ids})
                    await connection.execute(NOTIFY_REFRESHED, {"ids": ids})
                finished += len(ids)
    return finished


async def both(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*coroutines)


@pytest.fixture
def patient(database_url: str) -> Iterator[Api]:
    """Give a service with a long wait: a test that takes so long has found a defect."""
    with support.api(database_url, refresh_wait_seconds=20) as running:
        yield running


@pytest.fixture
def hasty(database_url: str) -> Iterator[Api]:
    """Give a service with a very short wait."""
    with support.api(database_url, refresh_wait_seconds=0.05) as running:
        yield running


READS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    (STALE, LATER, "read"),
    (PENDING, {"reason": "new", **LATER}, "read"),
    ({}, LATER, None),
    (STALE, {"reason": "retry", **LATER}, None),
    (STALE, {"reason": "paused", **LATER}, None),
    (STALE, {"reason": "unconfirmed", **LATER}, None),
    (PENDING, {"reason": "processing", **LATER}, None),
    (PENDING, {"reason": "stopped", "next_run_at": None}, None),
    (STALE, {"reason": "quarantined", "next_run_at": None}, None),
    (STALE, {"reason": "claimed", "claimed_at": NOW, **LATER}, None),
]


@pytest.mark.parametrize("pages", [1, len(READS)])
def test_read_makes_exactly_the_missing_and_stale_rows_of_a_page_due(api: Api, pages: int) -> None:
    rows = [api.rows.publication(analytics=analytics, state=state) for analytics, state, _ in READS]
    before = [api.rows.state(row) for row in rows]

    for page in range(pages):
        items = api.posts(page=page + 1, limit=len(READS) // pages)["items"]
        assert [item["warnings"] for item in items] == [[]] * len(items)

    after = [api.rows.state(row) for row in rows]
    for state, state_before, (_, given, reason) in zip(after, before, READS, strict=True):
        if reason:
            assert (state.reason, state.priority) == (reason, 0)
            assert state.next_run_at <= datetime.now(UTC)
        else:
            assert state == state_before, given


def test_read_makes_no_row_of_another_page_or_workspace_due(api: Api) -> None:
    api.rows.account("acc_other", workspace="ws_2")
    theirs = api.rows.publication("acc_other", analytics=STALE, state=LATER)
    on_page_2 = api.rows.publication(analytics=STALE, state=LATER)
    api.rows.publication(analytics=STALE, state=LATER)

    api.posts(limit=1)

    assert [api.rows.state(row).reason for row in (theirs, on_page_2)] == ["stale", "stale"]


def test_many_readers_make_a_row_due_once(api: Api) -> None:
    row = api.rows.publication(analytics=STALE, state=LATER)
    api.rows.execute("CREATE TABLE written (seq int)")
    api.rows.execute("GRANT INSERT ON written TO PUBLIC")
    api.rows.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO written VALUES (1); RETURN NULL; END'"
    )
    api.rows.execute(
        "CREATE TRIGGER noted AFTER UPDATE ON refresh_state FOR EACH ROW EXECUTE FUNCTION note()"
    )

    answers = api.run(both(*(api.client.get(POSTS) for _ in range(200))))

    assert {answer.status_code for answer in answers} == {200}
    assert len(api.rows.execute("SELECT * FROM written")) == 1
    assert api.rows.state(row).reason == "read"


def test_forced_read_answers_with_the_new_values(patient: Api, database_url: str) -> None:
    rows = [patient.rows.publication() for _ in range(3)]

    answer, _ = patient.run(
        both(patient.client.get(f"{POSTS}?refresh=true"), worker(database_url, rows=len(rows)))
    )

    assert [item["metrics"] for item in answer.json()["items"]] == [{"views": 2}] * 3
    assert [item["warnings"] for item in answer.json()["items"]] == [[]] * 3
    assert answer.json()["overview"]["metrics"] == {"views": 6}


def test_many_forced_readers_cause_one_refresh(patient: Api, database_url: str) -> None:
    row = patient.rows.publication()
    readers = [patient.client.get(f"{POSTS}?refresh=true") for _ in range(50)]

    *answers, _ = patient.run(both(*readers, worker(database_url, rows=1)))

    served = [answer.json()["items"][0] for answer in answers]
    assert all(item["metrics"] == {"views": 2} for item in served)
    assert all("refresh_pending" not in str(item["warnings"]) for item in served)
    assert patient.rows.state(row).claim_seq == 1


def test_forced_row_takes_the_interactive_lane(hasty: Api) -> None:
    row = hasty.rows.publication()

    item = hasty.posts(refresh="true")["items"][0]

    state = hasty.rows.state(row)
    assert (state.reason, state.priority) == ("forced", 1)
    assert state.next_run_at <= datetime.now(UTC)
    assert [warning.split(":")[0] for warning in item["warnings"]] == ["refresh_pending"]
    assert (item["sync_status"], item["metrics"]) == ("synced", {"views": 1})


def test_recently_refreshed_row_is_debounced(patient: Api) -> None:
    row = patient.rows.publication(analytics={"last_updated_at": datetime.now(UTC)})

    item = patient.posts(refresh="true")["items"][0]

    assert [warning.split(":")[0] for warning in item["warnings"]] == ["refresh_debounced"]
    assert patient.rows.state(row).reason == "stale"


@pytest.mark.parametrize(
    ("state", "damage"),
    [
        ({"reason": "blocked", "next_run_at": None}, "UPDATE accounts SET state = 'requires_reconnect'"),
        ({"reason": "blocked", "next_run_at": None}, "UPDATE accounts SET state = 'disconnected'"),
        ({"reason": "quarantined", "next_run_at": None}, "SELECT 1"),
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


def test_forced_refreshes_are_limited_for_each_key(api: Api) -> None:
    statuses = [api.get(params={"refresh": "true"}).status_code for _ in range(70)]
    refusal = api.get(params={"refresh": "true"})

    assert statuses.count(200) >= 60
    assert refusal.status_code == 429
    assert int(refusal.headers["Retry-After"]) >= 1
    assert refusal.json()["error"]["code"] == "rate_limited"
    assert api.get().status_code == 200
    other = {"Authorization": f"Bearer {api.rows.key()}"}
    assert api.get(params={"refresh": "true"}, headers=other).status_code == 200
