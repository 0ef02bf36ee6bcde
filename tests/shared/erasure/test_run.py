"""An erasure leaves nothing of its subject and everything of others, in small and resumable steps."""

from collections import Counter
from itertools import pairwise

import pytest
from sqlalchemy import text

from shared import database
from shared.erasure import subject
from shared.erasure.places import rows
from shared.erasure.run import ROLE, step
from shared.erasure.schema import tables, unclassified
from shared.redis_client import RedisClient
from shared.refresh_queue import RefreshJob
from tests.harness import Harness, reads
from tests.shared.erasure.certificates import certificate
from tests.shared.erasure.subjects import SHARED_POST, fill, request, request_account, run, traces
from worker.refresh import refresh


def test_every_table_says_what_an_erasure_does_to_it(harness: Harness) -> None:
    with harness.engine.connect() as connection:
        assert unclassified(tables(connection)) == []
        connection.execute(text("CREATE TABLE notes (note TEXT)"))
        connection.execute(text("CREATE TABLE visits (account_id TEXT)"))
        assert unclassified(tables(connection)) == ["notes"]


def test_erased_account_leaves_no_trace_and_others_stay(
    harness: Harness, client: RedisClient, database_url: str
) -> None:
    fill(harness, client)
    ids = [row.id for row in harness.execute("SELECT id FROM publications WHERE account_id = 'acc_gone'")]
    stored = {
        needle: len(traces(harness, client, needle)) for needle in ("acc_kept", "Brand kept", "page_kept")
    }
    code = request_account(harness)

    engine = database.connect(database_url, application="tests", role=ROLE)
    while step(engine, client, None) is not None:
        pass
    engine.dispose()

    for needle in ("acc_gone", "Brand gone", "page_gone"):
        assert traces(harness, client, needle) == []
    for name in ("snapshots", "post_analytics", "refresh_state"):
        left = harness.execute(f"SELECT FROM {name} WHERE publication_id = ANY(:ids)", ids=ids)
        assert left == []
    assert {needle: len(traces(harness, client, needle)) for needle in stored} == stored
    ended = certificate(harness, code)
    assert (ended.phase, ended.clean) == ("ended", True)
    assert {
        "accounts": 1,
        "changes": 3,
        "events_seen": 1,
        "operator_acts": 1,
        "pauses": 1,
        "post_analytics": 3,
        "publication_counts": 1,
        "publications": 3,
        "redis": 3,
        "refresh_state": 3,
        "refused_metrics": 1,
        "snapshots": 15,
        "turns": 1,
    }.items() <= ended.rows.items()
    entries = harness.execute("SELECT operator, act, subject, reason FROM operator_acts ORDER BY act_id")
    assert tuple(entries[0]) == ("ann on host", "resync", {"account": "erased", "publications": []}, "erased")


def test_followers_learn_of_erased_publications_by_numbers_alone(
    harness: Harness, client: RedisClient
) -> None:
    fill(harness, client)
    harness.execute("DELETE FROM publications WHERE post_id = 'post_acc_gone0'")  # long before the erasure
    ids = [row.publication_id for row in harness.execute("SELECT publication_id FROM changes")]
    harness.execute("UPDATE changes SET changed_at = now() - interval '1 hour'")
    code = request_account(harness)

    run(harness, client)

    rows = harness.execute("SELECT publication_id, gone FROM changes ORDER BY publication_id")
    assert sorted(row.publication_id for row in rows) == sorted(ids)
    blank = {"post_id": None, "account_id": None, "platform": "instagram", "platform_post_id": None}
    assert [row.gone for row in rows if row.gone is not None] == [blank] * 3
    assert certificate(harness, code).clean
    assert traces(harness, client, "acc_gone") == []


def test_erased_workspace_takes_its_keys_and_accounts_along(harness: Harness, client: RedisClient) -> None:
    fill(harness, client)
    harness.account("acc_other", workspace_id="ws_2")
    harness.publications("acc_other")
    for workspace in ("ws_1", "ws_2"):
        harness.execute(
            "INSERT INTO api_keys (key_id, workspace_id, key_hash) VALUES (:key, :workspace, :hash)",
            key=f"key_{workspace}",
            workspace=workspace,
            hash=workspace.encode(),
        )
    with harness.engine.connect() as connection:
        code = request(harness, subject.workspace(connection, "ws_1"))

    run(harness, client)

    assert certificate(harness, code).clean
    assert [traces(harness, client, needle) for needle in ("ws_1", "acc_gone", "acc_kept")] == [[], [], []]
    assert [row.account_id for row in harness.execute("SELECT account_id FROM publications")] == ["acc_other"]
    assert [row.key_id for row in harness.execute("SELECT key_id FROM api_keys")] == ["key_ws_2"]


def test_erased_post_leaves_its_account_alone(harness: Harness, client: RedisClient) -> None:
    fill(harness, client)
    with harness.engine.connect() as connection:
        (erased,) = subject.posts(connection, "acc_gone_1")
    code = request(harness, erased)

    run(harness, client)

    assert certificate(harness, code).rows["snapshots"] == 5
    assert traces(harness, client, "post_acc_gone1") == []
    assert len(harness.execute("SELECT FROM publications WHERE account_id = 'acc_gone'")) == 2
    assert harness.execute("SELECT state FROM accounts WHERE account_id = 'acc_gone'") == [("active",)]


