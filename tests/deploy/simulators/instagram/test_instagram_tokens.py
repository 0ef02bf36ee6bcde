"""Who a token is, and how it is renewed at the simulated Instagram."""

from dataclasses import replace
from datetime import timedelta

import httpx

from deploy.simulators.server import Simulators
from deploy.simulators.world import Application
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.instagram.harness import BUSINESS, LOGIN, refusal


def test_who_am_i(client: httpx.Client, facebook: httpx.Client) -> None:
    asked = {"fields": "user_id,username"}
    assert client.get("/me", params=asked).json()["user_id"] == LOGIN.platform_account_id
    person = facebook.get("/me", params={"fields": "id"}).json()["id"]
    assert person != BUSINESS.platform_account_id
    one = facebook.get(f"/{BUSINESS.platform_account_id}", params={"fields": "username"}).json()
    assert one == {"id": BUSINESS.platform_account_id, "username": "dravo"}


def refresh(sims: Simulators, token: str, path: str = "/refresh_access_token") -> httpx.Response:
    with httpx.Client(base_url="https://graph.instagram.com", transport=sims.transport()) as bare:
        return bare.get(path, params={"grant_type": "ig_refresh_token", "access_token": token})


def test_a_token_is_renewed_from_its_second_day_on(sims: Simulators, clock: Clock) -> None:
    assert refusal(refresh(sims, "IGAAtoken")) == (400, 100, None)
    clock.now += timedelta(hours=24)
    answer = refresh(sims, "IGAAtoken").json()
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 5_184_000)
    renewed = sims.world.holder(answer["access_token"])
    assert renewed is not None
    assert renewed.access_token_expires_at == clock.now + timedelta(days=60)
    assert refusal(refresh(sims, answer["access_token"])) == (400, 100, None)


def test_the_renewed_token_is_the_same_string_or_another_and_the_old_one_still_works(
    sims: Simulators, clock: Clock, client: httpx.Client
) -> None:
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


def test_a_dead_token_cannot_be_renewed(sims: Simulators, clock: Clock) -> None:
    clock.now += timedelta(days=60)
    assert refusal(refresh(sims, "IGAAtoken")) == (400, 190, 463)
    sims.world.revoke("instagram", LOGIN.platform_account_id, "460")
    assert refusal(refresh(sims, "IGAAtoken")) == (401, 190, 460)


def test_renewal_has_no_version_in_its_path(sims: Simulators, clock: Clock) -> None:
    clock.now += timedelta(days=2)
    assert refusal(refresh(sims, "IGAAtoken", "/v25.0/refresh_access_token")) == (400, 100, None)


def test_a_short_token_is_exchanged_with_the_apps_secret(sims: Simulators, client: httpx.Client) -> None:
    sims.world.applications["instagram"] = Application("instagram", "43", "ig-secret")
    asked = {"grant_type": "ig_exchange_token", "access_token": "IGAAtoken"}
    wrong = client.get("/access_token", params={**asked, "client_secret": "wrong"})
    assert refusal(wrong) == (400, 1, None)
    right = client.get("/access_token", params={**asked, "client_secret": "ig-secret"})
    assert right.json()["expires_in"] == 5_184_000
