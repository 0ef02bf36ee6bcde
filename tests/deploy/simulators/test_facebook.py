"""The simulated Page API refuses what the real one refuses, in the real one's words."""

import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from deploy.simulators.misbehaviour import Limit
from deploy.simulators.server import Simulators
from deploy.simulators.world import Account, Application, Post
from tests.deploy.simulators.clock import Clock

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOKEN = "EAApage-token"
SCOPES = frozenset({"read_insights", "pages_read_engagement"})
PAGE = Account("facebook", "1000", TOKEN, name="Dravo", scopes=SCOPES, minted_at=NOW)
METRICS = "post_clicks,post_reactions_by_type_total"


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = NOW
    return clock


@pytest.fixture
def sims(clock: Clock) -> Simulators:
    sims = Simulators(seed=7, now=clock)
    sims.world.add_accounts([PAGE])
    counters = {"post_clicks": 41, "like": 30, "love": 7, "haha": 1, "sorry": 1}
    posts = [
        Post("facebook", f"1000_{number}", "1000", NOW - timedelta(days=1), counters=counters)
        for number in range(2000, 2060)
    ]
    sims.world.add_posts(posts)
    return sims


@pytest.fixture
def client(sims: Simulators) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(
        base_url="https://graph.facebook.com/v25.0", headers=headers, transport=sims.transport()
    ) as client:
        yield client


def insights(client: httpx.Client, post: str = "1000_2000", metrics: str = METRICS) -> httpx.Response:
    return client.get(f"/{post}/insights", params={"metric": metrics})


def values(response: httpx.Response) -> dict[str, Any]:
    return {row["name"]: row["values"][0]["value"] for row in response.json()["data"]}


def refusal(response: httpx.Response) -> tuple[int, int | None, int | None]:
    error = response.json()["error"]
    assert error["fbtrace_id"]
    return response.status_code, error.get("code"), error.get("error_subcode")


def batch(client: httpx.Client, urls: list[str], **form: str) -> httpx.Response:
    items = json.dumps([{"method": "GET", "relative_url": url} for url in urls])
    return client.post("/", data={"include_headers": "false", "batch": items, **form})


def test_insights_hold_the_counters_in_lifetime_rows(client: httpx.Client) -> None:
    answer = insights(client)
    assert values(answer) == {
        "post_clicks": 41,
        "post_reactions_by_type_total": {"like": 30, "love": 7, "haha": 1, "sorry": 1},
    }
    row = next(row for row in answer.json()["data"] if row["name"] == "post_clicks")
    assert row["id"] == "1000_2000/insights/post_clicks/lifetime"
    assert row["period"] == "lifetime"
    assert insights(client).json() == answer.json()


def test_the_order_of_rows_is_not_the_order_asked_for(client: httpx.Client) -> None:
    orders = {
        tuple(row["name"] for row in insights(client, f"1000_{number}").json()["data"])
        for number in range(2000, 2010)
    }
    assert len(orders) == 2


def test_paging_urls_hold_the_token(client: httpx.Client) -> None:
    assert f"access_token={TOKEN}" in insights(client).json()["paging"]["next"]


def test_content_type_is_sometimes_a_script(client: httpx.Client) -> None:
    kinds = {insights(client, f"1000_{number}").headers["content-type"] for number in range(2000, 2020)}
    assert kinds == {"application/json; charset=UTF-8", "text/javascript; charset=UTF-8"}


def test_no_reactions_are_an_empty_map(sims: Simulators, client: httpx.Client) -> None:
    sims.world.change_post("facebook", "1000_2000", counters={"post_reactions_by_type_total": 0})
    assert values(insights(client, metrics="post_reactions_by_type_total")) == {
        "post_reactions_by_type_total": {}
    }


@pytest.mark.parametrize("metric", ["post_engaged_users", "post_impressions", "nonsense"])
def test_one_retired_metric_refuses_all_and_names_nothing(client: httpx.Client, metric: str) -> None:
    answer = insights(client, metrics=f"post_clicks,{metric}")
    assert refusal(answer) == (400, 100, None)
    assert answer.json()["error"]["message"] == "(#100) The value must be a valid insights metric"


