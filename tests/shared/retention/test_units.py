"""Each unit of retention by itself: which rows go, what stays beside them, and what is noted."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from shared.retention import expiry, months, roll_up
from shared.retention.expiry import Unit, units
from shared.retention.months import Month
from shared.retention.policy import DataClass, Group, Retention
from shared.retention.status import ClassStatus, status
from shared.vocabulary import Platform
from tests.harness import Harness
from tests.shared.retention.history import DAY, make_months, month_start, reading, stored

POLICY = Retention.parse("on")


def month(year: int, number: int, *, attached: bool = True) -> Month:
    name = f"snapshots_{year}_{number:02}"
    return Month("snapshots", name, date(year, number, 1), attached, pending=False, rows=0, bytes=0)


@pytest.mark.parametrize(
    ("start", "end"), [((2025, 12), (2026, 1)), ((2026, 1), (2026, 2)), ((2028, 2), (2028, 3))]
)
def test_month_ends_where_the_next_one_begins(start: tuple[int, int], end: tuple[int, int]) -> None:
    assert month(*start).end == datetime(*end, 1, tzinfo=UTC)


def test_oldest_attached_month_expires_with_its_last_instant() -> None:
    now = datetime(2026, 6, 11, tzinfo=UTC)
    all_months = [month(2025, 12, attached=False), month(2026, 3), month(2026, 4)]

    assert months.expired(all_months, 71 * DAY, now) == all_months[1]
    assert months.expired(all_months, 71 * DAY + timedelta(microseconds=1), now) is None
    assert months.expired(all_months, timedelta(0), now) == all_months[1]
    assert months.expired(all_months, None, now) is None


def test_months_are_those_of_the_table_in_this_schema(harness: Harness) -> None:
    names = make_months(harness, 5, 6)
    harness.execute("CREATE SCHEMA elsewhere")
    harness.execute("CREATE TABLE elsewhere.snapshots_2020_01 ()")
    harness.execute("CREATE TABLE old_snapshots_2020_02 ()")
    harness.execute("CREATE TABLE snapshots_2020_03_copy ()")
    with harness.engine.begin() as connection:
        listed = [one.name for one in months.months(connection, "snapshots")]
        months.make_daily_month(connection, date(2026, 5, 1))
        months.make_daily_month(connection, date(2026, 5, 1))
        assert [one.name for one in months.months(connection, "daily_snapshots")] == [
            "daily_snapshots_2026_05"
        ]
    assert listed == sorted(listed)
    assert set(names) <= set(listed)
    assert not [name for name in listed if "2020" in name]


def test_roll_up_writes_only_what_may_be_kept_and_renews_the_newest(harness: Harness) -> None:
    (member,) = harness.publications(harness.account("acc_member", Platform.LINKEDIN, kind="member"))
    (page,) = harness.publications(harness.account("acc_page", Platform.LINKEDIN, kind="organization"))
    (other,) = harness.publications(harness.account("acc_x", Platform.X))
    make_months(harness, 5)
    at = month_start(5) + DAY
    for one in (member, page, other):
        reading(harness, one, at - timedelta(hours=1), 1)
        reading(harness, one, at, 2, newest=one != other)
    harness.execute(
        "INSERT INTO last_snapshots VALUES (:id, now() - interval '1 year', now() - interval '1 year', 1,"
        " 'failed', '{}')",
        id=page,
    )
    with harness.engine.begin() as connection:
        (one_month,) = (m for m in months.months(connection, "snapshots") if m.start == month_start(5).date())
        assert not roll_up.is_rolled_up(connection, one_month)
        assert not roll_up.roll_up(connection, one_month, POLICY)
        assert roll_up.is_rolled_up(connection, one_month)
        assert not roll_up.is_rolled_up(connection, month(2020, 1))

    before = at - timedelta(hours=1)
    assert stored(harness, "daily_snapshots") == [
        (one, when, {"views": views}) for one in (page, other) for when, views in ((before, 1), (at, 2))
    ]
    newest = harness.execute(
        "SELECT publication_id, taken_at, last_seen_at, sync_status, metrics FROM last_snapshots"
    )
    assert [tuple(one) for one in newest] == [(page, at, at, "synced", {"views": 2})]


def rows_of(one: ClassStatus) -> int | None:
    return None if one.expired is None else one.expired.rows


def test_roll_up_leaves_no_publication_out_however_the_planner_finds_them(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll_up, "PUBLICATIONS_AT_ONCE", 3)
    ids = harness.publications(harness.account("acc_x", Platform.X), 20)
    make_months(harness, 5)
    for one in ids:
        reading(harness, one, month_start(5), 1)
    left = True
    while left:
        with harness.engine.begin() as connection:
            connection.execute(text("SET LOCAL enable_sort = off"))
            connection.execute(text("SET LOCAL enable_indexscan = off"))
            connection.execute(text("SET LOCAL enable_indexonlyscan = off"))
            every = months.months(connection, "snapshots")
            (old,) = (one for one in every if one.start == month_start(5).date())
            left = roll_up.roll_up(connection, old, POLICY)

    assert [one for one, *_ in stored(harness, "daily_snapshots")] == ids


def unit(name: str, policy: Retention = POLICY) -> Unit:
    return next(one for one in units(policy) if one.name == name)


def gone_posts(harness: Harness) -> dict[str, int]:
    """Store a post of each kind at X, all but the first of which stay as they are."""
    harness.account("acc_x", Platform.X)
    names = ("text", "metrics", "snapshots", "daily", "last", "purged", "recent", "there", "reconnect")
    ids = dict(zip(names, harness.publications("acc_x", len(names), next_run_at=None), strict=True))
    harness.execute(
        "UPDATE post_analytics SET outcome = 'gone', sync_status = 'failed',"
        " attempted_at = now() - interval '10 hours', snapshot_at = now()"
    )
    for column, name in (("outcome = 'completed'", "there"), ("attempted_at = now()", "recent")):
        harness.execute(f"UPDATE post_analytics SET {column} WHERE publication_id = :id", id=ids[name])
    harness.execute(
        "UPDATE post_analytics SET sync_status = 'requires_reconnect' WHERE publication_id = :id",
        id=ids["reconnect"],
    )
    harness.execute(
        "UPDATE publications SET text = 'words' WHERE id = ANY(:ids)",
        ids=[ids[name] for name in ("text", "recent", "there", "reconnect")],
    )
    harness.execute(
        "UPDATE post_analytics SET metrics = '{\"views\": 1}' WHERE publication_id = :id", id=ids["metrics"]
    )
    reading(harness, ids["snapshots"], month_start(0), 1)
    with harness.engine.begin() as connection:
        months.make_daily_month(connection, month_start(0).date())
    for table, name in (("daily_snapshots", "daily"), ("last_snapshots", "last")):
        harness.execute(
            f"INSERT INTO {table} VALUES (:id, :at, :at, 1, 'synced', '{{}}')",
            id=ids[name],
            at=month_start(0),
        )
    return ids


def test_gone_posts_lose_everything_that_they_still_have_once(harness: Harness) -> None:
    ids = gone_posts(harness)
    of_x = unit("gone x", Retention.parse("on,x:gone=9h"))

    with harness.engine.begin() as connection:
        (counted,) = (
            one
            for one in status(connection, Retention.parse("on,x:gone=9h"))
            if (one.kind, one.group) == (DataClass.GONE, Group.X)
        )
        assert (of_x.run(connection), of_x.run(connection)) == (5, 0)

    texts = harness.execute("SELECT id FROM publications WHERE text IS NOT NULL")
    assert {one for (one,) in texts} == {ids["recent"], ids["there"], ids["reconnect"]}
    assert [stored(harness, f"{kind}snapshots") for kind in ("", "daily_", "last_")] == [[], [], []]
    purged = harness.execute(
        "SELECT publication_id FROM post_analytics WHERE snapshot_at IS NULL AND metrics = '{}'"
    )
    assert {one for (one,) in purged} == {
        ids[name] for name in ("text", "metrics", "snapshots", "daily", "last")
    }
    assert rows_of(counted) == 2, "posts with text or counters; their history goes with them"


def test_gone_post_that_a_refresh_holds_is_waited_for(harness: Harness) -> None:
    ids = gone_posts(harness)
    of_x = unit("gone x")
    with harness.engine.begin() as busy, harness.engine.begin() as connection:
        busy.execute(
            text("SELECT FROM refresh_state WHERE publication_id = :id FOR UPDATE"), {"id": ids["text"]}
        )
        connection.execute(text("SET LOCAL lock_timeout = '200ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            of_x.run(connection)


def accounts(harness: Harness) -> None:
    for name, platform, kind, state, days in (
        ("x_old", Platform.X, None, "disconnected", 31),
        ("x_new", Platform.X, None, "disconnected", 29),
        ("x_reconnect", Platform.X, None, "requires_reconnect", 90),
        ("x_erased", Platform.X, None, "disconnected", 90),
        ("page", Platform.LINKEDIN, "organization", "disconnected", 2),
        ("unknown", Platform.LINKEDIN, None, "disconnected", 2),
        ("member", Platform.LINKEDIN, "member", "disconnected", 2),
    ):
        harness.account(
            name,
            platform,
            kind=kind,
            state=state,
            state_reason="",
            state_changed_at=datetime.now(UTC) - days * DAY,
            erasure="era_1" if name == "x_erased" else None,
        )


def test_disconnected_accounts_of_a_group_are_erased_after_its_window(harness: Harness) -> None:
    accounts(harness)
    expired: dict[Any, int] = {}
    with harness.engine.begin() as connection:
        for one in status(connection, POLICY):
            if one.kind is DataClass.DISCONNECTED and rows_of(one):
                expired[one.group] = rows_of(one) or 0
    assert expired == {Group.X: 1, Group.LINKEDIN: 2, Group.LINKEDIN_MEMBER: 1}

    for name, erased in (
        ("disconnected x", {"x_old"}),
        ("disconnected linkedin", {"page", "unknown"}),
        ("disconnected linkedin_member", {"member"}),
        ("disconnected tiktok", set[str]()),
    ):
        with harness.engine.begin() as connection:
            assert unit(name).run(connection) == len(erased)
        marked = harness.execute("SELECT subject->>'account_id' FROM erasures")
        assert {one for (one,) in marked} == erased
        harness.execute("DELETE FROM erasures")


def test_history_of_a_group_goes_after_its_last_confirmation(harness: Harness) -> None:
    (member,) = harness.publications(harness.account("acc_member", Platform.LINKEDIN, kind="member"))
    (page,) = harness.publications(harness.account("acc_page", Platform.LINKEDIN, kind="organization"))
    at = datetime.now(UTC) - 3 * DAY
    make_months(harness, 1)
    for one in (member, page):
        for hours in (0, 1):
            reading(harness, one, at + timedelta(hours=hours), 1)
    harness.execute(
        "UPDATE snapshots SET last_seen_at = now() WHERE publication_id = :id AND taken_at > :at",
        id=member,
        at=at,
    )

    with harness.engine.begin() as connection:
        assert unit("snapshots linkedin_member").run(connection) == 1

    left = [row[:2] for row in stored(harness, "snapshots")]
    assert left == [(member, at + timedelta(hours=1)), (page, at), (page, at + timedelta(hours=1))]


def test_batch_of_a_group_s_history_holds_old_readings_alone(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "BATCH", 1)
    (member,) = harness.publications(harness.account("acc_member", Platform.LINKEDIN, kind="member"))
    now = datetime.now(UTC)
    for hours in (1, 2, 60, 61):
        reading(harness, member, now - timedelta(hours=hours), 1)

    with harness.engine.begin() as connection:
        assert [unit("snapshots linkedin_member").run(connection) for _ in range(3)] == [1, 1, 0]

    assert len(stored(harness, "snapshots")) == 2


def test_limit_is_reached_at_its_instant_and_never_without_one(harness: Harness) -> None:
    harness.account("page", Platform.LINKEDIN, kind="organization", state="disconnected")
    harness.execute("INSERT INTO events_seen VALUES ('evt', now() - interval '9 years')")
    with harness.engine.begin() as connection:
        assert unit("events_seen", Retention.parse("on,events=forever")).run(connection) == 0
        connection.execute(text("UPDATE accounts SET state_changed_at = now()"))
        assert unit("disconnected linkedin").run(connection) == 1, "its limit is 0"


def test_status_of_small_tables_counts_what_is_beyond_the_limit(harness: Harness) -> None:
    harness.execute(
        "INSERT INTO events_seen SELECT 'evt_' || n, now() - n * interval '10 days'"
        " FROM generate_series(0, 7) n"
    )

    def events(**options: bool) -> ClassStatus:
        with harness.engine.begin() as connection:
            return next(one for one in status(connection, POLICY, **options) if one.kind is DataClass.EVENTS)

    assert (rows_of(events()), rows_of(events(counted=False))) == (5, None)
    assert events().limit == 30 * DAY
