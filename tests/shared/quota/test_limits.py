"""Limits: the published ones, and those that an operator sets instead."""

from datetime import timedelta

import pytest

from shared.quota.limits import DESIGNED, PERCENT_WINDOWS, Bucket, Limits, Rate, bucket
from shared.vocabulary import BucketKind, Platform


def test_an_operator_s_limits_replace_the_published_ones() -> None:
    limits = Limits.parse(
        "tiktok:endpoint:video/query=1200/2m, x:account:tweets=none,linkedin:account:*=9/1d"
    )

    def rates(platform: Platform, endpoint: str) -> list[Rate | None]:
        return [rate for _, rate in limits.of_call(platform, "acc_1", endpoint)]

    assert rates(Platform.TIKTOK, "video/query") == [None, Rate(1200, timedelta(minutes=2)), None, None]
    assert rates(Platform.X, "tweets") == [None] * 4
    assert rates(Platform.LINKEDIN, "posts") == [None, None, Rate(9, timedelta(days=1)), None]


@pytest.mark.parametrize(
    "text",
    [
        "tiktok",
        "mars:app:*=1/1m",
        "x:planet:*=1/1m",
        "x:app:tweets=1/1m",
        "x:endpoint:*=1/1m",
        "x:app:*=0/1m",
        "x:app:*=1/0m",
        "x:account:tweets=1/1w",
        "x:account:tweets=",
    ],
)
def test_a_limit_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must look like|written with|at least one call"):
        Limits.parse(text)


@pytest.mark.parametrize(
    ("rate", "burst", "micros"),
    [
        (Rate(600, timedelta(minutes=1)), 18, 60_000_000 / (600 + 1 - 18 - 6)),
        (Rate(1, timedelta(hours=1)), 1, 3_600_000_000 / 0.99),
        (Rate(33, timedelta(seconds=1)), 1, 1_000_000 / (33 - 0.33)),
        (Rate(34, timedelta(seconds=1)), 1, 1_000_000 / (34 - 0.34)),
        (Rate(5_000, timedelta(minutes=15)), 150, 900_000_000 / (5_000 + 1 - 150 - 50)),
    ],
)
def test_a_rate_s_burst_and_steady_calls_fit_its_window_with_a_margin(
    rate: Rate, burst: int, micros: float
) -> None:
    assert rate.burst == burst
    assert rate.every == pytest.approx(micros)


def test_the_published_limits_are_the_platforms_own() -> None:
    assert {
        Platform.X: {
            (BucketKind.ACCOUNT, "tweets"): Rate(5_000, timedelta(minutes=15)),
            (BucketKind.ENDPOINT, "tweets:app"): Rate(3_500, timedelta(minutes=15)),
        },
        Platform.TIKTOK: {
            (BucketKind.ENDPOINT, "video/query"): Rate(600, timedelta(minutes=1)),
            (BucketKind.ACCOUNT, "status/fetch"): Rate(30, timedelta(minutes=1)),
        },
    } == DESIGNED
    assert {BucketKind.ACCOUNT: timedelta(days=1), BucketKind.APP: timedelta(hours=1)} == PERCENT_WINDOWS
    assert Limits().rates == DESIGNED
    assert Limits.parse("").rates == {platform: DESIGNED.get(platform, {}) for platform in Platform}
    assert Limits().percent_windows == Limits.parse("").percent_windows == PERCENT_WINDOWS


@pytest.mark.parametrize(
    ("kind", "endpoint", "subject"),
    [
        (BucketKind.APP, None, ""),
        (BucketKind.APP, "tweets", ""),
        (BucketKind.ENDPOINT, "tweets", "tweets"),
        (BucketKind.ENDPOINT, None, ""),
        (BucketKind.ACCOUNT, None, "acc_1"),
        (BucketKind.ACCOUNT, "tweets", "acc_1/tweets"),
    ],
)
def test_a_bucket_is_named_by_what_its_limit_counts(
    kind: BucketKind, endpoint: str | None, subject: str
) -> None:
    named = bucket(Platform.X, "acc_1", kind, endpoint)

    assert named == Bucket(Platform.X, kind, subject)
    assert named.key == f"dravo:budget:x:{kind}:{subject}"


def test_a_call_is_counted_for_the_app_the_endpoint_and_the_account() -> None:
    wanted = Limits.parse("x:app:*=9/1s").of_call(Platform.X, "acc_1", "tweets")

    assert wanted == (
        (Bucket(Platform.X, BucketKind.APP), Rate(9, timedelta(seconds=1))),
        (Bucket(Platform.X, BucketKind.ENDPOINT, "tweets"), None),
        (Bucket(Platform.X, BucketKind.ACCOUNT, "acc_1"), None),
        (Bucket(Platform.X, BucketKind.ACCOUNT, "acc_1/tweets"), Rate(5_000, timedelta(minutes=15))),
    )


def test_other_platforms_keep_their_limits_and_an_unknown_one_may_be_taken_away() -> None:
    limits = Limits.parse(",, tiktok:endpoint:video/query=none,facebook:app:*=none,")

    assert limits.rates[Platform.X] == DESIGNED[Platform.X]
    assert limits.rates[Platform.TIKTOK] == {
        (BucketKind.ACCOUNT, "status/fetch"): Rate(30, timedelta(minutes=1))
    }
    assert limits.rates[Platform.FACEBOOK] == {}


@pytest.mark.parametrize(("unit", "span"), [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)])
def test_a_window_has_a_unit(unit: str, span: int) -> None:
    rates = Limits.parse(f"linkedin:account:posts=7/2{unit}").rates[Platform.LINKEDIN]

    assert rates == {(BucketKind.ACCOUNT, "posts"): Rate(7, timedelta(seconds=2 * span))}
