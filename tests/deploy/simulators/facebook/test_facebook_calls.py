"""Several ids a call, batches and limits of the simulated Page API."""

import json
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from deploy.simulators.behaviour import Limit
from deploy.simulators.server import Simulators
from deploy.simulators.world import Account, Post
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.example import NOW
from tests.deploy.simulators.facebook.harness import METRICS, PAGE, SCOPES, batch, insights, refusal


def test_several_ids_are_answered_by_id(client: httpx.Client) -> None:
    parameters = {"ids": "1000_2000,1000_2001", "fields": f"id,insights.metric({METRICS})"}
    answer = client.get("/", params=parameters).json()
    assert set(answer) == {"1000_2000", "1000_2001"}
    assert len(answer["1000_2001"]["insights"]["data"]) == 2
    assert answer["1000_2001"]["id"] == "1000_2001"


def test_one_unknown_id_refuses_all(sims: Simulators, client: httpx.Client) -> None:
    fields = "insights.metric(post_clicks)"
    unknown = client.get("/", params={"ids": "1000_2000,1000_9999", "fields": fields})
    assert refusal(unknown) == (400, 803, None)
    assert unknown.json()["error"]["message"].endswith("1000_9999")
    sims.world.delete_post("facebook", "1000_2001")
    deleted = client.get("/", params={"ids": "1000_2000,1000_2001", "fields": fields})
    assert refusal(deleted) == (400, 100, 33)


def test_more_than_fifty_ids_are_refused(client: httpx.Client) -> None:
    ids = [f"1000_{number}" for number in range(2000, 2051)]
    assert client.get("/", params={"ids": ",".join(ids[:50]), "fields": "id"}).status_code == 200
    assert refusal(client.get("/", params={"ids": ",".join(ids), "fields": "id"})) == (400, 100, None)


def test_batch_answers_items_in_order_as_strings(sims: Simulators, client: httpx.Client) -> None:
    sims.world.delete_post("facebook", "1000_2001")
    urls = [f"1000_{number}/insights?metric=post_clicks" for number in (2002, 2001)]
    answer = batch(client, [*urls, "1000_2000/insights?metric=post_engaged_users"])
    first, second, third = answer.json()
    assert answer.status_code == 200
    assert json.loads(first["body"])["data"][0]["id"].startswith("1000_2002/")
    assert (second["code"], json.loads(second["body"])["error"]["error_subcode"]) == (400, 33)
    assert (third["code"], json.loads(third["body"])["error"]["code"]) == (400, 100)
    assert "headers" not in first


def test_batch_can_be_json_and_headers_can_be_excluded(client: httpx.Client) -> None:
    item = {"method": "GET", "relative_url": "v25.0/1000_2000/insights?metric=post_clicks"}
    answer = client.post("/", json={"batch": [item]}).json()
    assert answer[0]["code"] == 200
    assert answer[0]["headers"]


def test_batch_item_can_have_its_own_token(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([Account("facebook", "1001", "EAAother", scopes=SCOPES)])
    sims.world.add_posts([Post("facebook", "1001_1", "1001", NOW)])
    url = "1001_1/insights?metric=post_clicks"
    alone, with_token = batch(client, [url, f"{url}&access_token=EAAother"]).json()
    assert (alone["code"], with_token["code"]) == (400, 200)


def test_timed_out_batch_item_is_null(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", timed_out_items=[1])
    answer = batch(client, [f"1000_{number}/insights?metric=post_clicks" for number in range(2000, 2003)])
    assert [item and item["code"] for item in answer.json()] == [200, None, 200]


def test_more_than_fifty_items_are_refused_without_a_code(client: httpx.Client) -> None:
    answer = batch(client, ["1000_2000/insights?metric=post_clicks"] * 51)
    assert refusal(answer) == (400, None, None)
    assert answer.json()["error"]["type"] == "GraphBatchException"
    assert len(batch(client, ["1000_2000"] * 50).json()) == 50


@pytest.mark.parametrize("items", ["nonsense", "{}", "[1]"])
def test_malformed_batch_is_refused(client: httpx.Client, items: str) -> None:
    assert refusal(client.post("/", data={"batch": items})) == (400, 100, None)


def test_only_get_requests_are_served(client: httpx.Client) -> None:
    assert refusal(client.post("/1000_2000")) == (400, 100, 33)
    assert refusal(client.delete("/1000_2000")) == (400, 100, 33)


def test_page_limit_is_in_headers_and_refused_calls_extend_it(
    sims: Simulators, clock: Clock, client: httpx.Client
) -> None:
    sims.behave("facebook", limits={"page": Limit(4, 600)})
    usage = json.loads(insights(client).headers["X-Business-Use-Case-Usage"])["1000"][0]
    assert (usage["type"], usage["call_count"], usage["estimated_time_to_regain_access"]) == ("pages", 25, 0)
    for _ in range(3):
        insights(client)
    refused = insights(client)
    assert refusal(refused) == (400, 80001, None)
    usage = json.loads(refused.headers["X-Business-Use-Case-Usage"])["1000"][0]
    assert (usage["call_count"], usage["estimated_time_to_regain_access"]) == (125, 10)
    clock.now += timedelta(seconds=300)
    assert refusal(insights(client)) == (400, 80001, None)
    clock.now += timedelta(seconds=300)
    assert insights(client).status_code == 200


def test_every_id_and_batch_item_counts_as_a_call(sims: Simulators, client: httpx.Client) -> None:
    client.get("/", params={"ids": "1000_2000,1000_2001,1000_2002", "fields": "id"})
    batch(client, ["1000_2000", "1000_2001"])
    assert sims.request_log.calls("facebook") == 5
    sims.behave("facebook", limits={"page": Limit(6, 600)})
    answer = batch(client, ["1000_2000", "1000_2001"])
    assert [item["code"] for item in answer.json()] == [200, 400]
    assert refusal(batch(client, ["1000_2000"])) == (400, 80001, None)
    assert sims.request_log.requests("facebook", "batch", "refused_limit") == 1


def test_user_token_has_its_own_limit_on_pages(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([replace(PAGE, kind="user")])
    sims.behave("facebook", limits={"user": Limit(1, 3600)})
    assert "X-Page-Usage" in insights(client).headers
    assert refusal(insights(client)) == (400, 32, None)


def test_app_limit_applies_to_all_accounts(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([Account("facebook", "1001", "EAAother", scopes=SCOPES)])
    sims.behave("facebook", limits={"app": Limit(1, 3600)})
    assert json.loads(insights(client).headers["X-App-Usage"])["call_count"] == 100
    refused = client.get("/me", headers={"Authorization": "Bearer EAAother"})
    assert refusal(refused) == (403, 4, None)
    assert refused.json()["error"]["is_transient"] is True


def test_rate_limit_headers_can_be_absent_or_malformed(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", limit_headers="absent")
    assert "X-Business-Use-Case-Usage" not in insights(client).headers
    sims.behave("facebook", limit_headers="malformed")
    with pytest.raises(json.JSONDecodeError):
        json.loads(insights(client).headers["X-Business-Use-Case-Usage"])
