"""Authentication, versions, limits and token refresh of the simulated LinkedIn."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from deploy.simulators.behaviour import Behaviour, Conditions, Limit
from deploy.simulators.linkedin.linkedin import LinkedIn
from deploy.simulators.world import World
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.linkedin.harness import (
    FOREIGN,
    ORG,
    OTHER,
    SHARE,
    code,
    encoded,
    get,
    refresh,
    statistics,
)

# Who may call, with which version, how often


def test_each_token_error_has_its_service_code(linkedin: LinkedIn, world: World, clock: Clock) -> None:
    assert statistics(linkedin, SHARE, by=None).json()["serviceErrorCode"] == 401
    assert statistics(linkedin, SHARE, by="nobody").json()["serviceErrorCode"] == 65600
    clock.now += timedelta(days=60)
    expired = statistics(linkedin, SHARE)
    assert code(expired) == (401, "EXPIRED_ACCESS_TOKEN")
    assert expired.json()["serviceErrorCode"] == 65602
    world.revoke("linkedin", ORG)
    revoked = statistics(linkedin, SHARE)
    assert code(revoked) == (401, "REVOKED_ACCESS_TOKEN")
    assert revoked.json()["serviceErrorCode"] == 65601


def test_new_token_can_be_refused_as_revoked_for_seconds(
    linkedin: LinkedIn, behaviour: Behaviour, clock: Clock
) -> None:
    behaviour.set_conditions(Conditions(revoked_after_minting_seconds=8))
    clock.now += timedelta(days=1)
    token = refresh(linkedin).json()["access_token"]

    assert code(statistics(linkedin, SHARE, by=token)) == (401, "REVOKED_ACCESS_TOKEN")

    clock.now += timedelta(seconds=8)
    assert statistics(linkedin, SHARE, by=token).status_code == 200


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (None, (400, "VERSION_MISSING")),
        ("202511", (426, "NONEXISTENT_VERSION")),
        ("202512", (426, "NONEXISTENT_VERSION")),
        ("latest", (426, "NONEXISTENT_VERSION")),
    ],
)
def test_inactive_version_is_refused(
    linkedin: LinkedIn, version: str | None, expected: tuple[int, str]
) -> None:
    assert code(statistics(linkedin, SHARE, LinkedIn_Version=version)) == expected


def test_version_can_be_sunset(linkedin: LinkedIn, behaviour: Behaviour) -> None:
    behaviour.set_conditions(Conditions(sunset_versions=frozenset({"202608"})))

    assert code(statistics(linkedin, SHARE)) == (426, "NONEXISTENT_VERSION")
    assert statistics(linkedin, SHARE, LinkedIn_Version="202609").status_code == 200


@pytest.mark.parametrize("protocol", [None, "1.0.0"])
def test_lists_require_protocol_two(linkedin: LinkedIn, protocol: str | None) -> None:
    response = statistics(linkedin, SHARE, X_Restli_Protocol_Version=protocol)

    assert code(response) == (400, "ILLEGAL_ARGUMENT")


@pytest.mark.parametrize(("bucket", "others"), [("application_day", 429), ("member_day", 200)])
def test_daily_limit_resets_at_midnight_utc(
    linkedin: LinkedIn, behaviour: Behaviour, clock: Clock, bucket: str, others: int
) -> None:
    behaviour.set_conditions(Conditions(limits={bucket: Limit(1, 86_400.0, sliding=False)}))
    statistics(linkedin, SHARE)

    refused = statistics(linkedin, SHARE)

    assert code(refused) == (429, "TOO_MANY_REQUESTS")
    assert refused.json()["serviceErrorCode"] == 101
    assert f"throttle {bucket.removesuffix('_day').upper()} DAY limit" in refused.json()["message"]
    assert not {"retry-after", "x-ratelimit-reset"} & set(refused.headers)
    assert statistics(linkedin, FOREIGN, org=OTHER, by="other-token").status_code == others
    assert get(linkedin, f"/rest/posts/{encoded(SHARE)}").status_code == 200
    clock.now = datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)
    assert statistics(linkedin, SHARE).status_code == 429
    clock.now = datetime(2026, 11, 24, tzinfo=UTC)
    assert statistics(linkedin, SHARE).status_code == 200


# Tokens


def test_refresh_does_not_extend_the_refresh_token(linkedin: LinkedIn, clock: Clock) -> None:
    clock.now += timedelta(days=100)

    first = refresh(linkedin).json()
    clock.now += timedelta(days=1)
    second = refresh(linkedin).json()

    assert first["expires_in"] == 5_184_000
    assert first["refresh_token"] == second["refresh_token"] == "refresh-1"
    assert first["refresh_token_expires_in"] == 265 * 86_400
    assert second["refresh_token_expires_in"] == 264 * 86_400
    assert statistics(linkedin, SHARE, by=second["access_token"]).status_code == 200


def test_refresh_covers_every_page_of_the_same_consent(linkedin: LinkedIn, world: World) -> None:
    world.change_account("linkedin", OTHER, access_token="page-token", refresh_token="refresh-1")

    token = refresh(linkedin).json()["access_token"]

    assert statistics(linkedin, SHARE, by=token).status_code == 200
    assert statistics(linkedin, FOREIGN, org=OTHER, by=token).status_code == 200


@pytest.mark.parametrize("how", ["unknown", "expired", "revoked"])
def test_invalid_refresh_token_is_an_invalid_grant(
    linkedin: LinkedIn, world: World, clock: Clock, how: str
) -> None:
    if how == "expired":
        clock.now += timedelta(days=365)
    elif how == "revoked":
        world.revoke("linkedin", ORG)

    response = refresh(linkedin, "nothing" if how == "unknown" else "refresh-1")

    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "other"}, 401, "invalid_client"),
        ({"client_id": "", "client_secret": ""}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_client_authenticates_in_the_form(
    linkedin: LinkedIn, changes: dict[str, str], status: int, error: str
) -> None:
    response = refresh(linkedin, **changes)

    assert (response.status_code, response.json()["error"]) == (status, error)


def test_refresh_in_json_is_refused(linkedin: LinkedIn) -> None:
    url = "https://www.linkedin.com/oauth/v2/accessToken"

    assert linkedin.handle(httpx.Request("POST", url, json={"refresh_token": "refresh-1"})).status_code == 400
