"""Refresh on read: which rows become due, and how often."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api_stub.refresh.fake_worker import HOUR, LATER, NOW, PENDING, STALE, both, worker
from tests.api_stub.support import POSTS, Api

READS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    (STALE, LATER, "read"),
    (PENDING, {"reason": "new", **LATER}, "read"),
    ({}, LATER, None),
    (STALE, {"next_run_at": NOW - HOUR}, None),
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
