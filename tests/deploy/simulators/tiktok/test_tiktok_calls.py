"""Authentication, limits and token refresh of the simulated TikTok."""

from datetime import timedelta

import pytest

from deploy.simulators.behaviour import Behaviour, Conditions, Limit
from deploy.simulators.tiktok.oauth import CLIENT_KEY, CLIENT_SECRET
from deploy.simulators.tiktok.tiktok import TikTok
from deploy.simulators.world import World
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.tiktok.harness import (
    FOREIGN,
    USER,
    VIDEO,
    code,
    post,
    public_ids,
    query,
    refresh,
)

# Who may call, how often


@pytest.mark.parametrize("state", ["unknown", "expired", "revoked"])
def test_expired_revoked_or_unknown_token_is_invalid(
    tiktok: TikTok, world: World, clock: Clock, state: str
) -> None:
    if state == "expired":
        clock.now += timedelta(hours=2)
    elif state == "revoked":
        world.revoke("tiktok", USER)

    response = query(tiktok, VIDEO, by="nobody" if state == "unknown" else "act.user")

    assert (response.status_code, code(response)) == (401, "access_token_invalid")
    assert response.json()["data"] == {}


def test_missing_scope_is_a_401_of_its_own(tiktok: TikTok, world: World) -> None:
    world.change_account("tiktok", USER, scopes=frozenset({"video.upload"}))

    response = query(tiktok, VIDEO)

    assert (response.status_code, code(response)) == (401, "scope_not_authorized")
    assert public_ids(tiktok, "v_pub_file~1") == [int(VIDEO)]


def test_app_limit_is_six_hundred_calls_in_a_sliding_minute(tiktok: TikTok, clock: Clock) -> None:
    for _ in range(300):
        query(tiktok, VIDEO)
    clock.now += timedelta(seconds=30)
    for _ in range(300):
        assert query(tiktok, FOREIGN, by="act.other").status_code == 200

    refused = query(tiktok, VIDEO)

    assert (refused.status_code, code(refused)) == (429, "rate_limit_exceeded")
    assert "retry-after" not in refused.headers
    assert post(tiktok, "/v2/video/list/?fields=id", {}).status_code == 200
    clock.now += timedelta(seconds=30)
    assert query(tiktok, VIDEO).status_code == 200


def test_publish_status_limit_is_per_user(tiktok: TikTok, behaviour: Behaviour) -> None:
    behaviour.set_conditions(Conditions(limits={"status/fetch": Limit(1, 60.0)}))
    public_ids(tiktok, "v_pub_file~1")

    refused = post(tiktok, "/v2/post/publish/status/fetch/", {"publish_id": "v_pub_file~1"})
    other = post(tiktok, "/v2/post/publish/status/fetch/", {"publish_id": "v_pub_file~2"}, "act.other")

    assert (refused.status_code, code(refused)) == (429, "rate_limit_exceeded")
    assert other.status_code == 200


# Tokens


def test_refresh_replaces_both_tokens(tiktok: TikTok) -> None:
    answer = refresh(tiktok, "rft.1").json()

    assert (answer["expires_in"], answer["refresh_expires_in"]) == (7200, 180 * 86400)
    assert (answer["open_id"], answer["token_type"]) == (USER, "Bearer")
    assert answer["scope"] == "video.list,video.publish"
    assert code(query(tiktok, VIDEO, by=answer["access_token"])) == "ok"
    assert refresh(tiktok, answer["refresh_token"]).status_code == 200


def test_reused_refresh_token_is_refused_and_revokes_nothing(tiktok: TikTok) -> None:
    answer = refresh(tiktok, "rft.1").json()

    again = refresh(tiktok, "rft.1")

    assert again.status_code == 400
    assert again.json()["error"] == "invalid_grant"
    assert set(again.json()) == {"error", "error_description", "log_id"}
    assert refresh(tiktok, answer["refresh_token"]).status_code == 200


def test_expired_refresh_token_is_refused(tiktok: TikTok, clock: Clock) -> None:
    clock.now += timedelta(days=180)

    assert refresh(tiktok, "rft.1").json()["error"] == "invalid_grant"


def test_revoked_account_cannot_refresh(tiktok: TikTok, world: World) -> None:
    world.revoke("tiktok", USER)

    assert refresh(tiktok, "rft.1").json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_key": "other"}, 401, "invalid_client"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_wrong_client_or_grant_is_refused(
    tiktok: TikTok, changes: dict[str, str], status: int, error: str
) -> None:
    response = refresh(tiktok, "rft.1", **changes)

    assert (response.status_code, response.json()["error"]) == (status, error)
    assert refresh(tiktok, "rft.1").status_code == 200


def test_refresh_in_json_is_refused(tiktok: TikTok) -> None:
    body = {"client_key": CLIENT_KEY, "client_secret": CLIENT_SECRET, "refresh_token": "rft.1"}

    assert post(tiktok, "/v2/oauth/token/", body).json()["error"] == "invalid_request"


def test_older_access_tokens_live_a_day(world: World) -> None:
    tiktok = TikTok(world, Behaviour(), access_life=timedelta(hours=24))

    assert refresh(tiktok, "rft.1").json()["expires_in"] == 86400
