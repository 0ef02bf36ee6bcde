"""The limits of a setting: documented defaults, and the bounds of the platforms' terms."""

from datetime import timedelta

import pytest

from shared.retention.policy import BOUNDS, DataClass, Group, Retention

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("setting", "enabled"), [("", False), ("off", False), ("off,readings=1d", False), ("on", True)]
)
def test_nothing_is_removed_unless_the_setting_says_on(setting: str, *, enabled: bool) -> None:
    assert Retention.parse(setting).enabled is enabled


def test_defaults() -> None:
    policy = Retention.parse("on")

    assert [
        policy.of(DataClass.READINGS, one) for one in (Group.X, Group.LINKEDIN, Group.LINKEDIN_MEMBER)
    ] == [
        90 * DAY,
        90 * DAY,
        2 * DAY,
    ]
    assert [policy.of(DataClass.DAILY, one) for one in (Group.X, Group.LINKEDIN, Group.LINKEDIN_MEMBER)] == [
        395 * DAY,
        365 * DAY,
        timedelta(),
    ]
    assert [policy.of(DataClass.GONE, one) for one in (Group.X, Group.TIKTOK)] == [timedelta(), None]
    assert [policy.of(DataClass.DISCONNECTED, one) for one in (Group.X, Group.LINKEDIN)] == [
        30 * DAY,
        timedelta(),
    ]
    assert (policy.of(DataClass.EVENTS), policy.of(DataClass.AUDIT)) == (30 * DAY, 400 * DAY)
    assert all(
        (limit := policy.of(kind, group)) is not None and limit <= BOUNDS[group, kind]
        for group, kind in BOUNDS
    )


def test_limit_of_a_class_holds_for_every_group_within_its_bound() -> None:
    policy = Retention.parse("on,readings=200d,tiktok:daily=20d,gone=12h,events=forever,disconnected=0")
    shorter = Retention.parse("on,readings=24h")
    assert {shorter.of(DataClass.READINGS, group) for group in Group} == {DAY}

    assert policy.of(DataClass.READINGS, Group.X) == 200 * DAY
    assert policy.of(DataClass.READINGS, Group.LINKEDIN_MEMBER) == 2 * DAY
    assert policy.of(DataClass.DAILY, Group.TIKTOK) == 20 * DAY
    assert policy.of(DataClass.GONE, Group.FACEBOOK) == timedelta(hours=12)
    assert policy.of(DataClass.EVENTS) is None
    assert policy.of(DataClass.DISCONNECTED, Group.X) == timedelta()


def test_month_goes_after_the_longest_limit_and_shorter_ones_before() -> None:
    policy = Retention.parse("on")

    assert policy.longest(DataClass.DAILY) == 395 * DAY
    assert policy.shorter(DataClass.DAILY) == {Group.LINKEDIN: 365 * DAY, Group.LINKEDIN_MEMBER: timedelta()}
    without_end = Retention.parse("on,x:readings=forever")
    assert without_end.longest(DataClass.READINGS) is None
    assert set(without_end.shorter(DataClass.READINGS)) == set(Group) - {Group.X}


@pytest.mark.parametrize(
    "limit",
    [
        *("linkedin:daily=366d", "linkedin:readings=366d", "linkedin_member:readings=49h", "x:gone=25h"),
        *("linkedin_member:daily=1h", "linkedin:disconnected=1h", "linkedin_member:disconnected=1h"),
        "x:gone=forever",
    ],
)
def test_limit_beyond_the_terms_needs_an_acknowledgement(limit: str) -> None:
    with pytest.raises(ValueError, match=limit.partition("=")[0]):
        Retention.parse(f"on,{limit}")

    assert Retention.parse(f"on,{limit},beyond-terms").enabled


def test_limits_that_the_terms_just_allow_need_no_acknowledgement() -> None:
    within = "linkedin:daily=365d,linkedin:readings=365d,linkedin_member:readings=48h,x:gone=24h"
    assert Retention.parse(f"on,{within}").enabled


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("yes", "must begin with on or off"),
        ("readings=90d", "must begin with on or off"),
        ("on,readings=90", "holds no limit in 'readings=90'"),
        ("on,posts=90d", "holds no limit in 'posts=90d'"),
        ("on,mastodon:daily=1d", "holds no limit in 'mastodon:daily=1d'"),
        ("on,x:events=1d", "events has one limit for all platforms"),
    ],
)
def test_malformed_setting_is_refused(setting: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Retention.parse(setting)
