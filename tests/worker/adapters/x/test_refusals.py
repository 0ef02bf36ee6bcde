"""The meaning of X's refusals, from their content and X's own clock."""

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.answers import read_from
from tests.worker.adapters.harness import Outcome
from tests.worker.adapters.support import NOW, account, publication, reply
from worker.adapters.x.refusals import USER_BUCKET, limits
from worker.adapters.x.x import X
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.http.client import Reply
from worker.readings import Account

PROBLEM = "https://api.twitter.com/2/problems/"


USER = account(Platform.X)


def read(answer: httpx.Response, by: Account = USER, **settings: Any) -> Outcome:
    """Fetch one old post from a platform with this answer."""
    return read_from(X(Settings(**settings)), by, [publication(1, "1")], answer)


SUSPENDED = {"type": PROBLEM + "user-suspended", "detail": "The user authenticating this is suspended."}
NOT_ENROLLED = {"type": PROBLEM + "client-forbidden", "reason": "client-not-enrolled"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"title": "Unauthorized", "type": "about:blank"}, Reauthorize),
        (401, "", Reauthorize),
        (402, "", Paused),
        (402, {"type": "https://api.x.com/2/problems/credits-depleted"}, Paused),
        (400, {"type": PROBLEM + "credits"}, Paused),
        (403, {"type": "https://api.x.com/2/problems/credits", "title": "CreditsDepleted"}, Paused),
        (429, {"errors": [{"type": PROBLEM + "credits"}]}, Paused),
        (503, {"type": PROBLEM + "credits"}, Paused),
        (200, {"errors": [{"type": PROBLEM + "credits"}]}, Paused),
        (403, {"title": "UsageCapExceeded"}, Paused),
        (403, SUSPENDED, Reauthorize),
        (403, {"detail": "The user authenticating this is suspended."}, Reauthorize),
        (403, NOT_ENROLLED, Misconfigured),
        (403, {"errors": [NOT_ENROLLED]}, Misconfigured),
        (403, {"type": PROBLEM + "unsupported-authentication"}, Misconfigured),
        (403, {"detail": "Your client app is not configured with the appropriate permissions"}, Reauthorize),
        (403, {"detail": "no"}, Misconfigured),
        (404, "", Misconfigured),
        (429, {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}, Paused),
        (429, "<html>", Paused),
        (500, "", TryAgain),
        (503, "<html>", TryAgain),
        (200, "", TryAgain),
        (200, "[1]", TryAgain),
        (302, "", Misconfigured),
    ],
)
def test_refusal_is_classified_by_its_content(
    status: int, body: object, expected: type[RefreshError]
) -> None:
    outcome = read(reply(body, status))

    assert (outcome.readings, type(outcome.error)) == ((), expected)
    assert not isinstance(outcome.error, TryAgain) or outcome.error.breaks == (status >= 500)


def test_dead_token_is_renewable_and_suspension_is_not() -> None:
    dead = read(reply({}, 401)).error
    suspended = read(reply(SUSPENDED, 403)).error

    assert isinstance(dead, Reauthorize)
    assert dead.renewable
    assert isinstance(suspended, Reauthorize)
    assert not suspended.renewable
    assert suspended.missing_scope is None
    assert "suspended" in str(suspended)


def test_refused_app_bearer_is_misconfigured() -> None:
    keyless = account(Platform.X, access_token=SecretStr(""))
    bearer = SecretStr("bearer-very-secret")
    for status in (401, 403):
        outcome = read(reply({"detail": "scope"}, status), by=keyless, x_app_bearer=bearer)

        assert isinstance(outcome.error, Misconfigured)


@pytest.mark.parametrize(
    ("body", "application"),
    [
        (NOT_ENROLLED, True),
        ({"type": PROBLEM + "unsupported-authentication"}, True),
        ({"detail": "no"}, False),
    ],
)
def test_only_a_refused_application_stops_the_platform(body: object, *, application: bool) -> None:
    error = read(reply(body, 403)).error

    assert isinstance(error, Misconfigured)
    assert error.application is application


@pytest.mark.parametrize(
    ("detail", "scope"), [("lacks the permissions", "tweet.read"), ("the scope users.read", "users.read")]
)
def test_missing_permission_names_its_scope(detail: str, scope: str) -> None:
    error = read(reply({"detail": detail}, 403)).error

    assert isinstance(error, Reauthorize)
    assert error.missing_scope == scope


def test_more_calls_left_than_there_are_is_no_limit() -> None:
    def reported(remaining: int) -> list[int | None]:
        headers = {"x-rate-limit-limit": "10", "x-rate-limit-remaining": str(remaining)}
        answer = Reply(200, httpx.Headers(headers), NOW, b"{}")
        return [one.remaining for one in limits(answer, USER_BUCKET)]

    assert [reported(remaining) for remaining in (0, 10, 11)] == [[0], [10], []]


SKEW = timedelta(hours=3)


@pytest.mark.parametrize(
    ("reset", "date", "wait"),
    [
        (NOW + timedelta(minutes=7), NOW, timedelta(minutes=7)),
        (NOW + timedelta(minutes=7), None, timedelta(minutes=7)),
        (NOW + SKEW + timedelta(minutes=7), NOW + SKEW, timedelta(minutes=7)),
        (NOW - SKEW + timedelta(minutes=7), NOW - SKEW, timedelta(minutes=7)),
        (NOW, NOW, timedelta(seconds=1)),
        (NOW - timedelta(minutes=1), NOW, timedelta(minutes=15)),
        (NOW + timedelta(hours=20), NOW, timedelta(minutes=15)),
        ("soon", NOW, timedelta(minutes=15)),
        ("9" * 12, NOW, timedelta(minutes=15)),
    ],
)
def test_reset_is_read_on_the_platforms_clock(
    reset: datetime | str, date: datetime | None, wait: timedelta
) -> None:
    reset_header = reset if isinstance(reset, str) else str(int(reset.timestamp()))
    headers = {
        "x-rate-limit-limit": "5000",
        "x-rate-limit-remaining": "0",
        "x-rate-limit-reset": reset_header,
    }
    if date is not None:
        headers["date"] = format_datetime(date, usegmt=True)

    error = read(reply({}, 429, headers)).error

    assert isinstance(error, Paused)
    assert (error.kind, error.endpoint, error.until) == (BucketKind.ACCOUNT, "tweets", NOW + wait)
