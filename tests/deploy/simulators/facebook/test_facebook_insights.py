"""Insights of posts in the simulated Page API, and their errors."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from deploy.simulators.server import Simulators
from deploy.simulators.world import Post
from tests.deploy.simulators.example import NOW
from tests.deploy.simulators.facebook.harness import PAGE, SCOPES, TOKEN, insights, refusal, values


def test_insights_return_counters_in_lifetime_rows(client: httpx.Client) -> None:
    answer = insights(client)
    assert values(answer) == {
        "post_clicks": 41,
        "post_reactions_by_type_total": {"like": 30, "love": 7, "haha": 1, "sorry": 1},
    }
    row = next(row for row in answer.json()["data"] if row["name"] == "post_clicks")
    assert row["id"] == "1000_2000/insights/post_clicks/lifetime"
    assert row["period"] == "lifetime"
    assert insights(client).json() == answer.json()


def test_row_order_differs_from_request_order(client: httpx.Client) -> None:
    orders = {
        tuple(row["name"] for row in insights(client, f"1000_{number}").json()["data"])
        for number in range(2000, 2010)
    }
    assert len(orders) == 2


def test_paging_urls_contain_the_token(client: httpx.Client) -> None:
    assert f"access_token={TOKEN}" in insights(client).json()["paging"]["next"]


def test_content_type_is_sometimes_a_script(client: httpx.Client) -> None:
    kinds = {insights(client, f"1000_{number}").headers["content-type"] for number in range(2000, 2020)}
    assert kinds == {"application/json; charset=UTF-8", "text/javascript; charset=UTF-8"}


def test_post_without_reactions_has_an_empty_map(sims: Simulators, client: httpx.Client) -> None:
    sims.world.change_post("facebook", "1000_2000", counters={"post_reactions_by_type_total": 0})
    assert values(insights(client, metrics="post_reactions_by_type_total")) == {
        "post_reactions_by_type_total": {}
    }


@pytest.mark.parametrize("metric", ["post_engaged_users", "post_impressions", "nonsense"])
def test_one_retired_metric_refuses_all_without_naming_it(client: httpx.Client, metric: str) -> None:
    answer = insights(client, metrics=f"post_clicks,{metric}")
    assert refusal(answer) == (400, 100, None)
    assert answer.json()["error"]["message"] == "(#100) The value must be a valid insights metric"


def test_metric_can_be_retired_at_runtime(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", retired_metrics=["post_clicks"])
    assert refusal(insights(client)) == (400, 100, None)
    assert "post_reactions_by_type_total" in values(insights(client, metrics="post_reactions_by_type_total"))
    sims.behave("facebook")
    assert "post_clicks" in values(insights(client))


def test_absent_metric_is_omitted(sims: Simulators, client: httpx.Client) -> None:
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


def test_unknown_ids_are_refused(client: httpx.Client) -> None:
    assert refusal(insights(client, "1000_9999")) == (400, 100, 33)
    assert refusal(insights(client, "no-such-alias")) == (400, 803, None)


def test_bare_video_id_has_no_insights_unlike_its_page_form(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_posts(
        [Post("facebook", "3000", "1000", NOW, media_type="VIDEO", counters={"post_clicks": 5})]
    )
    answer = insights(client, "3000", "post_clicks")
    assert refusal(answer) == (400, 100, None)
    assert answer.json()["error"]["message"] == "(#100) Tried accessing nonexisting field (insights)"
    assert values(insights(client, "1000_3000", "post_clicks")) == {"post_clicks": 5}
    assert refusal(insights(client, "2000", "post_clicks")) == (400, 100, None)


def test_posts_older_than_two_years_have_no_data(sims: Simulators, client: httpx.Client) -> None:
    sims.world.change_post("facebook", "1000_2000", created_at=NOW - timedelta(days=731))
    assert insights(client).json()["data"] == []


@pytest.mark.parametrize(
    ("left", "named"), [("pages_read_engagement", (403, 200, None)), ("read_insights", (400, 100, None))]
)
def test_missing_scope_is_an_empty_answer_or_a_named_error(
    sims: Simulators, client: httpx.Client, left: str, named: tuple[int, int, None]
) -> None:
    sims.world.add_accounts([replace(PAGE, scopes=frozenset({left}))])
    answer = insights(client)
    assert (answer.status_code, answer.json()["data"]) == (200, [])
    sims.behave("facebook", missing_scopes_named=True)
    answer = insights(client)
    assert refusal(answer) == named
    assert next(iter(SCOPES - {left})) in answer.json()["error"]["message"]


@pytest.mark.parametrize(("how", "status"), [("blocked", 400), ("deactivated", 200)])
def test_blocked_application_is_refused_everywhere(
    sims: Simulators, client: httpx.Client, how: str, status: int
) -> None:
    sims.behave("facebook", application_blocked=how)
    assert refusal(insights(client)) == refusal(client.get("/me")) == (status, 200, None)
    sims.behave("facebook")
    assert insights(client).json()["data"]


def test_vanished_posts_are_missing_and_the_page_is_not(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", posts_vanish=True)
    assert refusal(insights(client)) == (400, 100, 33)
    assert client.get("/me").json()["id"] == "1000"


def test_summaries_require_a_permission_unlike_shares(sims: Simulators, client: httpx.Client) -> None:
    fields = {"fields": "id,shares,reactions.summary(total_count).limit(0)"}
    assert refusal(client.get("/1000_2000", params=fields)) == (403, 10, None)
    assert "shares" in client.get("/1000_2000", params={"fields": "shares"}).json()
    sims.world.add_accounts([replace(PAGE, scopes=SCOPES | {"pages_read_user_content"})])
    assert "total_count" in client.get("/1000_2000", params=fields).json()["reactions"]["summary"]


def test_unknown_field_is_refused(client: httpx.Client) -> None:
    assert refusal(client.get("/1000_2000", params={"fields": "engaged"})) == (400, 100, None)
