"""Tokens of the simulated Instagram: owner and renewal."""

from dataclasses import replace
from datetime import timedelta

import httpx

from deploy.simulators.server import Simulators
from deploy.simulators.world import Application
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.instagram.harness import BUSINESS, LOGIN, refusal


def test_me_returns_the_token_owner(client: httpx.Client, facebook: httpx.Client) -> None:
    parameters = {"fields": "user_id,username"}
    assert client.get("/me", params=parameters).json()["user_id"] == LOGIN.platform_account_id
    person = facebook.get("/me", params={"fields": "id"}).json()["id"]
    assert person != BUSINESS.platform_account_id
    one = facebook.get(f"/{BUSINESS.platform_account_id}", params={"fields": "username"}).json()
    assert one == {"id": BUSINESS.platform_account_id, "username": "dravo"}


def refresh(sims: Simulators, token: str, path: str = "/refresh_access_token") -> httpx.Response:
    with httpx.Client(base_url="https://graph.instagram.com", transport=sims.transport()) as bare:
        return bare.get(path, params={"grant_type": "ig_refresh_token", "access_token": token})


def test_token_can_be_renewed_after_a_day(sims: Simulators, clock: Clock) -> None:
    assert refusal(refresh(sims, "IGAAtoken")) == (400, 100, None)
    clock.now += timedelta(hours=24)
    answer = refresh(sims, "IGAAtoken").json()
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 5_184_000)
    renewed = sims.world.holder(answer["access_token"])
    assert renewed is not None
    assert renewed.access_token_expires_at == clock.now + timedelta(days=60)
    assert refusal(refresh(sims, answer["access_token"])) == (400, 100, None)


def test_former_token_stays_valid_after_renewal(sims: Simulators, clock: Clock, client: httpx.Client) -> None:
    same = 0
    for number in range(20):
        token = f"IGAAtoken-{number}"
        sims.world.add_accounts([replace(LOGIN, platform_account_id=str(number), access_token=token)])
    clock.now += timedelta(days=2)
    for number in range(20):
        token = f"IGAAtoken-{number}"
        same += refresh(sims, token).json()["access_token"] == token
        assert client.get("/me", params={"access_token": token}).status_code == 200
    assert 0 < same < 20


def test_expired_or_revoked_token_cannot_be_renewed(sims: Simulators, clock: Clock) -> None:
    clock.now += timedelta(days=60)
    assert refusal(refresh(sims, "IGAAtoken")) == (400, 190, 463)
    sims.world.revoke("instagram", LOGIN.platform_account_id, "460")
    assert refusal(refresh(sims, "IGAAtoken")) == (401, 190, 460)


def test_renewal_path_has_no_version(sims: Simulators, clock: Clock) -> None:
    clock.now += timedelta(days=2)
    assert refusal(refresh(sims, "IGAAtoken", "/v25.0/refresh_access_token")) == (400, 100, None)


def test_exchange_of_a_short_token_requires_the_app_secret(sims: Simulators, client: httpx.Client) -> None:
    sims.world.applications["instagram"] = Application("instagram", "43", "ig-secret")
    parameters = {"grant_type": "ig_exchange_token", "access_token": "IGAAtoken"}
    wrong = client.get("/access_token", params={**parameters, "client_secret": "wrong"})
    assert refusal(wrong) == (400, 1, None)
    right = client.get("/access_token", params={**parameters, "client_secret": "ig-secret"})
    assert right.json()["expires_in"] == 5_184_000
