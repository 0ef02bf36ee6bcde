"""One sentence for each ``stale_after``."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.freshness.explain import explain, explain_stored
from shared.freshness.plan import Known, Planner
from shared.freshness.policy import Freshness
from shared.freshness.priors import PRIORS
from shared.vocabulary import Platform

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def planned(platform: Platform, age: float, value: float | None = 100, **row: Any) -> dict[str, Any]:
    known = Known(7, NOW - timedelta(hours=age), row.get("media_type"), row.get("stored"), 0)
    return dict(Planner(Freshness(), platform, PRIORS[platform], 1.2).plan(known, value, NOW).stored)


def test_sentence_names_growth_reads_pressure_and_interval() -> None:
    assert explain(planned(Platform.LINKEDIN, 10), Freshness()) == (
        "the number moves by 5 % in 50 min and a client reads it every 2.1 h, at a quota pressure of 1.2:"
        " 1.7 h after the refresh"
    )


@pytest.mark.parametrize(
    ("platform", "age", "row", "words"),
    [
        (Platform.X, 2, {}, "X does not bill another read on the same UTC day, so it follows sooner: 11 min"),
        (Platform.X, 900, {}, "; X bills the next read, so it lies in the first minutes of a UTC day: "),
        (Platform.INSTAGRAM, 1.5, {"media_type": "STORY"}, "a story is refreshed when it is 1, 12 and 23"),
        (Platform.TIKTOK, 9, {"stored": {"policy": "adaptive", "age": 8, "value": 500}}, "the number fell"),
    ],
)
def test_sentence_names_what_decided_besides_the_rule(
    platform: Platform, age: float, row: dict[str, Any], words: str
) -> None:
    sentence = explain(planned(platform, age, **row), Freshness())

    assert words in sentence
    assert ("a client reads it" in sentence) == (platform is Platform.X), "the rule decided the rest"


@pytest.mark.parametrize(("hours", "words"), [(1.5, "90 min"), (99.0, "99 h"), (100.0, "4.17 d")])
def test_interval_is_explained_in_the_unit_that_fits(hours: float, words: str) -> None:
    stored = {"policy": "adaptive", "because": "fell", "hours": hours}

    assert explain_stored(stored).endswith(f"within an hour: {words} after the refresh")


def test_sentence_names_the_readers_that_the_plan_assumed() -> None:
    stored = {**planned(Platform.LINKEDIN, 10), "readers": [0.0, 0.5]}

    assert "a client reads it every 2 h" in explain(stored, Freshness())


@pytest.mark.parametrize(
    ("age", "pressure", "words"),
    [
        (0.01, 0.05, "; no interval of the platform is shorter: "),
        (2000, 200.0, "; no interval of the platform is longer: "),
        (10, 1.0, "pressure of 1: "),
    ],
)
def test_sentence_says_when_a_bound_decided(age: float, pressure: float, words: str) -> None:
    known = Known(7, NOW - timedelta(hours=age), None, None, 0)
    bounds = PRIORS[Platform.LINKEDIN]._replace(longest=240.0)
    plan = Planner(Freshness(), Platform.LINKEDIN, bounds, pressure).plan(known, 100, NOW)

    assert words in explain(plan.stored, Freshness())


def test_short_times_are_given_in_seconds() -> None:
    bounds = PRIORS[Platform.TIKTOK]._replace(shortest=5 / 3600, longest=1 / 60)
    plan = Planner(Freshness(), Platform.TIKTOK, bounds).plan(Known(7, NOW, None, None, 0), 100, NOW)

    assert explain(plan.stored, Freshness()).endswith(" s after the refresh")


def test_unmeasured_row_is_explained() -> None:
    measured = planned(Platform.TIKTOK, 9)

    assert "brought no number" in explain(planned(Platform.TIKTOK, 10, None, stored=measured), Freshness())
    never_measured = explain(planned(Platform.TIKTOK, 10, None), Freshness())
    assert "brought no number" in never_measured
    assert "a client reads it" not in never_measured
    assert explain_stored({"policy": "adaptive", "hours": 2.0}) == Freshness().explain()


def test_row_of_another_policy_is_explained_by_the_one_in_force() -> None:
    fixed = Freshness.parse("fixed:6h")

    assert explain(planned(Platform.TIKTOK, 9), fixed) == fixed.explain()
    assert explain_stored({**planned(Platform.TIKTOK, 9), "policy": "fixed:6h"}) == fixed.explain()
    assert explain({"policy": "fixed:6h"}, Freshness()) == Freshness().explain()
    assert explain(None, Freshness()) == Freshness().explain()
