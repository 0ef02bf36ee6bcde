"""Instagram with both logins: what a read costs, and which metrics come."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.meta.instagram.harness import FEED_COUNTS, Harness
from tests.worker.adapters.support import NOW, account, publication, reply, upstream
from worker.adapters.meta.instagram import Instagram
from worker.adapters.meta.instagram_metrics import METRICS, STORY_METRICS
from worker.readings import Answer, Publication, Reading


def jobs(publications: list[Publication]) -> Iterator[list[Publication]]:
    for at in range(0, len(publications), 50):
        yield publications[at : at + 50]


# Calls


def test_hundred_posts_take_two_batches(by_batch: Harness) -> None:
    posts = by_batch.publish("IMAGE", 60) + by_batch.publish("REELS", 30) + by_batch.publish("STORY", 10)

    assert sum(by_batch.read(job)[1] for job in jobs(posts)) == 2


@pytest.mark.parametrize(
    "kinds",
    [{"IMAGE": 100}, {"IMAGE": 40, "REELS": 40, "STORY": 20}, {None: 100}],
    ids=["one set of metrics", "two sets", "kinds unknown"],
)
def test_hundred_posts_take_four_id_lists(by_ids: Harness, kinds: dict[str | None, int]) -> None:
    made = [post for kind, count in kinds.items() for post in by_ids.publish(kind, count)]
    posts = made[::2] + made[1::2]

    counts = []
    for job in jobs(posts):
        readings, requests = by_ids.read(job)
        assert {one.answer for one in readings.values()} == {Answer.READ}
        counts.append(requests)

    assert sum(counts) == 4


def test_each_id_counts_as_a_call(harness: Harness) -> None:
    posts, way = harness.publish("IMAGE", 30), harness.upstream()

    list(harness.adapter.fetch(way, harness.connected(), posts))

    assert way.cost == 30 == harness.simulators.request_log.calls("instagram")


# Metrics


@pytest.mark.parametrize("kind", ["IMAGE", "VIDEO", "CAROUSEL_ALBUM", "REELS"])
def test_feed_posts_and_reels_have_seven_metrics(harness: Harness, kind: str) -> None:
    (post,) = harness.publish(kind)

    readings, _ = harness.read([post])

    assert readings[post.id] == Reading(post.id, Answer.READ, FEED_COUNTS)


@pytest.mark.parametrize("media_type", ["STORY", None, "IMAGE"], ids=["known", "unknown", "reported wrongly"])
def test_story_is_complete_with_four_metrics(harness: Harness, media_type: str | None) -> None:
    (story,) = harness.publish("STORY")
    posts = harness.publish("IMAGE", 5)

    readings, _ = harness.read([*posts, replace(story, media_type=media_type)])

    assert tuple(readings[story.id].metrics) == STORY_METRICS
    assert readings[story.id].missing == ()
    assert readings[story.id].warnings == tuple(
        f"metric_unavailable: {name} is never offered for stories" for name in ("likes", "comments", "saved")
    )
    assert all(readings[post.id].metrics == FEED_COUNTS for post in posts)
    assert harness.memory.until == {}


@pytest.mark.parametrize("metric", METRICS)
def test_retired_metric_costs_a_few_calls_once(harness: Harness, metric: str) -> None:
    posts = harness.publish("IMAGE", 15) + harness.publish("REELS", 10) + harness.publish("STORY", 5)
    _, usual = harness.read(posts)
    harness.simulators.behave("instagram", retired_metrics=[metric])

    readings, first = harness.read(posts)
    _, second = harness.read(posts)

    assert first - usual <= 5
    assert second == usual
    for post in posts:
        offered = STORY_METRICS if post.media_type == "STORY" else METRICS
        assert set(readings[post.id].metrics) == set(offered) - {metric}
        assert readings[post.id].missing == ()
        assert any(metric in warning for warning in readings[post.id].warnings)


def test_retired_metric_is_requested_again_when_its_entry_expires(harness: Harness) -> None:
    posts = harness.publish("IMAGE", 5)
    harness.simulators.behave("instagram", retired_metrics=["saved"])
    harness.read(posts)
    harness.simulators.behave("instagram")
    assert "saved" not in harness.read(posts)[0][posts[0].id].metrics

    harness.at += timedelta(hours=25)
    harness.read(posts)

    assert harness.memory.until == {}
    assert harness.read(posts)[0][posts[0].id].metrics == FEED_COUNTS


def test_metric_refused_for_one_post_is_partial_and_not_remembered(harness: Harness) -> None:
    (odd,), posts = (
        harness.publish("IMAGE", refused_metrics=frozenset({"views"})),
        harness.publish("IMAGE", 9),
    )

    readings, _ = harness.read([odd, *posts])

    assert readings[odd.id].missing == ("views",)
    assert readings[odd.id].warnings == ("metric_unavailable: views is refused for this post",)
    assert all(readings[post.id].metrics == FEED_COUNTS for post in posts)
    assert harness.memory.until == {}


def test_metric_without_reels_is_left_out_for_reels_only(harness: Harness) -> None:
    reels, posts = (
        harness.publish("REELS", 6, refused_metrics=frozenset({"views"})),
        harness.publish("IMAGE", 6),
    )

    readings, _ = harness.read([*reels, *posts])
    again, _ = harness.read([*reels, *posts])

    assert [key[1:] for key in harness.memory.until] == [("REELS", "views")]
    for reel in reels:
        assert again[reel.id].missing == readings[reel.id].missing == ()
        assert set(again[reel.id].metrics) == set(METRICS) - {"views"}
    assert all(again[post.id].metrics == FEED_COUNTS for post in posts)


def test_unnamed_rejected_metric_is_found_by_bisection() -> None:
    refusal = {"error": {"message": "(#100) The value must be a valid insights metric", "code": 100}}

    def platform(request: httpx.Request) -> httpx.Response:
        fields = request.url.params.get("fields") or request.url.params["metric"]
        if "saved" in fields:
            return reply(refusal, 400)
        rows = [{"name": name, "values": [{"value": 5}]} for name in METRICS if name in fields]
        return reply(
            {one: {"insights": {"data": rows}} for one in request.url.params.get("ids", "").split(",")}
        )

    way = upstream(platform)
    connected = account(Platform.INSTAGRAM, login="instagram")
    posts = [publication(number, str(number), media_type="IMAGE") for number in (1, 2, 3)]

    readings = list(Instagram(Settings()).fetch(way, connected, posts))

    assert all(set(one.metrics) == set(METRICS) - {"saved"} and not one.missing for one in readings)
    assert len(way.sent) == 1 + 3 + 1


def test_absent_metric_is_missing_never_zero(harness: Harness) -> None:
    (post,) = harness.publish("IMAGE", absent_metrics=frozenset({"shares"}))

    readings, _ = harness.read([post])

    assert "shares" not in readings[post.id].metrics
    assert readings[post.id].missing == ("shares",)
    assert readings[post.id].warnings == ("metric_unavailable: shares did not come with the answer",)


@pytest.mark.parametrize(
    ("kind", "hours", "answer"),
    [
        ("STORY", 30, Answer.WINDOW_CLOSED),
        ("STORY", 20, Answer.UNAVAILABLE),
        ("REELS", 30, Answer.UNAVAILABLE),
        ("REELS", 24 * 731, Answer.WINDOW_CLOSED),
    ],
)
def test_post_without_numbers_is_over_when_its_kind_is_no_longer_reported(
    kind: str, hours: int, answer: Answer
) -> None:
    way = upstream(lambda _: reply({"1": {"id": "1", "insights": {"data": []}}}), now=NOW)
    post = publication(1, "1", media_type=kind, created_at=NOW - timedelta(hours=hours))

    (reading,) = Instagram(Settings()).fetch(way, account(Platform.INSTAGRAM, login="instagram"), [post])

    assert reading.answer is answer
