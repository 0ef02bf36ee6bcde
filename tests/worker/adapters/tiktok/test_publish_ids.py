"""TikTok's publish ids: resolved to video ids and read in the same job."""

import json
from datetime import timedelta

import httpx
import pytest

from deploy.simulators.behaviour import Conditions, Limit
from shared.settings import Settings
from shared.vocabulary import BucketKind
from tests.worker.adapters.answers import read_from
from tests.worker.adapters.harness import Outcome, drain
from tests.worker.adapters.support import NOW, publication, reply, upstream
from tests.worker.adapters.tiktok.harness import COUNTERS, FIRST, OWN, PUBLISH_ID, Harness, ok, refused, video
from worker.adapters.tiktok import TikTok
from worker.errors import Paused
from worker.readings import Answer


# Publish ids
def test_publish_id_is_resolved_and_fetched_in_the_same_job(harness: Harness) -> None:
    known, unresolved = harness.publish(17), harness.unresolved(3)

    readings = harness.read([*unresolved, *known])

    assert harness.upstream.cost == 1 + 3 + 1
    assert [one.metrics for one in readings.values()] == [COUNTERS] * 20
    assert [readings[one.id].platform_post_id for one in unresolved] == [
        str(FIRST + one.id) for one in unresolved
    ]
    assert all(readings[one.id].platform_post_id is None for one in known)


def test_job_of_publish_ids_takes_21_calls_at_most(harness: Harness) -> None:
    harness.read(harness.unresolved(20))

    assert harness.upstream.cost == 21


def test_unpublished_id_is_processing(harness: Harness) -> None:
    pending = harness.unresolved(2, resolved_at=NOW + timedelta(hours=1))
    without = publication(90, None)

    readings = harness.read([*pending, without])

    assert {one.answer for one in readings.values()} == {Answer.PROCESSING}
    assert harness.upstream.cost == 2


def status(**data: object) -> httpx.Response:
    return reply({"data": data, "error": {"code": "ok"}})


def resolve(*answers: httpx.Response, count: int = 1) -> Outcome:
    """Read publications of which only the publish ids are known."""
    publications = [publication(number, None, publish_id=PUBLISH_ID) for number in range(1, count + 1)]
    return read_from(TikTok(Settings()), OWN, publications, *answers)


@pytest.mark.parametrize("key", ["publicaly_available_post_id", "publicly_available_post_id"])
@pytest.mark.parametrize("as_integer", [True, False])
def test_public_id_of_19_digits_is_exact(key: str, *, as_integer: bool) -> None:
    resolved = 7_560_000_000_000_000_001
    answer = status(**{key: [resolved if as_integer else str(resolved)]})

    (reading,) = resolve(answer, ok({"id": str(resolved), **COUNTERS})).readings

    assert (reading.platform_post_id, reading.metrics) == ("7560000000000000001", COUNTERS)


def test_two_publish_ids_of_one_video_request_it_once() -> None:
    requests: list[httpx.Request] = []
    same = status(publicaly_available_post_id=[FIRST + 1])
    answers = iter([same, status(publicaly_available_post_id=[FIRST + 1]), ok(video(1))])

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return next(answers)

    publications = [publication(number, None, publish_id=PUBLISH_ID) for number in (1, 2)]
    sent = upstream(answer, now=NOW)
    readings = drain(TikTok(Settings()).fetch(sent, OWN, publications)).readings

    assert json.loads(requests[-1].content) == {"filters": {"video_ids": [str(FIRST + 1)]}}
    assert [one.metrics for one in readings] == [COUNTERS, COUNTERS]


def test_video_absent_right_after_its_id_came_is_processing() -> None:
    (reading,) = resolve(status(publicaly_available_post_id=[FIRST + 1]), ok()).readings

    assert (reading.answer, reading.platform_post_id) == (Answer.PROCESSING, str(FIRST + 1))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (status(status="FAILED", fail_reason="video_pull_failed"), Answer.MISSING),
        (refused(400, "invalid_publish_id"), Answer.MISSING),
        (refused(403, "token_not_authorized_for_specified_publish_id"), Answer.MISSING),
        (refused(400, "invalid_params"), Answer.UNREADABLE),
        (status(status="PUBLISH_COMPLETE", publicaly_available_post_id=[]), Answer.PROCESSING),
        (status(status="PROCESSING_UPLOAD"), Answer.PROCESSING),
        (status(publicaly_available_post_id=[True, 5.5, "x", None, -FIRST]), Answer.PROCESSING),
        (status(publicaly_available_post_id=FIRST), Answer.PROCESSING),
    ],
)
def test_error_of_publish_id_concerns_its_own_post_alone(answer: httpx.Response, expected: Answer) -> None:
    other = status(publicaly_available_post_id=[FIRST + 2])

    outcome = resolve(answer, other, ok(video(2)), count=2)

    assert outcome.error is None
    assert {one.publication_id: one.answer for one in outcome.readings} == {1: expected, 2: Answer.READ}
    ids = {one.publication_id: one.platform_post_id for one in outcome.readings}
    assert ids == {1: None, 2: str(FIRST + 2)}


def test_publish_id_replaces_a_stored_id_that_is_none() -> None:
    wrong = publication(1, "not an id", publish_id=PUBLISH_ID)
    answers = status(publicaly_available_post_id=[FIRST + 1]), ok(video(1))

    (reading,) = read_from(TikTok(Settings()), OWN, [wrong], *answers).readings

    assert (reading.answer, reading.platform_post_id) == (Answer.READ, str(FIRST + 1))


def test_missing_status_scope_leaves_only_publish_ids_processing(harness: Harness) -> None:
    harness.grant("video.list")
    known, unresolved = harness.publish(2), harness.unresolved(3)

    readings = harness.read([*known, *unresolved])

    assert [readings[one.id].metrics for one in known] == [COUNTERS] * 2
    assert {readings[one.id].answer for one in unresolved} == {Answer.PROCESSING}
    assert all("video.publish" in (readings[one.id].detail or "") for one in unresolved)
    assert harness.upstream.cost == 2


def test_limit_of_statuses_does_not_affect_known_videos(harness: Harness) -> None:
    harness.behaviour.set_conditions(Conditions(limits={"status/fetch": Limit(1, 60)}))
    known, unresolved = harness.publish(1), harness.unresolved(3)

    outcome = harness.try_to_read([*known, *unresolved])

    assert [one.metrics for one in outcome.readings] == [COUNTERS, COUNTERS]
    assert isinstance(outcome.error, Paused)
    assert (outcome.error.kind, outcome.error.endpoint) == (BucketKind.ACCOUNT, "status/fetch")
