"""Retention: months of readings become one reading a day and go; nobody waits, nothing newest is lost."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from shared.retention import expiry, roll_up
from shared.retention import run as module
from shared.retention.expiry import Unit
from shared.retention.policy import DataClass, Retention
from shared.retention.run import Run, WaitingError, _locked, step
from shared.vocabulary import Platform
from tests.harness import Harness
from tests.shared.retention.history import DAY, make_months, month_start, reading, run, stored

HOUR = timedelta(hours=1)


def partitions(harness: Harness, table: str = "snapshots") -> set[str]:
    rows = harness.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ ('^' || :table || '_')", table=table
    )
    return {row.relname for row in rows}


def test_month_becomes_the_last_reading_of_each_day(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll_up, "PUBLICATIONS_AT_ONCE", 1)
    one, other = harness.publications(harness.account("acc_1"), 2)
    old, recent = make_months(harness, 6, 1)
    start, last = month_start(6), month_start(5) - month_start(6) - HOUR
    for at, views in ((HOUR, 1), (23 * HOUR, 2), (DAY, None), (DAY + HOUR, 4), (last, 5)):
        reading(harness, one, start + at, views)
    reading(harness, other, start + 2 * DAY, 7)
    reading(harness, one, month_start(1), 9, newest=True)
    reading(harness, other, month_start(1), 9, newest=True)

    done = run(harness)

    assert [step.what for step in done] == [
        "default_removed",
        *("rolled_up",) * 3,
        "detached",
        "dropped",
    ]
    assert stored(harness, "daily_snapshots") == [
        (one, start + 23 * HOUR, {"views": 2}),
        (one, start + DAY + HOUR, {"views": 4}),
        (one, start + last, {"views": 5}),
        (other, start + 2 * DAY, {"views": 7}),
    ]
    assert stored(harness, "last_snapshots") == []
    assert old not in partitions(harness)
    assert {recent, f"daily_{old}"} <= partitions(harness) | partitions(harness, "daily_snapshots")
    assert not done[-1].again, "one month a run"


def test_newest_reading_of_a_post_outlives_its_month(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    make_months(harness, 20)
    at = month_start(20) + DAY
    reading(harness, one, at - HOUR, 1)
    reading(harness, one, at, 2, newest=True)

    run(harness)

    assert (stored(harness, "snapshots"), stored(harness, "daily_snapshots")) == ([], [])
    assert stored(harness, "last_snapshots") == [(one, at, {"views": 2})]
    assert partitions(harness, "daily_snapshots") == set()


def test_months_within_the_limit_stay(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    make_months(harness, 2, 1)
    for months_ago in (2, 1, 0):
        reading(harness, one, month_start(months_ago), 1)

    assert [done.what for done in run(harness)] == []
    assert len(stored(harness, "snapshots")) == 3


def test_long_transaction_delays_the_drop_and_no_reader(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    (old,) = make_months(harness, 6)
    reading(harness, one, month_start(6), 1)
    policy = Retention.parse("on")
    for what in ("default_removed", "rolled_up"):
        done = step(harness.engine, policy)
        assert done is not None
        assert done.what == what

    with harness.engine.connect() as long_one:
        long_one.execute(text("SELECT count(*) FROM snapshots"))
        with pytest.raises(WaitingError):
            step(harness.engine, policy)
        assert stored(harness, "snapshots") == [], (
            "a new reader does not wait, and sees the detached month no more"
        )
        with pytest.raises(WaitingError):
            step(harness.engine, policy)

    assert [done.what for done in run(harness)] == ["detach_finished", "dropped"]
    assert old not in partitions(harness)
    assert len(stored(harness, "daily_snapshots")) == 1


def test_month_that_waits_for_a_lock_keeps_no_other_class_from_being_removed(harness: Harness) -> None:
    make_months(harness, 6)
    harness.execute("INSERT INTO events_seen VALUES ('evt_old', now() - interval '40 days')")
    one_run = Run(harness.engine, Retention.parse("on"))

    with harness.engine.begin() as other:
        other.execute(text("LOCK TABLE snapshots IN ACCESS SHARE MODE"))
        done = one_run.step()
        with pytest.raises(WaitingError):
            one_run.step()

    assert done is not None
    assert (done.what, done.subject) == ("expired", "events_seen")


def test_statement_that_takes_too_long_is_left_to_the_next_run(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(connection: Connection) -> int:
        connection.execute(text("SET LOCAL statement_timeout = 1"))
        return connection.execute(text("SELECT pg_sleep(30)")).rowcount

    monkeypatch.setattr(module, "units", lambda _: [Unit("slow", DataClass.EVENTS, DAY, slow, 1)])
    with pytest.raises(WaitingError, match="statement timeout"):
        step(harness.engine, Retention.parse("on"))


def test_step_leaves_the_work_to_a_run_that_is_under_way(harness: Harness) -> None:
    harness.execute("INSERT INTO events_seen VALUES ('evt_old', now() - interval '40 days')")
    policy = Retention.parse("on")

    with _locked(harness.engine) as under_way:
        assert under_way is not None
        assert step(harness.engine, policy) is None

    done = step(harness.engine, policy)
    assert done is not None
    assert done.subject == "events_seen"


def test_rows_of_the_default_partition_move_to_their_months(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    make_months(harness, 6)
    stray = month_start(3) + DAY
    reading(harness, one, stray, 3)

    run(harness, "on,readings=130d")

    assert stored(harness, "snapshots") == [(one, stray, {"views": 3})]
    assert "snapshots_default" not in partitions(harness)
    assert f"snapshots_{stray:%Y_%m}" in partitions(harness)


def test_month_that_somebody_else_detached_stays(harness: Harness) -> None:
    (old,) = make_months(harness, 6)
    harness.execute(f"ALTER TABLE snapshots DETACH PARTITION {old}")

    run(harness)

    assert old in partitions(harness)


def test_publication_that_was_deleted_during_the_roll_up_leaves_no_row(harness: Harness) -> None:
    one, other = harness.publications(harness.account("acc_1"), 2)
    make_months(harness, 6)
    for publication in (one, other):
        reading(harness, publication, month_start(6), 1, newest=True)
    policy = Retention.parse("on")
    step(harness.engine, policy)
    step(harness.engine, policy)

    harness.execute("DELETE FROM publications WHERE id = :id", id=one)

    assert {row[0] for row in stored(harness, "daily_snapshots")} == {other}
    assert {row[0] for row in stored(harness, "last_snapshots")} == {other}


def test_linkedin_goes_before_its_month_and_members_are_not_rolled_up(harness: Harness) -> None:
    (page,) = harness.publications(harness.account("acc_page", Platform.LINKEDIN, kind="organization"))
    (member,) = harness.publications(harness.account("acc_member", Platform.LINKEDIN, kind="member"))
    (other,) = harness.publications(harness.account("acc_x", Platform.X))
    make_months(harness, 12, 4)
    now = harness.execute("SELECT now() AS now")[0].now
    for publication in (page, member, other):
        for at in (now - 370 * DAY, month_start(4), now - 3 * DAY, now - DAY):
            reading(harness, publication, at, 1, newest=at == now - DAY)

    run(harness)
    run(harness)
    run(harness)

    raw, daily = stored(harness, "snapshots"), stored(harness, "daily_snapshots")
    assert [row[:2] for row in raw if row[0] == member] == [(member, now - DAY)]
    assert len([row for row in raw if row[0] == page]) == 2
    assert [row[:2] for row in daily] == [
        (page, month_start(4)),
        (other, now - 370 * DAY),
        (other, month_start(4)),
    ]


def test_post_that_is_gone_at_x_loses_its_text_and_counters(harness: Harness) -> None:
    ids = {}
    for platform in (Platform.X, Platform.TIKTOK):
        (ids[platform],) = harness.publications(
            harness.account(f"acc_{platform}", platform), next_run_at=None
        )
        reading(harness, ids[platform], month_start(0), 5, newest=True)
    (there,) = harness.publications(harness.account("acc_there", Platform.X))
    reading(harness, there, month_start(0), 5, newest=True)
    harness.execute("UPDATE publications SET text = 'words'")
    harness.execute(
        "UPDATE post_analytics SET outcome = 'gone', sync_status = 'failed', attempted_at = now()"
        " WHERE publication_id = ANY(:ids)",
        ids=list(ids.values()),
    )

    assert [(done.what, done.subject) for done in run(harness)] == [("expired", "gone x")]

    texts = harness.execute(
        "SELECT id, text, metrics FROM publications JOIN post_analytics ON id = publication_id"
    )
    assert {row.id: (row.text, row.metrics) for row in texts} == {
        ids[Platform.X]: (None, {}),
        ids[Platform.TIKTOK]: ("words", {"views": 5}),
        there: ("words", {"views": 5}),
    }
    assert {row[0] for row in stored(harness, "snapshots")} == {ids[Platform.TIKTOK], there}


def test_disconnected_account_is_erased_after_its_window(harness: Harness) -> None:
    long_ago = harness.execute("SELECT now() - interval '31 days' AS at")[0].at
    for name, platform, at in (
        ("old", Platform.X, long_ago),
        ("recent", Platform.X, long_ago + 2 * DAY),
        ("linkedin", Platform.LINKEDIN, long_ago + 30 * DAY),
    ):
        harness.account(f"acc_{name}", platform, state="disconnected", state_reason="", state_changed_at=at)

    run(harness)

    marked = harness.execute("SELECT account_id FROM accounts WHERE erasure IS NOT NULL ORDER BY 1")
    assert [row.account_id for row in marked] == ["acc_linkedin", "acc_old"]
    assert {row.source for row in harness.execute("SELECT source FROM erasures")} == {"retention"}


def test_small_tables_lose_old_rows_in_batches(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "BATCH", 2)
    harness.execute(
        "INSERT INTO events_seen"
        " SELECT 'evt_' || n, now() - n * interval '10 days' FROM generate_series(0, 7) n"
    )
    harness.execute(
        "INSERT INTO operator_acts (operator, via, act, subject, ended_at)"
        " SELECT 'ann', 'page', 'pause', '{}', CASE WHEN n < 2 THEN now() - n * interval '401 days' END"
        " FROM generate_series(0, 2) n"
    )

    run(harness)

    assert len(harness.execute("SELECT FROM events_seen")) == 3
    assert len(harness.execute("SELECT FROM operator_acts")) == 2
