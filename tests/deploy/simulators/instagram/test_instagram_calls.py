"""Several ids a call, batches and limits of the simulated Instagram."""

import json
from datetime import timedelta

import httpx
import pytest

from deploy.simulators.behaviour import Limit
from deploy.simulators.server import Simulators
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.instagram.harness import (
    BUSINESS_FEED,
    FEED,
    LOGIN,
    REEL,
    STORY,
    insights,
    refusal,
)


def test_several_ids_return_expanded_insights(sims: Simulators, client: httpx.Client) -> None:
    sims.world.change_post("instagram", REEL, no_data=True)
    fields = "media_product_type,like_count,insights.metric(reach,views)"
    answer = client.get("/", params={"ids": f"{FEED},{REEL}", "fields": fields}).json()
    assert {row["name"] for row in answer[FEED]["insights"]["data"]} == {"reach", "views"}
    assert answer[REEL]["insights"]["data"] == []
    assert answer[REEL]["media_product_type"] == "REELS"


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"deleted": True}, (400, 100, 33)), ({"pre_business": True}, (400, 100, 2108006))],
)
def test_one_refused_medium_refuses_all(
    sims: Simulators, client: httpx.Client, change: dict[str, bool], expected: tuple[int, int, int]
) -> None:
    sims.world.change_post("instagram", REEL, **change)
    parameters = {"ids": f"{FEED},{REEL}", "fields": "insights.metric(views)"}
    answer = client.get("/", params=parameters)
    assert refusal(answer) == expected
    assert set(answer.json()) == {"error"}


def test_metric_that_one_medium_lacks_refuses_all(client: httpx.Client) -> None:
    parameters = {"ids": f"{FEED},{STORY}", "fields": "insights.metric(views,saved)"}
    assert "does not support the saved" in client.get("/", params=parameters).json()["error"]["message"]


def test_only_the_facebook_host_accepts_batches(
    sims: Simulators, client: httpx.Client, facebook: httpx.Client
) -> None:
    items = json.dumps([{"method": "GET", "relative_url": f"{BUSINESS_FEED}/insights?metric=views"}])
    assert facebook.post("/", data={"batch": items}).json()[0]["code"] == 200
    assert sims.request_log.requests("instagram", "batch", "ok") == 1
    assert refusal(client.post("/", data={"batch": items})) == (400, 10, None)


def test_account_limit_refuses_calls(sims: Simulators, clock: Clock, client: httpx.Client) -> None:
    sims.behave("instagram", limits={"account": Limit(2, 86_400)})
    parameters = {"ids": f"{FEED},{REEL}", "fields": "id"}
    assert client.get("/", params=parameters).status_code == 200
    answer = insights(client)
    assert refusal(answer) == (400, 80002, None)
    usage = json.loads(answer.headers["X-Business-Use-Case-Usage"])[LOGIN.platform_account_id][0]
    assert (usage["type"], usage["estimated_time_to_regain_access"]) == ("instagram", 24 * 60)
    clock.now += timedelta(days=1, seconds=1)
    assert insights(client).status_code == 200
