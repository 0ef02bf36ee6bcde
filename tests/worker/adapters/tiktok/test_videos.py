"""TikTok's videos: numbers, calls, and videos that are absent from an answer."""

import pytest

from deploy.simulators.behaviour import Conditions
from tests.worker.adapters.support import publication
from tests.worker.adapters.tiktok.harness import COUNTERS, FIRST, PUBLISH_ID, Harness, ok, read, video
from worker.readings import Answer


# Numbers and calls
def test_twenty_videos_cost_one_call_in_all(harness: Harness) -> None:
    readings = harness.read(harness.publish(20))

    assert harness.upstream.cost == 1
    assert [one.metrics for one in readings.values()] == [COUNTERS] * 20
    assert harness.upstream.sent[0].url.endswith(
        "/v2/video/query/?fields=id,view_count,like_count,comment_count,share_count"
    )


@pytest.mark.parametrize("absent", [False, True])
def test_hidden_video_is_missing_without_affecting_siblings(harness: Harness, *, absent: bool) -> None:
    good = [] if absent else harness.publish(2)
    gone = [
        *harness.publish(1, deleted=True),
        *harness.publish(1, private=True),
        *harness.publish(1, owner="another"),
    ]
    harness.behaviour.set_conditions(Conditions(empty_list_absent=True))

    readings = harness.read([*gone, *good])

    assert [readings[one.id].answer for one in gone] == [Answer.MISSING] * 3
    assert [readings[one.id].metrics for one in good] == [COUNTERS] * len(good)


@pytest.mark.parametrize("stored", ["123", "7560000000000000001x", "7.56e18", "", PUBLISH_ID])
def test_malformed_id_is_never_sent(harness: Harness, stored: str) -> None:
    good = harness.publish(1)

    readings = harness.read([*good, publication(90, stored)])

    assert readings[90].answer is Answer.MISSING
    assert readings[good[0].id].metrics == COUNTERS


@pytest.mark.parametrize("value", [None, True, -1, 2**63, "7", 7.0, [7]])
def test_invalid_counter_is_missing_and_named(value: object) -> None:
    (reading,) = read(ok(video(1, like_count=value))).readings

    assert "like_count" not in reading.metrics
    assert reading.missing == ("like_count",)
    assert reading.warnings == ("metric_unavailable: like_count was not reported by TikTok",)


def test_video_without_counters_is_unavailable() -> None:
    (reading,) = read(ok({"id": str(FIRST + 1)})).readings

    assert reading.answer is Answer.UNAVAILABLE


@pytest.mark.parametrize("odd", [None, "a", {}, {"id": None}, {"id": True}])
def test_no_video_is_missing_while_an_item_of_the_answer_is_unidentified(odd: object) -> None:
    readings = read(ok(video(1), odd), count=2).readings

    assert [one.answer for one in readings] == [Answer.READ, Answer.UNREADABLE]


def test_integer_id_is_exact() -> None:
    (reading,) = read(ok(video(1) | {"id": FIRST + 1})).readings

    assert reading.metrics == COUNTERS
