"""Published limits, and the settings that override them."""

from datetime import timedelta

import pytest

from shared.quota.limits import PERCENT_WINDOWS, PUBLISHED_LIMITS, Bucket, Limits, Rate, bucket
from shared.vocabulary import BucketKind, Platform


def test_settings_replace_published_limits() -> None:
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
def test_meaningless_limit_is_refused(text: str) -> None:
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
def test_burst_and_steady_calls_fit_the_window_with_a_margin(rate: Rate, burst: int, micros: float) -> None:
    assert rate.burst == burst
    assert rate.every == pytest.approx(micros)


def test_published_limits_are_those_of_the_platforms() -> None:
    assert {
        Platform.X: {
            (BucketKind.ACCOUNT, "tweets"): Rate(5_000, timedelta(minutes=15)),
            (BucketKind.ENDPOINT, "tweets:app"): Rate(3_500, timedelta(minutes=15)),
        },
        Platform.TIKTOK: {
            (BucketKind.ENDPOINT, "video/query"): Rate(600, timedelta(minutes=1)),
            (BucketKind.ACCOUNT, "status/fetch"): Rate(30, timedelta(minutes=1)),
        },
    } == PUBLISHED_LIMITS
    assert {BucketKind.ACCOUNT: timedelta(days=1), BucketKind.APP: timedelta(hours=1)} == PERCENT_WINDOWS
    assert Limits().rates == PUBLISHED_LIMITS
    assert Limits.parse("").rates == {platform: PUBLISHED_LIMITS.get(platform, {}) for platform in Platform}
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
def test_bucket_key_names_what_its_limit_counts(kind: BucketKind, endpoint: str | None, subject: str) -> None:
    named = bucket(Platform.X, "acc_1", kind, endpoint)

    assert named == Bucket(Platform.X, kind, subject)
    assert named.key == f"dravo:budget:x:{kind}:{subject}"


def test_call_counts_in_app_endpoint_and_account_buckets() -> None:
    wanted = Limits.parse("x:app:*=9/1s").of_call(Platform.X, "acc_1", "tweets")

    assert wanted == (
        (Bucket(Platform.X, BucketKind.APP), Rate(9, timedelta(seconds=1))),
        (Bucket(Platform.X, BucketKind.ENDPOINT, "tweets"), None),
        (Bucket(Platform.X, BucketKind.ACCOUNT, "acc_1"), None),
        (Bucket(Platform.X, BucketKind.ACCOUNT, "acc_1/tweets"), Rate(5_000, timedelta(minutes=15))),
    )


def test_override_of_one_platform_keeps_the_limits_of_others() -> None:
    limits = Limits.parse(",, tiktok:endpoint:video/query=none,facebook:app:*=none,")

    assert limits.rates[Platform.X] == PUBLISHED_LIMITS[Platform.X]
    assert limits.rates[Platform.TIKTOK] == {
        (BucketKind.ACCOUNT, "status/fetch"): Rate(30, timedelta(minutes=1))
    }
    assert limits.rates[Platform.FACEBOOK] == {}


@pytest.mark.parametrize(("unit", "span"), [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)])
def test_window_needs_a_unit(unit: str, span: int) -> None:
    rates = Limits.parse(f"linkedin:account:posts=7/2{unit}").rates[Platform.LINKEDIN]

    assert rates == {(BucketKind.ACCOUNT, "posts"): Rate(7, timedelta(seconds=2 * span))}


def test_rate_of_a_bucket_is_that_of_the_calls_that_it_counts() -> None:
    limits = Limits.parse("x:app:*=1/1m,x:endpoint:tweets=2/1m,x:account:*=3/1m,x:account:tweets=4/1m")
    buckets = limits.of_call(Platform.X, "acc_1", "tweets")

    assert [rate.calls for _, rate in buckets if rate] == [1, 2, 3, 4]
    assert [limits.rate_of(one) for one, _ in buckets] == [rate for _, rate in buckets]
    assert limits.rate_of(bucket(Platform.TIKTOK, "acc_1", BucketKind.APP, None)) is None
