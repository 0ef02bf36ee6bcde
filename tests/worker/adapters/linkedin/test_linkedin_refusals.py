"""The meaning of LinkedIn's refusals: its codes, its daily limits, and just renewed tokens."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.answers import read_from
from tests.worker.adapters.support import NOW, account, publication, reply
from worker.adapters.linkedin.linkedin import LinkedIn
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain

REVOKED = {"status": 401, "serviceErrorCode": 65601, "code": "REVOKED_ACCESS_TOKEN", "message": ""}
EXPIRED = {"status": 401, "serviceErrorCode": 65602, "code": "EXPIRED_ACCESS_TOKEN", "message": ""}
REFRESH = SecretStr("refresh-very-secret")


def refused(answer: httpx.Response, **account_changes: Any) -> RefreshError | None:
    """Return the error of a fetch of one post from a platform with this answer."""
    by = account(Platform.LINKEDIN, **{"kind": "organization", **account_changes})
    outcome = read_from(LinkedIn(Settings()), by, [publication(1, "urn:li:share:1")], answer)
    assert outcome.readings == ()
    return outcome.error


@pytest.mark.parametrize("kind", ["organization", "member"])
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"serviceErrorCode": 65600}, Reauthorize),
        (401, EXPIRED, Reauthorize),
        (401, REVOKED, Reauthorize),
        (401, "", Reauthorize),
        (401, {"serviceErrorCode": 401, "message": "Empty oauth2_access_token"}, Misconfigured),
        (426, {"code": "NONEXISTENT_VERSION"}, Misconfigured),
        (405, "", Misconfigured),
        (302, "", Misconfigured),
        (429, {"serviceErrorCode": 101}, Paused),
        (429, "<html>", Paused),
        (500, "", TryAgain),
        (503, "<html>", TryAgain),
        (200, "<html>", TryAgain),
        (200, "", TryAgain),
    ],
)
def test_refusal_is_classified_by_its_codes(
    kind: str, status: int, body: object, expected: type[RefreshError]
) -> None:
    error = refused(reply(body, status), kind=kind)

    assert type(error) is expected
    assert not isinstance(error, TryAgain) or error.breaks == (status >= 500)


def test_wrong_path_is_misconfigured() -> None:
    assert isinstance(refused(reply({"status": 404}, 404)), Misconfigured)


def test_retired_version_names_its_setting_and_stops_the_platform() -> None:
    retired, other = refused(reply({}, 426)), refused(reply("", 405))

    assert "DRAVO_LINKEDIN_VERSION" in str(retired)
    assert isinstance(retired, Misconfigured)
    assert isinstance(other, Misconfigured)
    assert (retired.application, other.application) == (True, False)


def test_refused_form_of_a_call_is_ours_and_a_refused_member_is_not() -> None:
    assert isinstance(refused(reply({"code": "ILLEGAL_ARGUMENT"}, 400)), Misconfigured)
    assert isinstance(refused(reply({}, 400), kind="member"), Misconfigured)
    assert isinstance(refused(reply({}, 403), kind="member"), Reauthorize)


# Tokens


@pytest.mark.parametrize(
    ("body", "refresh_token", "renewable"),
    [
        (EXPIRED, REFRESH, True),
        (EXPIRED, None, False),
        (REVOKED, REFRESH, False),
        ({"serviceErrorCode": 65601}, REFRESH, False),
        ({"code": "REVOKED_ACCESS_TOKEN"}, REFRESH, False),
        ("", REFRESH, True),
    ],
)
def test_refusal_is_renewable_only_with_a_refresh_token(
    body: object,
    refresh_token: SecretStr | None,
    renewable: bool,
) -> None:
    error = refused(reply(body, 401), refresh_token=refresh_token)

    assert isinstance(error, Reauthorize)
    assert (error.renewable, error.missing_scope) == (renewable, None)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(0), Paused),
        (timedelta(seconds=59), Paused),
        (timedelta(seconds=60), Reauthorize),
        (None, Reauthorize),
    ],
)
def test_just_renewed_token_is_retried_once_before_it_counts_as_revoked(
    age: timedelta | None, expected: type[RefreshError]
) -> None:
    error = refused(reply(REVOKED, 401), token_minted_at=None if age is None else NOW - age)

    assert type(error) is expected
    if isinstance(error, Paused):
        assert (error.kind, error.until) == (BucketKind.ACCOUNT, NOW + timedelta(seconds=8))
        assert isinstance(error.refused_again, Reauthorize)
        assert not error.refused_again.renewable


def test_empty_token_requires_reconnect() -> None:
    unseen = reply({"serviceErrorCode": 401}, 401)

    assert isinstance(refused(unseen, access_token=SecretStr("")), Reauthorize)


# Limits


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Resource level throttle APPLICATION DAY limit for calls is reached.", BucketKind.ENDPOINT),
        ("Resource level throttle MEMBER DAY limit for calls is reached.", BucketKind.ACCOUNT),
        ("", BucketKind.ACCOUNT),
    ],
)
def test_limit_pauses_its_bucket_and_then_until_midnight(message: str, kind: BucketKind) -> None:
    error = refused(reply({"serviceErrorCode": 101, "message": message}, 429))

    assert isinstance(error, Paused)
    assert (error.kind, error.endpoint) == (kind, "organizationalEntityShareStatistics")
    assert error.until == NOW + timedelta(seconds=90)
    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    assert error.escalates_until is not None
    assert midnight <= error.escalates_until <= midnight + timedelta(minutes=10)


@pytest.mark.parametrize("wait", [timedelta(seconds=2), timedelta(hours=20)])
def test_stated_wait_is_used_each_time(wait: timedelta) -> None:
    error = refused(reply("", 429, {"retry-after": f"{wait.total_seconds():.0f}"}))

    assert isinstance(error, Paused)
    assert (error.until, error.escalates_until) == (NOW + wait, None)
