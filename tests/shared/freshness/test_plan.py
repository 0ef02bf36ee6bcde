"""From a refresh to ``stale_after``: the rule with each platform's peculiarities."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.freshness.leading import leading_value
from shared.freshness.plan import Known, Plan, Planner, part_of_row, prior_of, state_of
from shared.freshness.policy import Freshness
from shared.freshness.priors import PRIORS, parse_priors
from shared.freshness.rule import Prior, State, interval_of, next_interval
from shared.vocabulary import Platform

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
STATE = {
    "age": 9.0,
    "value": 100.0,
    "observed": 8.0,
    "expected": 6.0,
    "reads": 2.0,
    "expected_reads": 1.0,
    "counted": 40,
}


def planner(platform: Platform = Platform.LINKEDIN, pressure: float = 1.0) -> Planner:
    return Planner(Freshness(), platform, PRIORS[platform], pressure)


def known(
    age: timedelta = 10 * HOUR,
    stored: dict[str, Any] | None = None,
    *,
    row: int = 7,
    reads: int = 43,
    **more: Any,
) -> Known:
    return Known(row, NOW - age, more.get("media_type"), stored, reads)


def hours(plan: Plan) -> float:
    return (plan.stale_after - NOW) / HOUR


def test_plan_follows_the_rule_with_jitter_and_stores_what_explains_it() -> None:
    expected = next_interval(10, 140, 3, State(9, 100, 8, 6, 2, 1), PRIORS[Platform.LINKEDIN], 1.5)

    plans = [planner(pressure=1.5).plan(known(stored=STATE, row=row), 140, NOW) for row in range(1, 200)]

    lengths = [hours(plan) / expected.hours for plan in plans]
    assert 0.95 <= min(lengths) < 0.96
    assert 1.04 < max(lengths) <= 1.05
    stored = plans[0].stored
    assert State(*(stored[name] for name in State._fields)) == pytest.approx(expected.state, rel=1e-5)
    assert (stored["policy"], stored["counted"], stored["pressure"]) == ("adaptive", 43, 1.5)
    assert stored["hours"] == pytest.approx(hours(plans[0]), rel=1e-4)
    assert stored["half_life"] == 24.3


def test_plan_without_a_known_pressure_is_made_as_designed() -> None:
    linkedin = Platform.LINKEDIN

    assert Planner(Freshness(), linkedin, PRIORS[linkedin]) == planner(linkedin, pressure=1.0)


def test_document_of_an_older_version_has_the_default_readers_and_nothing_learned() -> None:
    assert prior_of({"half_life": 3}) == Prior(3.0, 0.0)
    assert state_of({"age": 9, "value": 100}) == State(9.0, 100.0, 0.0, 0.0, 0.0, 0.0)


def test_reads_are_counted_from_the_first_one() -> None:
    stored = {name: value for name, value in STATE.items() if name != "counted"}

    plan = planner().plan(known(stored=stored, reads=1), 140, NOW)

    assert plan.stored["reads"] == pytest.approx(STATE["reads"] * 0.85 + 1)


def test_plan_is_the_same_for_the_same_row() -> None:
    assert planner().plan(known(stored=STATE), 140, NOW) == planner().plan(known(stored=STATE), 140, NOW)


def test_jitter_never_goes_below_the_shortest_interval() -> None:
    busy = planner(pressure=0.05)

    assert all(hours(busy.plan(known(MINUTE, row=row), 5, NOW)) >= 1 / 4 for row in range(1, 50))


def test_unmeasured_row_keeps_what_was_learned() -> None:
    plan = planner().plan(known(stored=STATE), None, NOW)

    unchanged = {name: STATE[name] for name in (*State._fields, "counted")}
    assert {name: plan.stored[name] for name in unchanged} == unchanged
    assert plan.stored["because"] == "not_measured"
    expected = interval_of(State(10, 100, 8, 6, 2, 1), PRIORS[Platform.LINKEDIN]).hours
    assert hours(plan) == pytest.approx(expected, rel=0.06)


def test_row_that_was_never_measured_has_no_state_to_continue_from() -> None:
    plan = planner().plan(known(reads=5), None, NOW)

    assert "value" not in plan.stored
    jitter = 1 + 0.05 * (2 * part_of_row(7) - 1)
    assert hours(plan) / jitter == pytest.approx(interval_of(State(10, 0), PRIORS[Platform.LINKEDIN]).hours)
    assert planner().plan(known(stored=dict(plan.stored)), 140, NOW).stored["observed"] == 0


def test_counter_that_fell_is_refreshed_again_within_an_hour() -> None:
    old = known(3000 * HOUR, {**STATE, "age": 2990.0})

    plan = planner().plan(old, 99, NOW)

    assert hours(plan) == pytest.approx(1, rel=0.05)
    assert plan.stored["because"] == "fell"
    assert plan.stored["observed"] == 4
    assert hours(planner().plan(old, 100, NOW)) > 24


@pytest.mark.parametrize(
    ("age", "next_age"), [(0 * HOUR, 1), (HOUR, 12), (11 * HOUR, 12), (12 * HOUR, 23), (23 * HOUR, 24.5)]
)
def test_story_is_refreshed_at_one_twelve_and_twenty_three_hours(age: timedelta, next_age: float) -> None:
    plan = planner(Platform.INSTAGRAM).plan(known(age, media_type="STORY"), 100, NOW)

    assert hours(plan) + age / HOUR == pytest.approx(next_age)
    assert plan.stored["because"] == "story"


def test_story_that_has_ended_follows_the_rule() -> None:
    plan = planner(Platform.INSTAGRAM).plan(known(24.5 * HOUR, media_type="STORY"), 100, NOW)

    assert "because" not in plan.stored


def test_story_is_refreshed_once_a_minute_at_most() -> None:
    age = HOUR - timedelta(seconds=10)

    plan = planner(Platform.INSTAGRAM).plan(known(age, media_type="STORY"), 100, NOW)

    assert plan.stale_after == NOW + MINUTE


def test_counter_that_fell_at_x_is_refreshed_within_an_hour_as_elsewhere() -> None:
    plan = planner(Platform.X).plan(known(900 * HOUR, {**STATE, "age": 890.0}), 99, NOW)

    assert plan.stored["because"] == "fell"
    assert hours(plan) == pytest.approx(1, rel=0.05)


def test_post_read_at_x_today_is_read_again_today_for_free() -> None:
    plan = planner(Platform.X).plan(known(2 * HOUR), 100, NOW)

    rule = next_interval(2, 100, 0, None, PRIORS[Platform.X]).hours
    assert plan.stored["because"] == "same_day"
    assert hours(plan) == pytest.approx(rule / 4, rel=0.06)


def test_unmeasured_post_at_x_follows_the_days_that_x_bills_as_well() -> None:
    plan = planner(Platform.X).plan(known(10 * HOUR, STATE), None, NOW)

    rule = interval_of(State(10, 100, 8, 6, 2, 1), PRIORS[Platform.X]).hours
    assert hours(plan) == pytest.approx(rule / 4, rel=0.06)


def test_next_paid_read_at_x_lies_in_the_first_minutes_of_a_utc_day() -> None:
    plans = [planner(Platform.X).plan(known(500 * HOUR, row=row), 100, NOW) for row in range(1, 100)]

    days = [plan.stale_after.replace(hour=0, minute=0, second=0, microsecond=0) for plan in plans]
    late = [plan.stale_after - day for plan, day in zip(plans, days, strict=True)]
    assert max(late) < 10 * MINUTE
    assert max(late) - min(late) > 9 * MINUTE
    assert {plan.stored["because"] for plan in plans} == {"next_day"}
    assert all(plan.stale_after > NOW + 12 * HOUR for plan in plans)


@pytest.mark.parametrize("age", [*range(36, 81, 3), 20_000])
def test_next_paid_read_at_x_lies_on_the_day_that_begins_nearest_to_twice_the_interval(age: int) -> None:
    now, row = NOW + timedelta(minutes=34, seconds=12, microseconds=345), 7
    prior = PRIORS[Platform.X]
    jitter = 1 + 0.05 * (2 * part_of_row(row) - 1)
    rule = next_interval(age, 100, 0, None, prior).hours
    wanted = now + HOUR * min(2 * rule, prior.longest) * jitter

    plan = planner(Platform.X).plan(Known(row, now - age * HOUR, None, None, 0), 100, now)

    midnight = plan.stale_after - 10 * MINUTE * part_of_row(row)
    assert (midnight.hour, midnight.minute, midnight.second, midnight.microsecond) == (0, 0, 0, 0)
    assert abs(midnight - wanted) <= 12 * HOUR


def test_read_at_x_just_before_midnight_is_not_repeated_before_it() -> None:
    late = NOW.replace(hour=23, minute=59)

    plan = planner(Platform.X).plan(Known(7, late - HOUR, None, None, 0), 100, late)

    assert late + MINUTE <= plan.stale_after <= late + 11 * MINUTE


def test_fixed_policy_keeps_the_state_for_the_day_that_it_is_adaptive_again() -> None:
    fixed = Planner(Freshness.parse("fixed:6h"), Platform.X, PRIORS[Platform.X])

    plan = fixed.plan(known(stored=STATE), 140, NOW)

    assert hours(plan) == 6
    assert plan.stored == {**STATE, "policy": "fixed:6h"}
    assert fixed.plan(known(), 140, NOW).stored == {"policy": "fixed:6h"}


@pytest.mark.parametrize(
    ("platform", "metrics", "value"),
    [
        (Platform.X, {"impression_count": 12, "like_count": 3}, 12),
        (Platform.FACEBOOK, {"post_clicks": 4, "post_reactions_by_type_total": 5}, 9),
        (Platform.FACEBOOK, {"post_clicks": 4}, None),
        (Platform.INSTAGRAM, {"views": 0}, 0),
        (Platform.INSTAGRAM, {"likes": 7}, None),
        (Platform.TIKTOK, {"view_count": "9"}, None),
        (Platform.TIKTOK, {"view_count": [9]}, None),
        (Platform.LINKEDIN, {"share_statistics_impression_count": True}, None),
        (Platform.LINKEDIN, {"share_statistics_impression_count": 2.5}, 2.5),
    ],
)
def test_leading_value_is_measured_only_when_all_of_it_came(
    platform: Platform, metrics: dict[str, Any], value: float | None
) -> None:
    assert leading_value(platform, metrics) == value


def test_priors_are_the_published_half_lives_and_the_shortest_intervals() -> None:
    minutes = {
        platform: (prior.half_life * 60, prior.shortest * 60, prior.longest)
        for platform, prior in PRIORS.items()
    }

    assert minutes == {
        Platform.INSTAGRAM: (19.75 * 60, 15, 720),
        Platform.FACEBOOK: (81, 5, 720),
        Platform.X: (49, 5, 720),
        Platform.LINKEDIN: (pytest.approx(24.3 * 60), 15, 720),
        Platform.TIKTOK: (48 * 60, 5, 720),
    }


def test_priors_are_settings_by_platform() -> None:
    priors = parse_priors("facebook=15h/5m/30d, x=49m/10m/7d")

    assert priors[Platform.FACEBOOK] == pytest.approx(Prior(15.0, 1 / 12))
    assert priors[Platform.X].longest == 168.0
    assert parse_priors("x=90s/36s/36s")[Platform.X] == pytest.approx(Prior(0.025, 0.01, 0.01))
    assert priors[Platform.TIKTOK] == PRIORS[Platform.TIKTOK]


@pytest.mark.parametrize(
    "text", ["facebook", "myspace=1h/5m/30d", "x=1h/5m", "x=0h/5m/30d", "x=1h/30d/5m", "x=1h/0m/1d"]
)
def test_malformed_prior_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="half-life"):
        parse_priors(text)


@pytest.mark.parametrize(
    ("platform", "media_type"), [(Platform.INSTAGRAM, "IMAGE"), (Platform.FACEBOOK, "STORY")]
)
def test_only_stories_of_instagram_have_fixed_ages(platform: Platform, media_type: str) -> None:
    assert "because" not in planner(platform).plan(known(HOUR, media_type=media_type), 100, NOW).stored


@pytest.mark.parametrize("reads", [40, 30])
def test_row_that_nobody_read_again_counts_no_reads(reads: int) -> None:
    plan = planner().plan(known(stored=STATE, reads=reads), 140, NOW)

    assert plan.stored["reads"] == pytest.approx(STATE["reads"] * 0.85)
