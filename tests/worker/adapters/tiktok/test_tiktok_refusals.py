"""TikTok's refusals: each code of an answer, scopes and limits."""

from datetime import timedelta

import httpx
import pytest

from shared.vocabulary import BucketKind
from tests.worker.adapters.support import NOW, reply
from tests.worker.adapters.tiktok.harness import COUNTERS, read, refused, video
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain


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
        (refused(200, "internal_error"), TryAgain),
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
    assert not isinstance(outcome.error, TryAgain) or outcome.error.breaks == (answer.status_code >= 500)


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
