"""The TikTok adapter against the simulated platform, and against answers that no simulator should give."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from deploy.simulators.behaviour import Behaviour, Conditions, Limit
from deploy.simulators.tiktok.tiktok import TikTok as SimulatedTikTok
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Post, World
from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.answers import read_from
from tests.worker.adapters.harness import Outcome, drain
from tests.worker.adapters.support import NOW, account, publication, reply, upstream
from worker.adapters.tiktok import METRICS, TikTok
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Answer, Publication, Reading

OWNER, TOKEN = "_000dravo", "act.very-secret"
COUNTERS = {key: number for number, key in enumerate(METRICS, 10)}
OWN = account(Platform.TIKTOK, platform_account_id=OWNER, access_token=SecretStr(TOKEN))
FIRST = 7_560_000_000_000_000_000
PUBLISH_ID = "v_pub_file~v2.123456789"


class Harness:
    """A simulated TikTok with one account, on a stopped clock."""

    def __init__(self) -> None:
        self.world = World(0, lambda: NOW)
        self.behaviour = Behaviour()
        self.upstream = upstream(SimulatedTikTok(self.world, self.behaviour).handle, now=NOW)
        self.grant("video.list", "video.publish")

    def grant(self, *scopes: str) -> None:
        """Grant these scopes and no others."""
        self.world.add_accounts([SimulatedAccount("tiktok", OWNER, TOKEN, scopes=frozenset(scopes))])

    def publish(self, count: int, *, resolved_at: datetime | None = None, **others: Any) -> list[Publication]:
        """Publish that many videos, and return them as the worker sees them."""
        known = len(self.world.posts())
        publications = []
        for number in range(known + 1, known + count + 1):
            values = {"owner": OWNER, "counters": COUNTERS, "created_at": NOW - timedelta(days=2), **others}
            post = Post("tiktok", str(FIRST + number), resolved_at=resolved_at, **values)
            self.world.add_posts([post])
            publications.append(publication(number, post.platform_post_id))
        return publications

    def unresolved(self, count: int, *, resolved_at: datetime | None = None) -> list[Publication]:
        """Publish videos of which only the publish ids are known."""
        publications = []
        for _ in range(count):
            publish_id = f"{PUBLISH_ID}{len(self.world.posts())}"
            published = self.publish(1, resolved_at=resolved_at, publish_id=publish_id)[0]
            publications.append(publication(published.id, None, publish_id=publish_id))
        return publications

    def read(self, publications: list[Publication]) -> dict[int, Reading]:
        """Return the reading of each publication; no error may end the fetch early."""
        outcome = self.try_to_read(publications)
        assert outcome.error is None
        return {reading.publication_id: reading for reading in outcome.readings}

    def try_to_read(self, publications: list[Publication]) -> Outcome:
        """Fetch, with or without an error."""
        return drain(TikTok(Settings()).fetch(self.upstream, OWN, publications))


@pytest.fixture
def harness() -> Harness:
    return Harness()


def read(answer: httpx.Response, count: int = 1) -> Outcome:
    """Fetch videos from a platform with this answer."""
    publications = [publication(number, str(FIRST + number)) for number in range(1, count + 1)]
    return read_from(TikTok(Settings()), OWN, publications, answer)


def ok(*videos: object) -> httpx.Response:
    return reply({"data": {"videos": list(videos)}, "error": {"code": "ok", "message": "", "log_id": "1"}})


def video(number: int, **others: Any) -> dict[str, Any]:
    return {"id": str(FIRST + number), **COUNTERS, **others}


def refused(status: int, code: str) -> httpx.Response:
    return reply({"data": {}, "error": {"code": code, "message": "", "log_id": "1"}}, status)


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


# Refusals


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refused(401, "access_token_invalid"), Reauthorize),
        (refused(200, "access_token_invalid"), Reauthorize),
        (reply({"code": "access_token_invalid", "message": "", "log_id": "1"}, 401), Reauthorize),
        (reply("", 401), Reauthorize),
        (refused(401, "scope_not_authorized"), Reauthorize),
        (refused(400, "scope_permission_missed"), Reauthorize),
        (refused(400, "invalid_params"), Misconfigured),
        (refused(200, "invalid_params"), Misconfigured),
        (refused(403, "something_new"), Misconfigured),
        (reply("404 page not found", 404), Misconfigured),
        (refused(429, "rate_limit_exceeded"), Paused),
        (refused(200, "rate_limit_exceeded"), Paused),
        (reply("", 429), Paused),
        (refused(500, "internal_error"), TryAgain),
        (refused(500, "ok"), TryAgain),
        (reply("<html>", 502), TryAgain),
        (reply("<html>", 200), TryAgain),
        (reply("null", 200), TryAgain),
        (reply({"data": {"videos": []}}), TryAgain),
        (reply({"data": {"videos": []}, "error": {"code": 0}}), TryAgain),
        (reply({"data": {"videos": []}, "error": {"code": ["ok"]}}), TryAgain),
        (reply({"error": {"code": {}}}, 400), Misconfigured),
        (reply({"data": [], "error": {"code": "ok"}}), TryAgain),
        (reply({"data": {"videos": "none"}, "error": {"code": "ok"}}), TryAgain),
    ],
)
def test_answer_is_classified_by_its_code(answer: httpx.Response, expected: type[RefreshError]) -> None:
    outcome = read(answer)

    assert (outcome.readings, type(outcome.error)) == ((), expected)


def test_success_without_the_wrapper_is_accepted() -> None:
    (reading,) = read(reply({"data": {"videos": [video(1)]}, "code": "ok"})).readings

    assert reading.metrics == COUNTERS


def test_missing_scope_is_not_a_dead_token() -> None:
    dead = read(refused(401, "access_token_invalid")).error
    scope = read(refused(401, "scope_not_authorized")).error

    assert isinstance(dead, Reauthorize)
    assert (dead.renewable, dead.missing_scope) == (True, None)
    assert isinstance(scope, Reauthorize)
    assert (scope.renewable, scope.missing_scope) == (False, "video.list")


@pytest.mark.parametrize(("hint", "seconds"), [(None, 60), ("5", 60), ("300", 300), ("soon", 60)])
def test_limit_pauses_the_endpoint_for_a_minute_and_jitter(hint: str | None, seconds: int) -> None:
    error = read(reply("", 429, {} if hint is None else {"retry-after": hint})).error

    assert isinstance(error, Paused)
    assert (error.kind, error.endpoint) == (BucketKind.ENDPOINT, "video/query")
    least = NOW + timedelta(seconds=seconds)
    assert least <= error.until <= least + timedelta(seconds=15)
