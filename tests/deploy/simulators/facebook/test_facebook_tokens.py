"""Tokens of the simulated Page API: errors, expiry, appsecret_proof."""

import hmac
import json
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from deploy.simulators.server import Simulators
from deploy.simulators.world import Account, Application
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.example import NOW
from tests.deploy.simulators.facebook.harness import METRICS, PAGE, SCOPES, TOKEN, batch, insights, refusal


def test_token_is_accepted_in_query_header_or_form(sims: Simulators) -> None:
    with httpx.Client(base_url="https://graph.facebook.com", transport=sims.transport()) as bare:
        assert refusal(bare.get("/me")) == (401, 104, None)
        assert bare.get("/me", params={"access_token": TOKEN}).json()["id"] == "1000"
        assert bare.get("/v25.0/me", headers={"Authorization": f"Bearer {TOKEN}"}).json()["name"] == "Dravo"
        assert (
            batch(bare, ["1000_2000/insights?metric=post_clicks"], access_token=TOKEN).json()[0]["code"]
            == 200
        )


def test_token_of_the_other_host_is_refused(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([Account("instagram", "178", "IGAAtoken", login="instagram")])
    for token in ("nonsense", "IGAAtoken"):
        answer = client.get("/me", headers={"Authorization": f"Bearer {token}"})
        assert refusal(answer) == (401, 190, None)
        assert "Cannot parse access token" in answer.json()["error"]["message"]


@pytest.mark.parametrize("subcode", ["458", "459", "460", "464", "467", "492"])
def test_error_of_a_revoked_token_names_the_reason(
    sims: Simulators, client: httpx.Client, subcode: str
) -> None:
    sims.world.revoke("facebook", "1000", subcode)
    assert refusal(insights(client)) == (401, 190, int(subcode))
    assert refusal(batch(client, ["1000_2000/insights?metric=post_clicks"])) == (401, 190, int(subcode))


def test_token_is_refused_from_its_expiry_on(sims: Simulators, clock: Clock, client: httpx.Client) -> None:
    sims.world.add_accounts([replace(PAGE, access_token_expires_at=NOW + timedelta(hours=1))])
    assert insights(client).status_code == 200
    clock.now += timedelta(hours=1)
    answer = insights(client)
    assert refusal(answer) == (400, 190, 463)
    assert "Monday, 23-Nov-26 13:00:00" in answer.json()["error"]["message"]


def test_lost_page_role_invalidates_the_session(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([replace(PAGE, role_lost=True)])
    assert refusal(insights(client)) == (401, 190, 492)


def test_appsecret_proof_counts_only_in_the_query_string(sims: Simulators, client: httpx.Client) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    sims.world.applications["meta"] = Application("meta", "42", secret, proof_required=True)
    proof = hmac.new(secret.encode(), TOKEN.encode(), "sha256").hexdigest()
    missing = insights(client)
    assert refusal(missing) == (400, 100, None)
    assert missing.json()["error"]["type"] == "GraphMethodException"
    assert "require an appsecret_proof" in missing.json()["error"]["message"]
    wrong = client.get("/1000_2000/insights", params={"metric": METRICS, "appsecret_proof": "0" * 64})
    assert "Invalid appsecret_proof" in wrong.json()["error"]["message"]
    right = client.get("/1000_2000/insights", params={"metric": METRICS, "appsecret_proof": proof})
    assert right.status_code == 200
    url = ["1000_2000/insights?metric=post_clicks"]
    assert refusal(batch(client, url, appsecret_proof=proof)) == (400, 100, None)
    items = json.dumps([{"method": "GET", "relative_url": url[0]}])
    answer = client.post("/", params={"appsecret_proof": proof}, data={"batch": items})
    assert answer.json()[0]["code"] == 200


def test_appsecret_proof_matches_a_test_vector(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([replace(PAGE, access_token="EAAtesttoken123")])
    secret = "0123456789abcdef0123456789abcdef"
    sims.world.applications["meta"] = Application("meta", "42", secret, proof_required=True)
    proof = "9c1152c99cda7c8617c2b4b8a5a37aa21e1a2ff7cdba69f3f41155434f946f85"
    parameters = {"access_token": "EAAtesttoken123", "appsecret_proof": proof}
    assert client.get("/me", params=parameters).status_code == 200


def test_debug_token_returns_scopes_and_expiry(sims: Simulators, client: httpx.Client) -> None:
    sims.world.applications["meta"] = Application("meta", "42", "app-secret")
    parameters = {"input_token": TOKEN, "access_token": "42|app-secret"}
    data = client.get("/debug_token", params=parameters).json()["data"]
    assert (data["is_valid"], data["type"], data["expires_at"]) == (True, "PAGE", 0)
    assert data["data_access_expires_at"] == int((NOW + timedelta(days=90)).timestamp())
    assert set(data["scopes"]) == SCOPES
    sims.world.revoke("facebook", "1000", "460")
    data = client.get("/debug_token", params=parameters).json()["data"]
    assert (data["is_valid"], data["error"]["error_subcode"]) == (False, 460)
    assert refusal(client.get("/debug_token", params=parameters | {"access_token": "42|wrong"})) == (
        401,
        190,
        None,
    )


def test_token_lists_its_permissions_and_accounts(client: httpx.Client) -> None:
    granted = {row["permission"] for row in client.get("/me/permissions").json()["data"]}
    assert granted == SCOPES
    assert client.get("/me/accounts").json()["data"][0]["id"] == "1000"


def test_user_token_is_exchanged_for_a_long_lived_one(sims: Simulators, client: httpx.Client) -> None:
    sims.world.applications["meta"] = Application("meta", "42", "app-secret")
    parameters = {"grant_type": "fb_exchange_token", "client_id": "42", "client_secret": "app-secret"}
    answer = client.get("/oauth/access_token", params={**parameters, "fb_exchange_token": TOKEN}).json()
    assert answer["expires_in"] == 5_184_000
    assert client.get("/me", params={"access_token": answer["access_token"]}).status_code == 200
    assert client.get("/me", params={"access_token": TOKEN}).status_code == 200
    wrong = client.get(
        "/oauth/access_token", params={**parameters, "client_secret": "wrong", "fb_exchange_token": TOKEN}
    )
    assert refusal(wrong) == (400, 1, None)


def test_unknown_version_is_refused(sims: Simulators) -> None:
    with httpx.Client(base_url="https://graph.facebook.com", transport=sims.transport()) as bare:
        assert refusal(bare.get("/v99.0/me", params={"access_token": TOKEN})) == (400, 2500, None)
        assert bare.get("/v19.0/me", params={"access_token": TOKEN}).status_code == 200
