"""The payload of a notification: the trace context of exactly the claims that it announces."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from shared.refresh_state.make_due import MAKE_DUE, parameters
from shared.refresh_state.notifications import REFRESHED_CHANNEL, due_payload, notify_refreshed
from shared.vocabulary import Reason
from tests.harness import Harness
from tests.servers import connect

CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOW = datetime.now(UTC)


def test_without_tracing_the_payload_is_empty() -> None:
    assert due_payload([(1, 5)]) == ""


def test_payload_names_the_claims_that_have_not_begun_150_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.observability.tracing.traceparent", lambda: CONTEXT)

    payload = due_payload([(0, None), *((one, 5) for one in range(1, 200))])

    assert json.loads(payload) == {"traceparent": CONTEXT, "claims": [[one, 5] for one in range(1, 151)]}


def test_next_claim_of_a_row_counts_its_claim_seq_unless_a_worker_has_it(harness: Harness) -> None:
    harness.account("acc_1")
    waiting, expired, in_flight = (
        {"next_run_at": NOW + timedelta(hours=1), "claim_seq": 4},
        {"next_run_at": NOW - timedelta(hours=1), "claimed_at": NOW - timedelta(hours=2), "claim_seq": 7},
        {"next_run_at": NOW + timedelta(hours=1), "claimed_at": NOW, "claim_seq": 9},
    )
    ids = []
    for state in (waiting, expired, in_flight):
        ids += harness.publications("acc_1", 1, **state)
        harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id, post_id = 'post_' || id")

    with harness.engine.begin() as connection:
        rows = connection.execute(text(MAKE_DUE), parameters("ws_1", ids, Reason.FORCED))
        next_claims = {row.publication_id: row.next_claim for row in rows}

    assert next_claims == dict(zip(ids, (5, 8, None), strict=True))


def test_readers_are_notified_of_their_rows_and_of_nothing_else(harness: Harness, database_url: str) -> None:
    with connect(database_url) as listening:
        listening.execute(f"LISTEN {REFRESHED_CHANNEL}")
        for ids in ([7, 9], []):
            with harness.engine.begin() as connection:
                notify_refreshed(connection, ids)
        with harness.engine.begin() as connection:
            notify_refreshed(connection, [3])

        payloads = [one.payload for one in listening.notifies(timeout=30, stop_after=2)]

    assert payloads == ["7,9", "3"]
