"""The log of attempts is bounded, collapses equal ones, and is merged with the snapshots."""

from datetime import UTC, datetime, timedelta

from shared.attempt_log import KEPT, Attempt, attempts_of, store
from tests.harness import Harness

NOW = datetime.now(UTC)


def log(harness: Harness, one: int, outcome: str, sentence: str | None = None, seconds: float = 0.25) -> None:
    with harness.engine.begin() as connection:
        store(
            connection,
            [(one, outcome, sentence)],
            seconds=seconds,
            worker="host:1",
            request_id=f"r-{outcome}",
        )


def timeline(harness: Harness, one: int) -> list[Attempt]:
    with harness.engine.connect() as connection:
        return attempts_of(connection, one)


def test_equal_attempts_in_a_row_are_one_entry_with_its_first_instant(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    for seconds in (1.0, 2.0, 3.0):
        log(harness, one, "paused", "Limit.", seconds)
    log(harness, one, "retry", "Timed out.")
    log(harness, one, "paused", "Limit.", 4.0)

    newest, retry, first = timeline(harness, one)

    assert [(each.outcome, each.times, each.seconds) for each in (newest, retry, first)] == [
        ("paused", 1, 4.0),
        ("retry", 1, 0.25),
        ("paused", 3, 3.0),
    ]
    assert first.since < first.at < retry.at < newest.at
    assert (retry.sentence, retry.worker, retry.request_id) == ("Timed out.", "host:1", "r-retry")


def test_log_keeps_the_newest_entries_alone(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    for number in range(KEPT + 3):
        log(harness, one, "retry", f"Attempt {number}.")

    assert [each.sentence for each in timeline(harness, one)] == [
        f"Attempt {number}." for number in reversed(range(3, KEPT + 3))
    ]


def test_attempts_that_brought_numbers_are_the_snapshots(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    harness.execute(
        "INSERT INTO snapshots (publication_id, taken_at, last_seen_at, reads, claim_seq, sync_status,"
        " metrics) VALUES (:id, :taken, :seen, 4, 1, 'synced', '{}')",
        id=one,
        taken=NOW - timedelta(hours=5),
        seen=NOW - timedelta(hours=1),
    )
    log(harness, one, "retry")

    retry, synced = timeline(harness, one)

    assert retry.outcome == "retry"
    assert (synced.outcome, synced.times, synced.worker) == ("synced", 4, None)
    assert (synced.since, synced.at) == (NOW - timedelta(hours=5), NOW - timedelta(hours=1))


def test_last_attempt_that_was_recorded_for_the_whole_account_is_shown(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    assert timeline(harness, one) == []
    harness.execute(
        "UPDATE post_analytics SET attempted_at = now(), outcome = 'requires_reconnect',"
        " outcome_detail = 'Dead.'"
    )

    (last,) = timeline(harness, one)

    assert (last.outcome, last.sentence, last.worker) == ("requires_reconnect", "Dead.", None)


def test_log_goes_with_its_publication(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    log(harness, one, "retry")

    harness.execute("DELETE FROM publications")

    assert harness.execute("SELECT FROM attempt_logs") == []


def test_readings_say_why_they_were_due_again_under_the_policy_of_their_time(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    plans = [
        '{"policy": "fixed:6h"}',
        '{"policy": "adaptive", "hours": 0.95, "because": "fell"}',
        None,
    ]
    for hours, plan in enumerate(plans):
        harness.execute(
            "INSERT INTO snapshots (publication_id, taken_at, last_seen_at, claim_seq, sync_status, metrics,"
            " freshness) VALUES (:id, :at, :at, 1, 'synced', '{}', CAST(:plan AS jsonb))",
            id=one,
            at=NOW - timedelta(hours=hours),
            plan=plan,
        )

    assert [each.freshness for each in timeline(harness, one)] == [
        "every row is refreshed 6 h after its last successful read",
        "the number fell, so the row is refreshed again within an hour: 57 min after the refresh",
        None,
    ]
