"""Facebook Pages: what a read costs, and which metrics come."""

import json
from datetime import timedelta

import httpx
import pytest

from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.meta.facebook.harness import GONE, NUMBERS, Harness, batch, item, items
from tests.worker.adapters.support import account, publication, reply, upstream
from worker.adapters.meta.facebook import Facebook
from worker.readings import Answer, Reading

# Calls and metrics


def test_hundred_posts_take_two_requests(harness: Harness) -> None:
    posts = harness.publish(100)

    results = [harness.read(posts[:50]), harness.read(posts[50:])]

    assert [requests for _, requests in results] == [1, 1]
    for readings, _ in results:
        assert all(one.metrics == NUMBERS and not one.missing for one in readings.values())
        assert all(one.warnings == (GONE,) for one in readings.values())


def test_removed_metric_is_probed_once_and_then_left_out(harness: Harness) -> None:
    posts = harness.publish(3)

    first, requests = harness.read(posts)
    again, _ = harness.read(posts)

    assert requests == 1
    assert first == again
    assert first[posts[0].id] == Reading(posts[0].id, Answer.READ, NUMBERS, (), (GONE,))
    assert harness.simulators.request_log.calls("facebook") == 3 + 1 + 3


def test_removed_metric_is_served_when_offered_again() -> None:
    requested: list[str] = []

    def platform(request: httpx.Request) -> httpx.Response:
        answers = []
        for url in items(request):
            metrics = url.rpartition("metric=")[2]
            requested.append(metrics)
            numbers = {"post_clicks": 1, "post_reactions_by_type_total": {}, "post_engaged_users": 8}
            rows = [{"name": name, "values": [{"value": numbers[name]}]} for name in metrics.split(",")]
            answers.append({"code": 200, "body": json.dumps({"data": rows})})
        return reply(answers)

    way = upstream(platform)
    posts = [publication(1, "1000_1"), publication(2, "1000_2")]

    readings = list(Facebook(Settings()).fetch(way, account(Platform.FACEBOOK), posts))

    assert [one.metrics["post_engaged_users"] for one in readings] == [8, 8]
    assert [one.warnings for one in readings] == [(), ()]
    assert all(metrics == "post_engaged_users" or "engaged" not in metrics for metrics in requested)


@pytest.mark.parametrize("metric", list(NUMBERS))
def test_retired_metric_costs_two_requests_once(harness: Harness, metric: str) -> None:
    posts = harness.publish(50)
    harness.simulators.behave("facebook", retired_metrics=[metric])

    readings, first = harness.read(posts)
    _, second = harness.read(posts)

    assert (first, second) == (1 + 2, 1)
    for one in readings.values():
        assert one.metrics == {name: number for name, number in NUMBERS.items() if name != metric}
        assert one.missing == ()
        assert f"metric_unavailable: {metric} is no longer offered by Facebook" in one.warnings


def test_retired_metric_is_requested_again_when_its_entry_expires(harness: Harness) -> None:
    posts = harness.publish(50)
    harness.simulators.behave("facebook", retired_metrics=["post_clicks"])
    harness.read(posts)
    harness.simulators.behave("facebook")
    harness.at += timedelta(hours=25)

    harness.read(posts)
    readings, requests = harness.read(posts)

    assert harness.memory.until == {}
    assert readings[posts[0].id].metrics == NUMBERS
    assert requests == 1


@pytest.mark.parametrize("alone", [True, False])
def test_metric_refused_for_one_post_is_partial_and_not_remembered(
    harness: Harness,
    alone: bool,
) -> None:
    (odd,) = harness.publish(refused_metrics=frozenset({"post_clicks"}))
    posts = [] if alone else harness.publish(5)

    readings, _ = harness.read([odd, *posts])

    assert readings[odd.id].metrics == {"post_reactions_by_type_total": 39}
    assert readings[odd.id].missing == ("post_clicks",)
    assert all(readings[post.id].metrics == NUMBERS for post in posts)
    assert [key[2] for key in harness.memory.until] == ["post_engaged_users"]


def test_no_request_when_every_metric_is_retired(harness: Harness) -> None:
    posts = harness.publish(2)
    harness.simulators.behave("facebook", retired_metrics=list(NUMBERS))

    readings, _ = harness.read(posts)
    _, again = harness.read(posts)

    assert {one.answer for one in readings.values()} == {Answer.UNAVAILABLE}
    assert again == 0


@pytest.mark.parametrize(
    ("value", "total"),
    [
        ({}, 0),
        ({"like": 3, "care": 2}, 5),
        ({"like": 3, "love": None}, None),
        ({"like": True}, None),
        ({"like": -1}, None),
        ({"like": 2**63 - 1, "love": 1}, None),
        (7, None),
        (None, None),
    ],
)
def test_reactions_are_summed_or_missing(value: object, total: int | None) -> None:
    rows = [
        {"name": "post_clicks", "values": [{"value": 1}]},
        {"name": "post_reactions_by_type_total", "values": [{"value": value}]},
    ]
    way = upstream(lambda request: batch(*(item({"data": rows}) for _ in items(request))))

    (reading,) = Facebook(Settings()).fetch(way, account(Platform.FACEBOOK), [publication(1, "1000_1")])

    assert reading.metrics.get("post_reactions_by_type_total") == total
    assert reading.missing == (("post_reactions_by_type_total",) if total is None else ())
