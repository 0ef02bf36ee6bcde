"""Posts and metrics of the simulated X."""

import httpx
import pytest

from deploy.simulators.behaviour import Behaviour, Conditions
from deploy.simulators.request_log import note_of
from deploy.simulators.world import Post, World
from deploy.simulators.x.x import APP_BEARER, X
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.x.harness import (
    DELETED,
    FOREIGN,
    METRICS,
    OLD,
    OTHER,
    POST,
    USER,
    Get,
    look_up,
    types,
)


def test_answer_has_data_and_errors_side_by_side(get: Get) -> None:
    response = look_up(get, POST, DELETED, "42")

    assert response.status_code == 200
    assert response.headers["api-version"] == "2.166"
    (post,) = response.json()["data"]
    assert post["id"] == POST
    assert post["text"] == "Launch day"
    assert post["edit_history_tweet_ids"] == [POST]
    assert post["public_metrics"]["retweet_count"] == 7
    assert set(post["public_metrics"]) == {
        *("retweet_count", "reply_count", "like_count", "quote_count", "bookmark_count", "impression_count")
    }
    assert [error["resource_id"] for error in response.json()["errors"]] == [DELETED, "42"]
    assert types(response) == {"resource-not-found"}


def test_answer_without_posts_has_no_data_key(get: Get) -> None:
    assert "data" not in look_up(get, DELETED).json()


def test_answer_without_errors_has_no_errors_key(get: Get) -> None:
    assert "errors" not in look_up(get, POST).json()


def test_answer_has_only_the_requested_fields(get: Get) -> None:
    assert set(get("/2/tweets", ids=POST).json()["data"][0]) == {"id", "text", "edit_history_tweet_ids"}
    more = look_up(get, POST, fields="created_at,author_id").json()["data"][0]
    assert (more["created_at"], more["author_id"]) == ("2026-11-22T04:15:00.000Z", USER)


def test_answer_order_differs_from_request_order(get: Get, world: World, clock: Clock) -> None:
    ids = [str(number) for number in range(100, 120)]
    world.add_posts(Post("x", one, USER, clock.now) for one in ids)

    answered = [post["id"] for post in look_up(get, *ids).json()["data"]]

    assert sorted(answered) == ids
    assert answered != ids


@pytest.mark.parametrize("ids", ["", "abc", "1" * 20, "1,,2", ",".join(map(str, range(1, 102)))])
def test_malformed_list_of_ids_is_an_invalid_request(get: Get, ids: str) -> None:
    response = get("/2/tweets", ids=ids)

    assert response.status_code == 400
    assert response.json()["type"].endswith("/invalid-request")


def test_lookup_accepts_a_hundred_ids(get: Get) -> None:
    assert look_up(get, *map(str, range(1, 101))).status_code == 200


def test_missing_ids_are_refused(get: Get) -> None:
    assert get("/2/tweets").status_code == 400


def test_malformed_single_id_is_an_invalid_request(get: Get) -> None:
    assert get("/2/tweets/abc").status_code == 400


def test_repeated_ids_parameters_are_refused(x: X) -> None:
    request = httpx.Request(
        "GET", "https://api.x.com/2/tweets?ids=1&ids=2", headers={"Authorization": f"Bearer {APP_BEARER}"}
    )

    assert x.handle(request).status_code == 400


@pytest.mark.parametrize(
    "params", [{"foo": "1"}, {"tweet.fields": "metrics"}, {"post.fields": "public_metrics"}]
)
def test_error_names_the_unknown_parameter_or_field(get: Get, params: dict[str, str]) -> None:
    response = get("/2/tweets", ids=POST, **params)

    assert response.status_code == 400
    assert next(iter(params)) in response.json()["errors"][0]["message"]


def test_fields_parameter_can_be_renamed(get: Get, behaviour: Behaviour) -> None:
    behaviour.set_conditions(Conditions(renamed_parameter=True))

    assert "tweet.fields" in look_up(get, POST).json()["errors"][0]["message"]
    renamed = get("/2/tweets", ids=POST, **{"post.fields": "public_metrics"})
    assert renamed.json()["data"][0]["public_metrics"]["retweet_count"] == 7


def test_fields_in_the_answer_can_be_renamed(get: Get, behaviour: Behaviour) -> None:
    behaviour.set_conditions(Conditions(renamed_answer=True))

    (post,) = look_up(get, POST).json()["data"]

    assert post["public_metrics"]["repost_count"] == 7
    assert "retweet_count" not in post["public_metrics"]
    assert post["edit_history_post_ids"] == [POST]


def test_absent_metric_is_omitted(get: Get, world: World) -> None:
    world.change_post("x", POST, absent_metrics=frozenset({"quote_count"}))

    assert "quote_count" not in look_up(get, POST).json()["data"][0]["public_metrics"]


