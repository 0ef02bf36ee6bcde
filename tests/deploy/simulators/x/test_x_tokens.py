"""The token endpoints of the simulated X."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.world import World
from deploy.simulators.x.oauth import CLIENT_ID
from deploy.simulators.x.x import X
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.x.harness import BASIC, POST, USER, Get, look_up, refresh


def test_refresh_replaces_both_tokens(x: X, get: Get) -> None:
    pair = refresh(x, "refresh-1").json()

    assert pair["expires_in"] == 7200
    assert pair["token_type"] == "bearer"
    assert pair["refresh_token"] != "refresh-1"
    assert look_up(get, POST, by=pair["access_token"]).status_code == 200
    assert refresh(x, pair["refresh_token"]).status_code == 200


def test_reused_refresh_token_revokes_its_family(x: X, get: Get) -> None:
    pair = refresh(x, "refresh-1").json()

    again = refresh(x, "refresh-1")

    assert again.status_code == 400
    assert again.json() == {
        "error": "invalid_request",
        "error_description": "Value passed for the token was invalid.",
    }
    assert look_up(get, POST, by=pair["access_token"]).status_code == 401
    assert refresh(x, pair["refresh_token"]).status_code == 400


def test_access_token_lives_two_hours(x: X, get: Get, clock: Clock) -> None:
    token = refresh(x, "refresh-1").json()["access_token"]

    clock.now += timedelta(hours=2) - timedelta(seconds=1)
    assert look_up(get, POST, by=token).status_code == 200
    clock.now += timedelta(seconds=1)
    assert look_up(get, POST, by=token).status_code == 401


def test_unknown_refresh_token_is_refused(x: X) -> None:
    assert refresh(x, "nothing").status_code == 400


def test_expired_refresh_token_is_refused(x: X, world: World, clock: Clock) -> None:
    world.change_account("x", USER, refresh_token_expires_at=clock.now)

    assert refresh(x, "refresh-1").status_code == 400


@pytest.mark.parametrize("auth", [None, httpx.BasicAuth(CLIENT_ID, "wrong")])
def test_unauthenticated_client_is_refused(x: X, auth: httpx.BasicAuth | None) -> None:
    response = refresh(x, "refresh-1", auth=auth, form={"client_id": CLIENT_ID})

    assert response.status_code == 401
    assert response.json()["error_description"] == "Missing valid authorization header"
    assert refresh(x, "refresh-1").status_code == 200


def test_public_client_sends_its_id_in_the_body(world: World) -> None:
    x = X(world, Behaviour(), client_secret=None)

    assert refresh(x, "refresh-1", auth=None).status_code == 401
    assert refresh(x, "refresh-1", auth=None, form={"client_id": CLIENT_ID}).status_code == 200


@pytest.mark.parametrize(
    "changes", [{"form": {"grant_type": "password"}}, {"headers": {"Content-Type": "text/plain"}}]
)
def test_refresh_requires_a_form_with_its_grant(x: X, changes: dict[str, Any]) -> None:
    assert refresh(x, "refresh-1", **changes).status_code == 400
    assert refresh(x, "refresh-1").status_code == 200


@pytest.mark.parametrize("token", ["user-token", "refresh-1", "unknown"])
def test_revoking_either_token_revokes_both(x: X, get: Get, token: str) -> None:
    with httpx.Client(transport=httpx.MockTransport(x.handle), auth=BASIC) as client:
        revoked = client.post("https://api.x.com/2/oauth2/revoke", data={"token": token})

    assert revoked.json() == {"revoked": True}
    assert look_up(get, POST).status_code == (200 if token == "unknown" else 401)
