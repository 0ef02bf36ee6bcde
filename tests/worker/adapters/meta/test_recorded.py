"""Answers of Meta as others recorded them, read by the adapters: a Page, and both logins of Instagram."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.worker.adapters.meta.graph_platform import (
    FACEBOOK_PAGE,
    OWN,
    WAYS,
    Answers,
    Host,
    Way,
    numbers,
    only,
    read,
    refuses,
)
from tests.worker.adapters.meta.test_wordings import NO_FIELD, RETIRED
from tests.worker.adapters.support import NOW
from worker.errors import Reauthorize
from worker.readings import Answer

EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.label)
INSTAGRAM_WAYS = pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.label)
GONE = refuses(100, "Unsupported get request.", error_subcode=33)
BUSY = {"X-App-Usage": json.dumps({"call_count": 81, "total_time": 3, "total_cputime": 3})}


# Missing, or throttled?


@EVERY_WAY
@pytest.mark.parametrize(
    "gone",
    [GONE, refuses(33, "(#33) This object does not exist or does not support this action")],
    ids=["100/33", "33"],
)
def test_miss_is_certain_beside_a_found_sibling_and_for_a_single_post(way: Way, gone: Answers) -> None:
    beside, _ = read(way, Host(only(gone, way.id_of(2))), way.posts(3))
    alone, _ = read(way, Host(gone), way.posts(1))

    assert beside.answers == {1: Answer.READ, 2: Answer.MISSING, 3: Answer.READ}
    assert alone.answers == {1: Answer.MISSING}
    assert not any(reading.doubtful for reading in (*beside.readings, *alone.readings))


@EVERY_WAY
def test_miss_of_a_whole_batch_is_doubtful(way: Way) -> None:
    outcome, _ = read(way, Host(GONE), way.posts(3))

    assert outcome.error is None
    assert set(outcome.answers.values()) == {Answer.MISSING}
    assert all(reading.doubtful for reading in outcome.readings)


@EVERY_WAY
@pytest.mark.parametrize(
    "headers",
    [
        BUSY,
        {
            "X-Business-Use-Case-Usage": json.dumps(
                {OWN: [{"type": kind, "call_count": 80} for kind in ("pages", "instagram")]}
            )
        },
    ],
    ids=["the app's", "the account's"],
)
def test_miss_near_a_limit_is_doubtful(way: Way, headers: dict[str, str]) -> None:
    beside, _ = read(way, Host(only(GONE, way.id_of(2)), headers=headers), way.posts(3))
    alone, _ = read(way, Host(GONE, headers=headers), way.posts(1))
    calm = {name: value.replace("81", "79").replace("80", "79") for name, value in headers.items()}
    sure, _ = read(way, Host(GONE, headers=calm), way.posts(1))

    assert beside.answers == {1: Answer.READ, 2: Answer.MISSING, 3: Answer.READ}
    assert [one.doubtful for one in beside.readings if one.answer is Answer.MISSING] == [True]
    assert [one.doubtful for one in alone.readings] == [True]
    assert [one.doubtful for one in sure.readings] == [False]


@EVERY_WAY
@pytest.mark.parametrize("count", [1, 3])
def test_account_missing_near_a_limit_keeps_its_authorization(way: Way, count: int) -> None:
    host = Host(GONE, account=GONE(OWN, ()), headers=BUSY)
    outcome, _ = read(way, host, way.posts(count))
    host.headers = {}
    calm, _ = read(way, host, way.posts(count))

    assert outcome.error is None
    assert all(reading.doubtful for reading in outcome.readings)
    assert isinstance(calm.error, Reauthorize)


# Ids and ages


@pytest.mark.parametrize("message", [NO_FIELD, f"{NO_FIELD} on node type (Video)"])
def test_bare_id_is_requested_in_page_form(message: str) -> None:
    bare = [replace(one, platform_post_id=str(one.id)) for one in FACEBOOK_PAGE.posts(3)]
    host = Host(only(refuses(100, message), "1", "3", others=only(GONE, "2")))

    outcome, calls = read(FACEBOOK_PAGE, host, bare)

    assert outcome.answers == dict.fromkeys((1, 2, 3), Answer.READ)
    assert len(calls.sent) == 2


def test_bare_id_unknown_in_both_forms_is_missing() -> None:
    post, other = FACEBOOK_PAGE.posts(2)
    bare = replace(post, platform_post_id="77")

    outcome, _ = read(FACEBOOK_PAGE, Host(only(GONE, "77", f"{OWN}_77")), [bare, other])

    assert outcome.answers == {1: Answer.MISSING, 2: Answer.READ}


@INSTAGRAM_WAYS
@pytest.mark.parametrize(
    ("media_type", "product", "age", "answer"),
    [
        ("STORY", "STORY", 25, Answer.WINDOW_CLOSED),
        (None, "STORY", 25, Answer.WINDOW_CLOSED),
        ("IMAGE", "STORY", 25, Answer.WINDOW_CLOSED),
        ("STORY", "STORY", 23, Answer.UNAVAILABLE),
        ("IMAGE", "FEED", 25, Answer.UNAVAILABLE),
    ],
)
def test_story_without_insights_is_window_closed_after_a_day(
    way: Way, media_type: str | None, product: str, age: int, answer: Answer
) -> None:
    others = way.posts(3)[1:]
    (odd,) = way.posts(1, media_type=media_type, created_at=NOW - timedelta(hours=age))
    host = Host(only(refuses(100, NO_FIELD), "1"), kinds={"1": product})

    for posts in ([odd, *others], [odd]):
        outcome, _ = read(way, host, posts)

        assert outcome.error is None
        assert outcome.answers == {post.id: answer if post is odd else Answer.READ for post in posts}


# Metrics


@EVERY_WAY
@pytest.mark.parametrize(
    "message",
    [
        RETIRED,
        "(#100) The metric {} is not supported for this media type",
        "A métrica {} não é compatível com este tipo de mídia",
    ],
    ids=["retired", "unsupported", "in Portuguese"],
)
@pytest.mark.parametrize("count", [1, 25], ids=["one of many", "all"])
def test_refused_metric_is_left_out_and_the_others_are_kept(way: Way, message: str, count: int) -> None:
    metric = way.metrics[-2]
    odd = {way.id_of(number) for number in range(1, count + 1)}

    def answers(one: str, metrics: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
        if one in odd and metric in metrics:
            return refuses(100, message.format(metric))(one, metrics)
        return numbers(one, metrics)

    outcome, calls = read(way, Host(answers), way.posts(25))

    assert set(outcome.answers.values()) == {Answer.READ}
    for reading in outcome.readings:
        lost = reading.publication_id <= count
        assert (metric in reading.metrics) is not lost
        assert set(way.metrics) - {metric} <= set(reading.metrics)
        assert reading.missing == ((metric,) if lost and count == 1 else ())
    assert len(calls.sent) <= 15
