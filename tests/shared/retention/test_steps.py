"""The order of retention's steps: which is next, when a unit runs again, and what is noted."""

from datetime import timedelta

from sqlalchemy import text

from shared.retention.expiry import units
from shared.retention.policy import Retention
from shared.retention.run import step
from tests.harness import Harness
from tests.shared.retention.history import DAY, make_months, month_start, reading, run

POLICY = Retention.parse("on")


def test_units_run_again_after_their_period_and_full_ones_at_once(harness: Harness) -> None:
    noted = {one.name: one.period for one in units(POLICY)}
    assert noted["events_seen"] == DAY
    assert noted["gone x"] == noted["snapshots linkedin_member"] == timedelta(hours=1)
    assert run(harness) == []
    ends = dict(map(tuple, harness.execute("SELECT unit, ended_at FROM retention_runs")))
    assert set(ends) == set(noted)
    harness.execute("INSERT INTO events_seen VALUES ('evt', now() - interval '40 days')")
    for age, done in (("23 hours", False), ("24 hours", True)):
        harness.execute(f"UPDATE retention_runs SET ended_at = now() - interval '{age}'")
        assert ([one.subject for one in run(harness)] == ["events_seen"]) is done


def test_each_step_but_the_drop_is_followed_by_another_and_the_drop_is_noted(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    old, _ = make_months(harness, 7, 6)
    for month in (7, 6):
        reading(harness, one, month_start(month), 1)
    note = "SELECT unit, month, ended_at IS NOT NULL FROM retention_runs WHERE unit = 'detach snapshots'"

    done = [step(harness.engine, POLICY) for _ in range(3)]
    start = month_start(7).date()
    assert [tuple(row) for row in harness.execute(note)] == [("detach snapshots", start, False)]
    done.append(step(harness.engine, POLICY))

    assert [(each.what, each.again) for each in done if each] == [
        ("default_removed", True),
        ("rolled_up", True),
        ("detached", True),
        ("dropped", False),
    ]
    assert [tuple(row) for row in harness.execute(note)] == [("detach snapshots", start, True)]
    assert {each.subject for each in done[1:] if each} == {old}, "the oldest month goes first"
    run(harness)
    harness.execute(f"CREATE TABLE {old} (LIKE snapshots)")
    run(harness)
    assert harness.execute("SELECT to_regclass(:name)::text", name=old) == [(old,)], "a restored month stays"


def test_another_session_that_works_is_not_disturbed(harness: Harness) -> None:
    harness.execute("INSERT INTO events_seen VALUES ('evt', now() - interval '40 days')")
    with harness.engine.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(7205719341)"))
        assert step(harness.engine, POLICY) is None
    done = step(harness.engine, POLICY)
    assert done is not None
    assert (done.what, done.subject, done.rows) == ("expired", "events_seen", 1)