def test_post_that_another_account_has_too_is_no_trace(harness: Harness, client: RedisClient) -> None:
    fill(harness, client)
    code = request_account(harness)

    run(harness, client)

    assert certificate(harness, code).clean
    assert traces(harness, client, SHARED_POST) != []


def test_first_transaction_destroys_tokens_and_ends_polling(harness: Harness, client: RedisClient) -> None:
    fill(harness, client)

    request_account(harness)

    stored = harness.execute("SELECT * FROM accounts WHERE account_id = 'acc_gone'")[0]
    assert (stored.sealed_access_token, stored.sealed_refresh_token, stored.state) == (
        None,
        None,
        "disconnected",
    )
    polled = harness.execute(
        "SELECT account_id FROM refresh_state WHERE next_run_at IS NOT NULL GROUP BY account_id"
    )
    assert polled == [("acc_kept",)]


def test_refresh_in_flight_writes_nothing_once_the_erasure_has_begun(
    harness: Harness, client: RedisClient
) -> None:
    (one,) = harness.publications(harness.account("acc_gone"), claim_seq=1, reason="claimed")
    harness.execute("UPDATE refresh_state SET claimed_at = now(), next_run_at = now() + interval '1 minute'")

    def answer(*_: object) -> object:
        request_account(harness)
        return reads(views=20)(*_)  # type: ignore[arg-type]

    harness.adapter.script = answer  # type: ignore[assignment]
    refresh(RefreshJob("acc_gone", ((one, 1),)), harness.context)

    assert harness.adapter.requested
    assert harness.execute("SELECT FROM snapshots") == []
    row = harness.state(one)
    assert (row.metrics, row.reason, row.next_run_at) == ({}, "blocked", None)
    run(harness, client)
    assert traces(harness, client, "acc_gone") == []


@pytest.mark.parametrize("failing", range(12))
def test_erasure_that_stops_before_any_commit_is_resumed(
    harness: Harness, client: RedisClient, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    fill(harness, client)
    monkeypatch.setattr(rows, "PUBLICATIONS_AT_ONCE", 1)
    code = request_account(harness)
    hits = Counter[str]()

    def stop(name: str, *_: object) -> None:
        hits[name] += 1
        if name == "erasing" and hits[name] == failing + 1:
            raise RuntimeError

    monkeypatch.setattr("shared.observability.failpoints.hit", stop)
    try:
        run(harness, client)
    except RuntimeError:
        run(harness, client)

    assert traces(harness, client, "acc_gone") == []
    assert certificate(harness, code).rows["snapshots"] == 15


@pytest.mark.parametrize("batch", [20, 8])  # two publications of 9 rows, less than one
def test_step_deletes_no_more_rows_than_a_batch(
    harness: Harness, client: RedisClient, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    fill(harness, client)
    monkeypatch.setattr(rows, "BATCH", batch)
    monkeypatch.setattr(rows, "PUBLICATIONS_AT_ONCE", 3)
    request_account(harness)

    steps = run(harness, client)

    totals = [0, *(done.deleted for done in steps if done.phase in {"rows", "names"})]
    assert max(after - before for before, after in pairwise(totals)) <= batch
    assert traces(harness, client, "acc_gone") == []


def test_row_in_a_table_that_nobody_knows_is_found_and_the_erasure_stays_open(
    harness: Harness, client: RedisClient
) -> None:
    fill(harness, client)
    harness.execute("CREATE TABLE notes (note TEXT)")
    harness.execute("INSERT INTO notes VALUES ('call acc_gone back'), ('acc_gone2')")
    code = request_account(harness)

    last = run(harness, client)[-1]

    assert (last.left_over, last.unclassified) == ({"notes": 1}, ("notes",))
    open_one = certificate(harness, code)
    assert (open_one.ended_at, open_one.clean) == (None, False)
    assert open_one.scan is not None
    assert open_one.scan["found"] == {"notes": 1}
    harness.execute("DELETE FROM notes")
    harness.execute("UPDATE erasures SET resume_after = now()")
    run(harness, client)
    assert certificate(harness, code).clean


def test_new_table_with_a_key_column_is_erased_without_a_change(
    harness: Harness, client: RedisClient
) -> None:
    fill(harness, client)
    harness.execute("CREATE TABLE visits (publication_id BIGINT PRIMARY KEY, workspace_id TEXT, gone JSONB)")
    harness.execute(
        "CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO visits"
        " SELECT id, workspace_id, jsonb_build_object('post_id', post_id) FROM removed; RETURN NULL; END $$"
    )
    harness.execute(
        "CREATE TRIGGER noted AFTER DELETE ON publications REFERENCING OLD TABLE AS removed"
        " FOR EACH STATEMENT EXECUTE FUNCTION note_change()"
    )
    code = request_account(harness)

    run(harness, client)

    assert certificate(harness, code).rows["visits"] == 3
    assert harness.execute("SELECT FROM visits") == []
