"""The simulated Instagram refuses what the real one refuses, on both of its hosts."""

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
KEYS = "views,reach,likes,comments,shares,saved,total_interactions"
LOGIN = Account(
    "instagram",
    "17841400000000001",
    "IGAAtoken",
    login="instagram",
    name="dravo",
    minted_at=NOW,
    scopes=frozenset({"instagram_business_basic", "instagram_business_manage_insights"}),
    access_token_expires_at=NOW + timedelta(days=60),
)
BUSINESS = Account(
    "instagram",
    "17841400000000002",
    "EAAuser",
    login="facebook",
    name="dravo",
    minted_at=NOW,
    scopes=frozenset({"instagram_basic", "instagram_manage_insights", "pages_read_engagement"}),
)
COUNTERS = {
    "views": 2257,
    "reach": 1408,
    "likes": 76,
    "comments": 23,
    "shares": 15,
    "saved": 2,
    "total_interactions": 119,
}


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = NOW
    return clock


@pytest.fixture
def sims(clock: Clock) -> Simulators:
    sims = Simulators(seed=7, now=clock)
    sims.world.add_accounts([LOGIN, BUSINESS])
    for first, owner in ((100, LOGIN), (200, BUSINESS)):
        sims.world.add_posts(
            Post(
                "instagram",
                f"17900000000000{first + place}",
                owner.platform_account_id,
                NOW - timedelta(hours=2),
                media_type=kind,
                counters=COUNTERS,
            )
            for place, kind in enumerate(["IMAGE", "REELS", "STORY", "CAROUSEL_ALBUM", "VIDEO"])
        )
    return sims


FEED, REEL, STORY = "17900000000000100", "17900000000000101", "17900000000000102"
BUSINESS_FEED = "17900000000000200"


@pytest.fixture
def client(sims: Simulators) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url="https://graph.instagram.com/v25.0",
        headers={"Authorization": "Bearer IGAAtoken"},
        transport=sims.transport(),
    ) as client:
        yield client


@pytest.fixture
def facebook(sims: Simulators) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url="https://graph.facebook.com/v25.0",
        headers={"Authorization": "Bearer EAAuser"},
        transport=sims.transport(),
    ) as client:
        yield client


def insights(client: httpx.Client, media: str = FEED, metrics: str = KEYS) -> httpx.Response:
    return client.get(f"/{media}/insights", params={"metric": metrics})


def values(response: httpx.Response) -> dict[str, Any]:
    return {row["name"]: row["values"][0]["value"] for row in response.json()["data"]}


def refusal(response: httpx.Response) -> tuple[int, int | None, int | None]:
    error = response.json()["error"]
    return response.status_code, error.get("code"), error.get("error_subcode")


def test_insights_on_both_hosts(client: httpx.Client, facebook: httpx.Client) -> None:
    assert values(insights(client)) == COUNTERS
    assert values(insights(facebook, BUSINESS_FEED)) == COUNTERS
    assert "paging" not in insights(client).json()


def test_a_token_belongs_to_one_host(sims: Simulators, client: httpx.Client, facebook: httpx.Client) -> None:
    assert refusal(client.get("/me", headers={"Authorization": "Bearer EAAuser"})) == (401, 190, None)
    assert refusal(facebook.get("/me", headers={"Authorization": "Bearer IGAAtoken"})) == (401, 190, None)
    assert sims.ledger.requests("instagram", "me", "refused_auth") == 2


def test_somebody_elses_media_do_not_exist(client: httpx.Client) -> None:
    answer = insights(client, BUSINESS_FEED)
    assert refusal(answer) == (400, 100, 33)
    assert answer.json()["error"]["type"] == "IGApiException"


@pytest.mark.parametrize(
    ("media", "metrics"),
    [(REEL, KEYS), (FEED, KEYS + ",follows"), (STORY, "views,reach,shares,total_interactions,replies")],
)
def test_what_each_product_type_supports(client: httpx.Client, media: str, metrics: str) -> None:
    assert set(values(insights(client, media, metrics))) == set(metrics.split(","))


@pytest.mark.parametrize(
    ("media", "metrics", "named"),
    [
        (STORY, "views,saved,likes", "saved, likes"),
        (FEED, "views,ig_reels_avg_watch_time", "ig_reels_avg_watch_time"),
        (REEL, "follows,views", "follows"),
    ],
)
def test_unsupported_metrics_are_named(client: httpx.Client, media: str, metrics: str, named: str) -> None:
    answer = insights(client, media, metrics)
    assert refusal(answer) == (400, 100, None)
    assert answer.json()["error"]["message"] == (
        f"The Media Insights API does not support the {named} metric for this media product type."
    )