def test_a_metric_can_be_retired_at_run_time(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", retired_metrics=["post_clicks"])
    assert refusal(insights(client)) == (400, 100, None)
    assert "post_reactions_by_type_total" in values(insights(client, metrics="post_reactions_by_type_total"))
    sims.behave("facebook")
    assert "post_clicks" in values(insights(client))


def test_a_metric_that_the_post_lacks_is_left_out(sims: Simulators, client: httpx.Client) -> None:
    sims.world.change_post("facebook", "1000_2000", absent_metrics=frozenset({"post_clicks"}))
    assert set(values(insights(client))) == {"post_reactions_by_type_total"}


def test_insights_without_a_metric_are_refused(client: httpx.Client) -> None:
    assert refusal(client.get("/1000_2000/insights")) == (400, 3001, 1504028)
    assert values(client.get("/1000_2000/insights/post_clicks")) == {"post_clicks": 41}


@pytest.mark.parametrize("change", [{"deleted": True}, {"private": True}, {"owner": "1001"}])
def test_deleted_private_and_foreign_posts_look_the_same(
    sims: Simulators, client: httpx.Client, change: dict[str, Any]
) -> None:
    sims.world.change_post("facebook", "1000_2000", **change)
    assert refusal(insights(client)) == (400, 100, 33)


def test_ids_that_name_nothing(client: httpx.Client) -> None:
    assert refusal(insights(client, "1000_9999")) == (400, 100, 33)
    assert refusal(insights(client, "no-such-alias")) == (400, 803, None)


def test_a_bare_video_has_no_insights_and_its_page_form_has(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_posts(
        [Post("facebook", "3000", "1000", NOW, media_type="VIDEO", counters={"post_clicks": 5})]
    )
    answer = insights(client, "3000", "post_clicks")
    assert refusal(answer) == (400, 100, None)
    assert answer.json()["error"]["message"] == (
        "(#100) Tried accessing nonexisting field (insights) on node type (Video)"
    )
    assert values(insights(client, "1000_3000", "post_clicks")) == {"post_clicks": 5}
    assert refusal(insights(client, "2000", "post_clicks")) == (400, 100, None)


def test_posts_older_than_two_years_have_no_data(sims: Simulators, client: httpx.Client) -> None:
    sims.world.change_post("facebook", "1000_2000", created_at=NOW - timedelta(days=731))
    assert insights(client).json()["data"] == []


def test_without_read_insights_the_answer_is_silently_empty(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([replace(PAGE, scopes=frozenset({"pages_read_engagement"}))])
    answer = insights(client)
    assert (answer.status_code, answer.json()["data"]) == (200, [])
    sims.behave("facebook", missing_scopes_named=True)
    assert refusal(insights(client)) == (403, 200, None)


def test_without_pages_read_engagement_the_answer_is_an_error(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([replace(PAGE, scopes=frozenset({"read_insights"}))])
    assert refusal(insights(client)) == (403, 10, None)


def test_summaries_need_their_own_permission_and_shares_do_not(
    sims: Simulators, client: httpx.Client
) -> None:
    fields = {"fields": "id,shares,reactions.summary(total_count).limit(0)"}
    assert refusal(client.get("/1000_2000", params=fields)) == (403, 10, None)
    assert "shares" in client.get("/1000_2000", params={"fields": "shares"}).json()
    sims.world.add_accounts([replace(PAGE, scopes=SCOPES | {"pages_read_user_content"})])
    assert "total_count" in client.get("/1000_2000", params=fields).json()["reactions"]["summary"]


def test_an_unknown_field_is_refused(client: httpx.Client) -> None:
    assert refusal(client.get("/1000_2000", params={"fields": "engaged"})) == (400, 100, None)


# Tokens


def test_the_token_may_travel_in_query_header_or_form(sims: Simulators) -> None:
    with httpx.Client(base_url="https://graph.facebook.com", transport=sims.transport()) as bare:
        assert refusal(bare.get("/me")) == (401, 104, None)
        assert bare.get("/me", params={"access_token": TOKEN}).json()["id"] == "1000"
        assert bare.get("/v25.0/me", headers={"Authorization": f"Bearer {TOKEN}"}).json()["name"] == "Dravo"
        assert (
            batch(bare, ["1000_2000/insights?metric=post_clicks"], access_token=TOKEN).json()[0]["code"]
            == 200
        )


def test_a_token_of_the_other_flavour_cannot_be_parsed(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([Account("instagram", "178", "IGAAtoken", login="instagram")])
    for token in ("nonsense", "IGAAtoken"):
        answer = client.get("/me", headers={"Authorization": f"Bearer {token}"})
        assert refusal(answer) == (401, 190, None)
        assert "Cannot parse access token" in answer.json()["error"]["message"]


@pytest.mark.parametrize("subcode", ["458", "459", "460", "464", "467", "492"])
def test_a_revoked_token_tells_why(sims: Simulators, client: httpx.Client, subcode: str) -> None:
    sims.world.revoke("facebook", "1000", subcode)
    assert refusal(insights(client)) == (401, 190, int(subcode))
    assert refusal(batch(client, ["1000_2000/insights?metric=post_clicks"])) == (401, 190, int(subcode))


def test_an_expired_token_is_refused_from_its_end_on(
    sims: Simulators, clock: Clock, client: httpx.Client
) -> None:
    sims.world.add_accounts([replace(PAGE, access_token_expires_at=NOW + timedelta(hours=1))])
    assert insights(client).status_code == 200
    clock.now += timedelta(hours=1)
    answer = insights(client)
    assert refusal(answer) == (400, 190, 463)
    assert "Monday, 23-Nov-26 13:00:00" in answer.json()["error"]["message"]


def test_a_lost_page_role_ends_the_session(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([replace(PAGE, role_lost=True)])
    assert refusal(insights(client)) == (401, 190, 492)


def test_the_proof_counts_in_the_query_string_only(sims: Simulators, client: httpx.Client) -> None:
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


def test_the_proof_is_the_vendors_test_vector(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([replace(PAGE, access_token="EAAtesttoken123")])
    secret = "0123456789abcdef0123456789abcdef"
    sims.world.applications["meta"] = Application("meta", "42", secret, proof_required=True)
    proof = "9c1152c99cda7c8617c2b4b8a5a37aa21e1a2ff7cdba69f3f41155434f946f85"
    parameters = {"access_token": "EAAtesttoken123", "appsecret_proof": proof}
    assert client.get("/me", params=parameters).status_code == 200


def test_debug_token_tells_scopes_and_ends(sims: Simulators, client: httpx.Client) -> None:
    sims.world.applications["meta"] = Application("meta", "42", "app-secret")
    asked = {"input_token": TOKEN, "access_token": "42|app-secret"}
    data = client.get("/debug_token", params=asked).json()["data"]
    assert (data["is_valid"], data["type"], data["expires_at"]) == (True, "PAGE", 0)
    assert data["data_access_expires_at"] == int((NOW + timedelta(days=90)).timestamp())
    assert set(data["scopes"]) == SCOPES
    sims.world.revoke("facebook", "1000", "460")
    data = client.get("/debug_token", params=asked).json()["data"]
    assert (data["is_valid"], data["error"]["error_subcode"]) == (False, 460)
    assert refusal(client.get("/debug_token", params=asked | {"access_token": "42|wrong"})) == (
        401,
        190,
        None,
    )


def test_permissions_and_accounts_of_the_token(client: httpx.Client) -> None:
    granted = {row["permission"] for row in client.get("/me/permissions").json()["data"]}
    assert granted == SCOPES
    assert client.get("/me/accounts").json()["data"][0]["id"] == "1000"


def test_a_live_user_token_is_exchanged_for_a_long_one(sims: Simulators, client: httpx.Client) -> None:
    sims.world.applications["meta"] = Application("meta", "42", "app-secret")
    asked = {"grant_type": "fb_exchange_token", "client_id": "42", "client_secret": "app-secret"}
    answer = client.get("/oauth/access_token", params={**asked, "fb_exchange_token": TOKEN}).json()
    assert answer["expires_in"] == 5_184_000
    assert client.get("/me", params={"access_token": answer["access_token"]}).status_code == 200
    assert client.get("/me", params={"access_token": TOKEN}).status_code == 200
    wrong = client.get(
        "/oauth/access_token", params={**asked, "client_secret": "wrong", "fb_exchange_token": TOKEN}
    )
    assert refusal(wrong) == (400, 1, None)


def test_a_version_that_does_not_exist_is_refused(sims: Simulators) -> None:
    with httpx.Client(base_url="https://graph.facebook.com", transport=sims.transport()) as bare:
        assert refusal(bare.get("/v99.0/me", params={"access_token": TOKEN})) == (400, 2500, None)
        assert bare.get("/v19.0/me", params={"access_token": TOKEN}).status_code == 200


# Many ids at once


def test_many_ids_are_answered_by_id(client: httpx.Client) -> None:
    asked = {"ids": "1000_2000,1000_2001", "fields": f"id,insights.metric({METRICS})"}
    answer = client.get("/", params=asked).json()
    assert set(answer) == {"1000_2000", "1000_2001"}
    assert len(answer["1000_2001"]["insights"]["data"]) == 2
    assert answer["1000_2001"]["id"] == "1000_2001"


def test_one_bad_id_refuses_all(sims: Simulators, client: httpx.Client) -> None:
    fields = "insights.metric(post_clicks)"
    unknown = client.get("/", params={"ids": "1000_2000,1000_9999", "fields": fields})
    assert refusal(unknown) == (400, 803, None)
    assert unknown.json()["error"]["message"].endswith("1000_9999")
    sims.world.delete_post("facebook", "1000_2001")
    deleted = client.get("/", params={"ids": "1000_2000,1000_2001", "fields": fields})
    assert refusal(deleted) == (400, 100, 33)


def test_at_most_fifty_ids(client: httpx.Client) -> None:
    ids = [f"1000_{number}" for number in range(2000, 2051)]
    assert client.get("/", params={"ids": ",".join(ids[:50]), "fields": "id"}).status_code == 200
    assert refusal(client.get("/", params={"ids": ",".join(ids), "fields": "id"})) == (400, 100, None)


# Batch


def test_a_batch_answers_each_item_in_order_as_a_string(sims: Simulators, client: httpx.Client) -> None:
    sims.world.delete_post("facebook", "1000_2001")
    urls = [f"1000_{number}/insights?metric=post_clicks" for number in (2002, 2001)]
    answer = batch(client, [*urls, "1000_2000/insights?metric=post_engaged_users"])
    first, second, third = answer.json()
    assert answer.status_code == 200
    assert json.loads(first["body"])["data"][0]["id"].startswith("1000_2002/")
    assert (second["code"], json.loads(second["body"])["error"]["error_subcode"]) == (400, 33)
    assert (third["code"], json.loads(third["body"])["error"]["code"]) == (400, 100)
    assert "headers" not in first


def test_a_batch_may_be_json_and_carries_headers_unless_told_otherwise(client: httpx.Client) -> None:
    item = {"method": "GET", "relative_url": "v25.0/1000_2000/insights?metric=post_clicks"}
    answer = client.post("/", json={"batch": [item]}).json()
    assert answer[0]["code"] == 200
    assert answer[0]["headers"]


def test_a_batch_item_may_bring_its_own_token(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([Account("facebook", "1001", "EAAother", scopes=SCOPES)])
    sims.world.add_posts([Post("facebook", "1001_1", "1001", NOW)])
    url = "1001_1/insights?metric=post_clicks"
    alone, with_token = batch(client, [url, f"{url}&access_token=EAAother"]).json()
    assert (alone["code"], with_token["code"]) == (400, 200)


def test_a_batch_item_that_is_not_finished_in_time_is_null(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", timed_out_items=[1])
    answer = batch(client, [f"1000_{number}/insights?metric=post_clicks" for number in range(2000, 2003)])
    assert [item and item["code"] for item in answer.json()] == [200, None, 200]


def test_more_than_fifty_items_are_refused_without_a_code(client: httpx.Client) -> None:
    answer = batch(client, ["1000_2000/insights?metric=post_clicks"] * 51)
    assert refusal(answer) == (400, None, None)
    assert answer.json()["error"]["type"] == "GraphBatchException"
    assert len(batch(client, ["1000_2000"] * 50).json()) == 50


@pytest.mark.parametrize("items", ["nonsense", "{}", "[1]"])
def test_a_malformed_batch_is_refused(client: httpx.Client, items: str) -> None:
    assert refusal(client.post("/", data={"batch": items})) == (400, 100, None)


def test_only_reading_is_served(client: httpx.Client) -> None:
    assert refusal(client.post("/1000_2000")) == (400, 100, 33)
    assert refusal(client.delete("/1000_2000")) == (400, 100, 33)


# Limits


def test_the_pages_limit_is_told_in_headers_and_prolonged_by_asking(
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


def test_every_id_and_every_item_is_a_call(sims: Simulators, client: httpx.Client) -> None:
    client.get("/", params={"ids": "1000_2000,1000_2001,1000_2002", "fields": "id"})
    batch(client, ["1000_2000", "1000_2001"])
    assert sims.ledger.calls("facebook") == 5
    sims.behave("facebook", limits={"page": Limit(6, 600)})
    answer = batch(client, ["1000_2000", "1000_2001"])
    assert [item["code"] for item in answer.json()] == [200, 400]
    assert refusal(batch(client, ["1000_2000"])) == (400, 80001, None)
    assert sims.ledger.requests("facebook", "batch", "refused_limit") == 1


def test_a_user_tokens_limit_on_pages(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([replace(PAGE, kind="user")])
    sims.behave("facebook", limits={"user": Limit(1, 3600)})
    assert "X-Page-Usage" in insights(client).headers
    assert refusal(insights(client)) == (400, 32, None)


def test_the_apps_limit_holds_for_every_account(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([Account("facebook", "1001", "EAAother", scopes=SCOPES)])
    sims.behave("facebook", limits={"app": Limit(1, 3600)})
    assert json.loads(insights(client).headers["X-App-Usage"])["call_count"] == 100
    refused = client.get("/me", headers={"Authorization": "Bearer EAAother"})
    assert refusal(refused) == (403, 4, None)
    assert refused.json()["error"]["is_transient"] is True


def test_limit_headers_may_be_absent_or_malformed(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", limit_headers="absent")
    assert "X-Business-Use-Case-Usage" not in insights(client).headers
    sims.behave("facebook", limit_headers="malformed")
    with pytest.raises(json.JSONDecodeError):
        json.loads(insights(client).headers["X-Business-Use-Case-Usage"])
