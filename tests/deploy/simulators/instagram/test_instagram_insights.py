"""Insights of media on both hosts of the simulated Instagram, and their errors."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from deploy.simulators.server import Simulators
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.instagram.harness import (
    BUSINESS,
    BUSINESS_FEED,
    COUNTERS,
    FEED,
    KEYS,
    LOGIN,
    REEL,
    STORY,
    insights,
    refusal,
    values,
)


def test_both_hosts_return_insights(client: httpx.Client, facebook: httpx.Client) -> None:
    assert values(insights(client)) == COUNTERS
    assert values(insights(facebook, BUSINESS_FEED)) == COUNTERS
    assert "paging" not in insights(client).json()


def test_token_is_valid_on_one_host_only(
    sims: Simulators, client: httpx.Client, facebook: httpx.Client
) -> None:
    assert refusal(client.get("/me", headers={"Authorization": "Bearer EAAuser"})) == (401, 190, None)
    assert refusal(facebook.get("/me", headers={"Authorization": "Bearer IGAAtoken"})) == (401, 190, None)
    assert sims.request_log.requests("instagram", "me", "refused_auth") == 2


def test_foreign_media_do_not_exist(client: httpx.Client) -> None:
    answer = insights(client, BUSINESS_FEED)
    assert refusal(answer) == (400, 100, 33)
    assert answer.json()["error"]["type"] == "IGApiException"


@pytest.mark.parametrize(
    ("media", "metrics"),
    [(REEL, KEYS), (FEED, KEYS + ",follows"), (STORY, "views,reach,shares,total_interactions,replies")],
)
def test_product_type_decides_supported_metrics(client: httpx.Client, media: str, metrics: str) -> None:
    assert set(values(insights(client, media, metrics))) == set(metrics.split(","))


@pytest.mark.parametrize(
    ("media", "metrics", "named"),
    [
        (STORY, "views,saved,likes", "saved, likes"),
        (FEED, "views,ig_reels_avg_watch_time", "ig_reels_avg_watch_time"),
        (REEL, "follows,views", "follows"),
    ],
)
def test_error_names_unsupported_metrics(client: httpx.Client, media: str, metrics: str, named: str) -> None:
    answer = insights(client, media, metrics)
    assert refusal(answer) == (400, 100, None)
    assert answer.json()["error"]["message"] == (
        f"The Media Insights API does not support the {named} metric for this media product type."
    )


def test_one_post_can_refuse_a_metric_of_its_kind(sims: Simulators, facebook: httpx.Client) -> None:
    sims.world.change_post("instagram", BUSINESS_FEED, refused_metrics=frozenset({"views"}))
    message = insights(facebook, BUSINESS_FEED).json()["error"]["message"]
    assert message.startswith("(#100) ")
    assert "does not support the views metric" in message


@pytest.mark.parametrize("name", ["impressions", "plays", "video_views", "engagement", "saves"])
def test_error_names_the_position_of_an_unknown_metric(client: httpx.Client, name: str) -> None:
    message = insights(client, metrics=f"reach,{name}").json()["error"]["message"]
    assert message.startswith("metric[1] must be one of the following values: ")
    assert "reach" in message.split(": ")[1].split(", ")


def test_metric_can_be_retired_at_runtime(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("instagram", retired_metrics=["reach"])
    message = insights(client, metrics="views,reach").json()["error"]["message"]
    assert message.startswith("metric[1] must be")
    assert "reach" not in message.split(": ")[1].split(", ")


def test_breakdown_is_an_unknown_error(client: httpx.Client) -> None:
    answer = client.get(f"/{FEED}/insights", params={"metric": "reach", "breakdown": "follow_type"})
    assert refusal(answer) == (500, 1, None)


def test_crossposted_views_refuse_all_metrics(client: httpx.Client) -> None:
    assert refusal(insights(client, metrics="views,facebook_views")) == (400, 100, 2207086)


def test_post_before_the_conversion_has_no_insights(
    sims: Simulators, client: httpx.Client, facebook: httpx.Client
) -> None:
    for media in (FEED, BUSINESS_FEED):
        sims.world.change_post("instagram", media, pre_business=True)
    localised, full = insights(client), insights(facebook, BUSINESS_FEED)
    assert refusal(localised) == refusal(full) == (400, 100, 2108006)
    assert localised.json()["error"]["message"] != "Invalid parameter"
    assert full.json()["error"]["message"] == "Invalid parameter"
    assert full.json()["error"]["error_data"] == {"blame_field_specs": [[""]]}
    assert client.get(f"/{FEED}", params={"fields": "like_count"}).json()["like_count"] == 76


def test_story_with_too_few_viewers_is_refused(sims: Simulators, facebook: httpx.Client) -> None:
    story = "17900000000000202"
    sims.world.change_post("instagram", story, few_viewers=True)
    answer = insights(facebook, story, "views,reach")
    assert refusal(answer) == (400, 10, None)
    assert answer.json()["error"]["message"] == "(#10) Not enough viewers for the media to show insights"
    sims.behave("instagram", localised=True)
    answer = insights(facebook, story, "views,reach")
    assert refusal(answer) == (400, 10, None)
    assert "viewers" not in answer.json()["error"]["message"]


def test_story_has_insights_for_a_day(clock: Clock, client: httpx.Client) -> None:
    assert values(insights(client, STORY, "views"))
    clock.now += timedelta(hours=23)
    answer = insights(client, STORY, "views")
    assert refusal(answer) == (400, 100, None)
    assert answer.json()["error"]["message"] == "Tried accessing nonexisting field (insights)"
    assert values(insights(client, FEED, "views"))


def test_missing_scope_is_a_missing_permission(
    sims: Simulators, client: httpx.Client, facebook: httpx.Client
) -> None:
    sims.world.add_accounts(
        [
            replace(LOGIN, scopes=frozenset({"instagram_business_basic"})),
            replace(BUSINESS, scopes=frozenset({"instagram_basic"})),
        ]
    )
    for answer in (insights(client), insights(facebook, BUSINESS_FEED)):
        assert refusal(answer) == (403, 10, None)
        assert answer.json()["error"]["message"].endswith(
            "Application does not have permission for this action"
        )


def test_node_returns_the_requested_fields(
    sims: Simulators, client: httpx.Client, facebook: httpx.Client
) -> None:
    fields = {"fields": "id,media_type,media_product_type,timestamp,like_count,comments_count"}
    assert client.get(f"/{REEL}", params=fields).json() == {
        "id": REEL,
        "media_type": "VIDEO",
        "media_product_type": "REELS",
        "timestamp": "2026-11-23T10:00:00+0000",
        "like_count": 76,
        "comments_count": 23,
    }
    sims.world.change_post("instagram", REEL, hidden_counts=True)
    assert "like_count" not in client.get(f"/{REEL}", params=fields).json()
    total = {"fields": "total_views_count"}
    assert facebook.get(f"/{BUSINESS_FEED}", params=total).json()["total_views_count"] == 2257
    assert refusal(client.get(f"/{FEED}", params=total)) == (400, 100, None)
