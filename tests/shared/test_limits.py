"""Limits: the published ones, and those that an operator sets instead."""

from datetime import timedelta

import pytest

from shared.limits import Limits, Rate
from shared.vocabulary import Platform


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
    ],
)
def test_a_limit_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must look like|written with|at least one call"):
        Limits.parse(text)