def test_one_post_may_refuse_a_metric_of_its_kind(sims: Simulators, facebook: httpx.Client) -> None:
    sims.world.change_post("instagram", BUSINESS_FEED, refused_metrics=frozenset({"views"}))
    message = insights(facebook, BUSINESS_FEED).json()["error"]["message"]
    assert message.startswith("(#100) ")
    assert "does not support the views metric" in message


@pytest.mark.parametrize("name", ["impressions", "plays", "video_views", "engagement", "saves"])
def test_an_unknown_metric_is_told_by_its_place_among_all_valid_names(
    client: httpx.Client, name: str
) -> None:
    message = insights(client, metrics=f"reach,{name}").json()["error"]["message"]
    assert message.startswith("metric[1] must be one of the following values: ")
    assert "reach" in message.split(": ")[1].split(", ")


def test_a_metric_can_be_retired_at_run_time(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("instagram", retired_metrics=["reach"])
    message = insights(client, metrics="views,reach").json()["error"]["message"]
    assert message.startswith("metric[1] must be")
    assert "reach" not in message.split(": ")[1].split(", ")


def test_a_breakdown_is_an_unknown_error(client: httpx.Client) -> None:
    answer = client.get(f"/{FEED}/insights", params={"metric": "reach", "breakdown": "follow_type"})
    assert refusal(answer) == (500, 1, None)


def test_crossposted_views_refuse_all(client: httpx.Client) -> None:
    assert refusal(insights(client, metrics="views,facebook_views")) == (400, 100, 2207086)


def test_posts_before_the_conversion_never_have_insights(
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


def test_a_story_with_too_few_viewers(sims: Simulators, facebook: httpx.Client) -> None:
    story = "17900000000000202"
    sims.world.change_post("instagram", story, few_viewers=True)
    answer = insights(facebook, story, "views,reach")
    assert refusal(answer) == (400, 10, None)
    assert answer.json()["error"]["message"] == "(#10) Not enough viewers for the media to show insights"


def test_a_story_has_numbers_for_a_day(clock: Clock, client: httpx.Client) -> None:
    assert values(insights(client, STORY, "views"))
    clock.now += timedelta(hours=23)
    assert insights(client, STORY, "views").json() == {"data": []}
    assert values(insights(client, FEED, "views"))


def test_a_missing_scope_is_a_missing_permission(
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


def test_node_fields(sims: Simulators, client: httpx.Client, facebook: httpx.Client) -> None:
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


def test_many_ids_with_expanded_insights(sims: Simulators, client: httpx.Client) -> None:
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
def test_one_bad_medium_refuses_all(
    sims: Simulators, client: httpx.Client, change: dict[str, bool], expected: tuple[int, int, int]
) -> None:
    sims.world.change_post("instagram", REEL, **change)
    asked = {"ids": f"{FEED},{REEL}", "fields": "insights.metric(views)"}
    answer = client.get("/", params=asked)
    assert refusal(answer) == expected
    assert set(answer.json()) == {"error"}


def test_a_metric_that_one_of_many_lacks_refuses_all(client: httpx.Client) -> None:
    asked = {"ids": f"{FEED},{STORY}", "fields": "insights.metric(views,saved)"}
    assert "does not support the saved" in client.get("/", params=asked).json()["error"]["message"]


def test_batches_are_for_the_facebook_host(
    sims: Simulators, client: httpx.Client, facebook: httpx.Client
) -> None:
    items = json.dumps([{"method": "GET", "relative_url": f"{BUSINESS_FEED}/insights?metric=views"}])
    assert facebook.post("/", data={"batch": items}).json()[0]["code"] == 200
    assert sims.ledger.requests("instagram", "batch", "ok") == 1
    assert refusal(client.post("/", data={"batch": items})) == (400, 100, 33)


def test_the_accounts_limit(sims: Simulators, clock: Clock, client: httpx.Client) -> None:
    sims.behave("instagram", limits={"account": Limit(2, 86_400)})
    asked = {"ids": f"{FEED},{REEL}", "fields": "id"}
    assert client.get("/", params=asked).status_code == 200
    answer = insights(client)
    assert refusal(answer) == (400, 80002, None)
    usage = json.loads(answer.headers["X-Business-Use-Case-Usage"])[LOGIN.platform_account_id][0]
    assert (usage["type"], usage["estimated_time_to_regain_access"]) == ("instagram", 24 * 60)
    clock.now += timedelta(days=1, seconds=1)
    assert insights(client).status_code == 200


# Tokens


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
