"""The policy in force: how its setting is parsed and explained."""

from datetime import timedelta

import pytest

from shared.freshness.policy import Freshness
from shared.vocabulary import Platform


@pytest.mark.parametrize(
    ("text", "interval", "words"),
    [
        ("fixed:6h", timedelta(hours=6), "6 h"),
        ("fixed:90m", timedelta(minutes=90), "90 min"),
        ("fixed:20s", timedelta(seconds=20), "20 s"),
        ("fixed:48h", timedelta(days=2), "2 d"),
    ],
)
def test_fixed_interval_is_parsed_and_explained(text: str, interval: timedelta, words: str) -> None:
    policy = Freshness.parse(text)

    assert policy.interval == interval
    assert Freshness.parse(policy.name) == policy, "rows store the name, and are explained by it"
    assert policy.explain() == f"every row is refreshed {words} after its last successful read"
    assert {policy.top_up(platform) for platform in Platform} == {interval / 10}


def test_adaptive_policy_has_no_interval() -> None:
    assert Freshness.parse("adaptive") == Freshness()
    assert "5 %" in Freshness().explain()
    assert Freshness().top_up(Platform.TIKTOK) == timedelta(days=30)


def test_adaptive_row_of_x_is_not_read_before_the_day_for_which_it_is_planned() -> None:
    assert Freshness().top_up(Platform.X) == timedelta()


@pytest.mark.parametrize(
    "text", ["", "6h", "fixed:", "fixed:0h", "fixed:6", "fixed:-1h", "fixed:6w", "adaptive:1h", "Adaptive"]
)
def test_malformed_policy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="adaptive, or look like fixed:6h"):
        Freshness.parse(text)


@pytest.mark.parametrize("text", ["adaptive", "fixed:6h", "fixed:90min", "fixed:20s", "fixed:2d"])
def test_name_of_a_policy_is_stored_with_its_rows(text: str) -> None:
    assert Freshness.parse(text.replace("min", "m")).name == text
