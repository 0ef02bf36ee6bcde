"""What X's reads cost: counted by UTC day and month, held before they happen, stopped at a budget."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from shared.quota import spending
from shared.quota.spending import Caps, Held, Shortage
from shared.settings import Settings
from tests.harness import Harness


def hold(harness: Harness, reads: int, caps: Caps) -> Held | Shortage:
    with harness.engine.begin() as connection:
        return spending.hold(connection, reads, caps)


def settle(harness: Harness, held: Held | Shortage, billed: int) -> None:
    assert isinstance(held, Held)
    with harness.engine.begin() as connection:
        spending.settle(connection, held, billed)


def test_dollars_become_reads_and_x_s_own_cap_holds_beside_them() -> None:
    assert Caps.of(Settings(x_daily_budget_dollars=0.35)).per_day == 70
    assert Caps.of(Settings(x_monthly_budget_dollars=10)).per_month == 2_000
    assert Caps.of(Settings(x_monthly_budget_dollars=1e6)).per_month == 3_000_000
    assert Caps.of(Settings(x_daily_budget_dollars=0)).per_day == 0
    assert spending.dollars(2_001, Settings()) == 10.005


def test_a_day_s_budget_ends_at_the_next_utc_midnight(harness: Harness) -> None:
    caps = Caps(per_day=10, per_month=100)
    settle(harness, hold(harness, 8, caps), 8)

    shortage = hold(harness, 3, caps)

    assert isinstance(shortage, Shortage)
    assert shortage.spent
    assert shortage.until == (datetime.now(UTC) + timedelta(days=1)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    assert isinstance(hold(harness, 2, caps), Held), "what fits is held"


def test_a_month_s_budget_counts_its_other_days_and_not_the_month_before(harness: Harness) -> None:
    first = datetime.now(UTC).date().replace(day=1)
    for day, reads in ((first - timedelta(days=1), 1_000), (first, 90)):
        harness.execute(
            "INSERT INTO post_reads (platform, day, reads) VALUES ('x', :day, :reads)", day=day, reads=reads
        )
    caps = Caps(per_day=10**9, per_month=100)

    shortage = hold(harness, 11, caps)

    assert isinstance(shortage, Shortage)
    assert (shortage.until.day, shortage.until.hour) == (1, 0)
    assert isinstance(hold(harness, 10, caps), Held)


def test_what_is_held_and_not_billed_is_given_back(harness: Harness) -> None:
    caps = Caps(per_day=10, per_month=100)
    held = hold(harness, 10, caps)
    waiting = hold(harness, 1, caps)
    settle(harness, held, 0)

    assert isinstance(waiting, Shortage)
    assert not waiting.spent
    assert waiting.until < datetime.now(UTC) + timedelta(minutes=2)
    assert isinstance(hold(harness, 10, caps), Held)


def test_jobs_at_once_never_overdraw_a_budget(harness: Harness) -> None:
    caps = Caps(per_day=30, per_month=10**9)
    with ThreadPoolExecutor(5) as workers:
        answers = list(workers.map(lambda _: hold(harness, 4, caps), range(20)))

    assert sum(isinstance(answer, Held) for answer in answers) == 7
    assert harness.execute("SELECT held FROM post_reads") == [(28,)]


def test_only_the_first_read_of_a_utc_day_is_new() -> None:
    now = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
    ats = [None, now - timedelta(minutes=31), now - timedelta(minutes=30), now]

    assert spending.unread(ats, now) == 2


def test_a_larger_budget_lifts_the_pause_of_a_spent_one_and_no_other(harness: Harness) -> None:
    for kind, subject in (("app", spending.PAUSE.subject), ("app", ""), ("account", "acc_1")):
        harness.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            " VALUES ('x', :kind, :subject, now() + interval '1 hour', '')",
            kind=kind,
            subject=subject,
        )
    settle(harness, hold(harness, 10, Caps(10, 100)), 10)

    def lifted(caps: Caps) -> bool:
        with harness.engine.begin() as connection:
            return spending.lift_outgrown_pause(connection, caps)

    assert (lifted(Caps(10, 100)), lifted(Caps(11, 100)), lifted(Caps(11, 100))) == (False, True, False)
    assert harness.execute("SELECT kind, subject FROM pauses ORDER BY kind") == [
        ("account", "acc_1"),
        ("app", ""),
    ]


def test_jobs_at_once_never_overdraw_a_month_s_budget_of_which_days_were_spent(harness: Harness) -> None:
    today = datetime.now(UTC).date()
    first = today.replace(day=1)
    spent_before = 0
    for day, reads in ((first - timedelta(days=1), 500), (first, 40)):
        if day != today:
            harness.execute(
                "INSERT INTO post_reads (platform, day, reads, held) VALUES ('x', :day, :reads, 3)",
                day=day,
                reads=reads,
            )
            spent_before += reads if day >= first else 0
    caps = Caps(per_day=10**9, per_month=spent_before + 30)
    with ThreadPoolExecutor(5) as workers:
        answers = list(workers.map(lambda _: hold(harness, 4, caps), range(20)))

    assert sum(isinstance(answer, Held) for answer in answers) == 7
    assert harness.execute("SELECT held FROM post_reads WHERE day = :day", day=today) == [(28,)]


def test_what_was_read_and_what_is_held_count_together_and_one_read_more_is_too_many(
    harness: Harness,
) -> None:
    for caps in (Caps(per_day=10, per_month=10**9), Caps(per_day=10**9, per_month=10)):
        harness.execute("DELETE FROM post_reads")
        assert isinstance(hold(harness, 11, caps), Shortage), "more than the whole budget, on a fresh day"
        first = hold(harness, 6, caps)
        second = hold(harness, 4, caps)
        assert (isinstance(first, Held), isinstance(second, Held)) == (True, True)
        assert hold(harness, 1, caps) != second

        settle(harness, first, 5)
        assert harness.execute("SELECT reads, held FROM post_reads") == [(5, 4)]
        assert isinstance(hold(harness, 2, caps), Shortage)
        assert isinstance(hold(harness, 1, caps), Held)
        settle(harness, second, 4)
        settle(harness, second, 0)
        assert harness.execute("SELECT reads, held FROM post_reads") == [(9, 0)], (
            "what is held is never below 0"
        )


def test_a_settlement_counts_on_the_day_of_its_hold_alone(harness: Harness) -> None:
    caps = Caps(10**9, 10**9)
    held = hold(harness, 5, caps)
    assert isinstance(held, Held)
    harness.execute(
        "INSERT INTO post_reads (platform, day, reads, held) VALUES ('x', :day, 1, 7),"
        " ('facebook', :today, 1, 7)",
        day=held.day - timedelta(days=1),
        today=held.day,
    )

    settle(harness, held, 2)

    rows = harness.execute("SELECT platform, day, reads, held FROM post_reads ORDER BY platform, day")
    assert [tuple(row) for row in rows] == [
        ("facebook", held.day, 1, 7),
        ("x", held.day - timedelta(days=1), 1, 7),
        ("x", held.day, 2, 0),
    ]


def test_a_shortage_says_which_budget_and_until_when(harness: Harness) -> None:
    settle(harness, hold(harness, 8, Caps(100, 100)), 8)
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    next_month = (now.replace(day=1) + timedelta(days=32)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )

    month, day = hold(harness, 3, Caps(100, 10)), hold(harness, 3, Caps(10, 100))
    both = hold(harness, 3, Caps(10, 10))

    assert month == both == Shortage(next_month, "This month's budget for reads at X is spent.")
    assert day == Shortage(midnight, "Today's budget for reads at X is spent.")
    with harness.engine.connect() as connection:
        assert spending.spent(connection) == spending.Spent(today=8, this_month=8)
        assert not isinstance(hold(harness, 2, Caps(10, 10)), Shortage), "the last one fits exactly"


def test_what_stands_in_the_way_is_only_held_or_really_spent(harness: Harness) -> None:
    harness.execute(
        "INSERT INTO post_reads (platform, day, reads, held)"
        " VALUES ('facebook', CAST(now() AT TIME ZONE 'UTC' AS date), 1000, 1000)"
    )
    for caps in (Caps(per_day=10, per_month=10**9), Caps(per_day=10**9, per_month=10)):
        harness.execute("DELETE FROM post_reads WHERE platform = 'x'")
        assert isinstance(hold(harness, 4, caps), Held)
        with harness.engine.begin() as connection:
            now = connection.exec_driver_sql("SELECT now()").scalar_one()
            shortage = spending.hold(connection, 10, caps)

        assert isinstance(shortage, Shortage)
        assert (shortage.until, shortage.spent) == (now + timedelta(seconds=30), False)


def test_an_unset_budget_and_a_price_of_nothing_allow_all() -> None:
    assert Caps.of(Settings()) == Caps(2**62, 3_000_000)
    assert Caps.of(Settings(x_daily_budget_dollars=1, x_dollars_per_read=0)).per_day == 2**62
    assert Caps.of(Settings(x_daily_budget_dollars=0.035)).per_day == 7


READ_AT = """
SELECT number
  FROM (SELECT CAST(now() AT TIME ZONE 'UTC' AS date)::timestamp AT TIME ZONE 'UTC' AS midnight) m,
       LATERAL (VALUES (1, NULL), (2, midnight - interval '1 microsecond'), (3, midnight), (4, now()))
               AS pa (number, last_updated_at)
 WHERE """


def test_a_read_costs_again_from_the_next_utc_midnight_on(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'Pacific/Kiritimati'")
        found = connection.exec_driver_sql(READ_AT + spending.UNREAD_TODAY).scalars()

        assert list(found) == [1, 2]
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    assert spending.unread([midnight], midnight + timedelta(hours=1, microseconds=5)) == 0