def test_lookup_of_an_edited_post_returns_its_newest_version(get: Get, world: World, clock: Clock) -> None:
    world.add_posts(
        [Post("x", "500", USER, clock.now, text="v2"), Post("x", "501", USER, clock.now, text="v3")]
    )
    world.change_post("x", POST, replaced_by="500")
    world.change_post("x", "500", replaced_by="501")

    (post,) = look_up(get, POST).json()["data"]

    assert post["id"] == "501"
    assert post["edit_history_tweet_ids"] == [POST, "500", "501"]


def test_clearing_the_world_deletes_edits(get: Get, world: World, clock: Clock) -> None:
    world.change_post("x", POST, replaced_by="500")
    accounts = world.accounts()

    world.clear()
    world.add_accounts(accounts)
    world.add_posts([Post("x", "500", USER, clock.now)])

    assert look_up(get, "500").json()["data"][0]["edit_history_tweet_ids"] == ["500"]


def test_edits_before_the_platforms_start_are_known(world: World, clock: Clock) -> None:
    world.add_posts([Post("x", "500", USER, clock.now)])
    world.change_post("x", POST, replaced_by="500")
    request = httpx.Request(
        "GET", "https://api.x.com/2/tweets?ids=500", headers={"Authorization": "Bearer user-token"}
    )

    assert X(world, Behaviour()).handle(request).json()["data"][0]["edit_history_tweet_ids"] == [POST, "500"]


@pytest.mark.parametrize("how", ["protected", "private"])
def test_protected_post_is_visible_to_its_author_only(get: Get, world: World, how: str) -> None:
    world.change_post("x", FOREIGN, **{how: True})

    assert types(look_up(get, FOREIGN)) == {"not-authorized-for-resource"}
    assert look_up(get, FOREIGN, by="other-token").json()["data"]


def test_posts_of_a_suspended_author_are_not_returned(get: Get, world: World) -> None:
    world.change_account("x", OTHER, suspended=True)

    assert types(look_up(get, FOREIGN)) == {"not-authorized-for-resource"}


def test_post_of_an_unconnected_author_is_returned(get: Get, world: World, clock: Clock) -> None:
    world.add_posts([Post("x", "600", "stranger", clock.now)])

    assert look_up(get, "600").json()["data"][0]["id"] == "600"


def test_foreign_public_post_is_visible_to_everybody(get: Get) -> None:
    assert look_up(get, FOREIGN).json()["data"][0]["id"] == FOREIGN
    assert look_up(get, FOREIGN, by=APP_BEARER).json()["data"][0]["id"] == FOREIGN


def test_post_fields_can_fail_to_load(get: Get, behaviour: Behaviour) -> None:
    behaviour.set_conditions(Conditions(unhydrated_posts=frozenset({POST})))

    response = look_up(get, POST, FOREIGN)

    assert types(response) == {"field-hydration-failure"}
    assert [post["id"] for post in response.json()["data"]] == [FOREIGN]


def test_private_metrics_of_an_own_recent_post_are_returned(get: Get) -> None:
    fields = "public_metrics,non_public_metrics,organic_metrics"

    (post,) = look_up(get, POST, fields=fields).json()["data"]

    assert set(post["non_public_metrics"]) == {
        *("impression_count", "url_link_clicks", "user_profile_clicks", "engagements")
    }
    assert post["organic_metrics"]["retweet_count"] == 7


@pytest.mark.parametrize(
    ("post", "token"), [(FOREIGN, "user-token"), (OLD, "user-token"), (POST, APP_BEARER)]
)
def test_private_metrics_of_any_other_post_omit_the_post(get: Get, post: str, token: str) -> None:
    response = look_up(get, post, by=token, fields="public_metrics,non_public_metrics")

    assert response.status_code == 200
    assert "data" not in response.json()
    assert types(response) == {"not-authorized-for-field"}
    assert {error["field"] for error in response.json()["errors"]} >= {"non_public_metrics.impression_count"}


def test_promoted_metrics_of_an_unpromoted_post_are_refused(get: Get) -> None:
    assert types(look_up(get, POST, fields="promoted_metrics")) == {"not-authorized-for-field"}


def test_single_missing_post_is_a_404(get: Get) -> None:
    assert get(f"/2/tweets/{DELETED}").status_code == 404
    assert get(f"/2/tweets/{POST}", **METRICS).json()["data"]["public_metrics"]["like_count"] == 58


def test_unknown_path_is_a_404(get: Get) -> None:
    assert get("/2/usage/credits").status_code == 404


def test_request_log_names_endpoint_and_ids(x: X) -> None:
    request = httpx.Request(
        "GET", f"https://api.x.com/2/tweets?ids={POST},42", headers={"Authorization": "Bearer user-token"}
    )

    said = note_of(x.handle(request))

    assert (said.endpoint, said.ids) == ("tweets", (POST, "42"))
