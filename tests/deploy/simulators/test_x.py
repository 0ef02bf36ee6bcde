"""The simulated X refuses, bills and answers as its vendor's pages say."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from deploy.simulators.ledger import noted
from deploy.simulators.misbehaviour import Behaviour, Limit, Misbehaviour
from deploy.simulators.world import Account, Post, World
from deploy.simulators.x import APP_BEARER, X
from deploy.simulators.x_oauth import CLIENT_ID, CLIENT_SECRET

USER, OTHER = "user-1", "user-2"
POST = "1990000000000000001"
DELETED = "1990000000000000002"
FOREIGN = "1990000000000000003"
OLD = "1990000000000000004"
METRICS = {"tweet.fields": "public_metrics"}
Get = Callable[..., httpx.Response]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 4, 15, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the instant at which it stands."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    world = World(seed=1, now=clock)
    scopes = frozenset({"tweet.read", "users.read", "offline.access"})
    world.add_accounts(
        [
            Account(
                "x",
                USER,
                "user-token",
                scopes=scopes,
                access_token_expires_at=clock.now + timedelta(hours=2),
                refresh_token="refresh-1",
            ),
            Account("x", OTHER, "other-token", scopes=scopes),
        ]
    )
    yesterday = clock.now - timedelta(days=1)
    world.add_posts(
        [
            Post(
                "x", POST, USER, yesterday, text="Launch day", counters={"retweet_count": 7, "like_count": 58}
            ),
            Post("x", DELETED, USER, yesterday, deleted=True),
            Post("x", FOREIGN, OTHER, yesterday),
            Post("x", OLD, USER, clock.now - timedelta(days=31)),
        ]
    )
    return world


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def x(world: World, behaviour: Behaviour) -> X:
    return X(world, behaviour)


@pytest.fixture
def get(x: X) -> Get:
    client = httpx.Client(transport=httpx.MockTransport(x.handle), base_url="https://api.x.com")

    def get(path: str, by: str = "user-token", **params: str) -> httpx.Response:
        return client.get(path, params=params, headers={"Authorization": f"Bearer {by}"})

    return get


def look_up(get: Get, *ids: str, by: str = "user-token", fields: str = "public_metrics") -> httpx.Response:
    return get("/2/tweets", by, ids=",".join(ids), **{"tweet.fields": fields})


def types(response: httpx.Response) -> set[str]:
    return {error["type"].rpartition("/")[2] for error in response.json()["errors"]}


def refresh(x: X, token: str, **changes: Any) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token} | changes.pop("form", {})
    with httpx.Client(transport=httpx.MockTransport(x.handle), auth=changes.pop("auth", BASIC)) as client:
        return client.post("https://api.x.com/2/oauth2/token", data=form, **changes)


BASIC = httpx.BasicAuth(CLIENT_ID, CLIENT_SECRET)


# Lookup


def test_found_and_missing_posts_come_side_by_side(get: Get) -> None:
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


def test_an_answer_without_any_post_has_no_data_key(get: Get) -> None:
    assert "data" not in look_up(get, DELETED).json()


def test_an_answer_without_any_error_has_no_errors_key(get: Get) -> None:
    assert "errors" not in look_up(get, POST).json()


def test_only_the_fields_asked_for_come(get: Get) -> None:
    assert set(get("/2/tweets", ids=POST).json()["data"][0]) == {"id", "text", "edit_history_tweet_ids"}
    more = look_up(get, POST, fields="created_at,author_id").json()["data"][0]
    assert (more["created_at"], more["author_id"]) == ("2026-11-22T04:15:00.000Z", USER)


def test_the_order_of_the_answer_is_not_that_of_the_question(get: Get, world: World, clock: Clock) -> None:
    ids = [str(number) for number in range(100, 120)]
    world.add_posts(Post("x", one, USER, clock.now) for one in ids)

    answered = [post["id"] for post in look_up(get, *ids).json()["data"]]

    assert sorted(answered) == ids
    assert answered != ids


@pytest.mark.parametrize("ids", ["", "abc", "1" * 20, "1,,2", ",".join(map(str, range(1, 102)))])
def test_a_wrong_list_of_ids_is_an_invalid_request(get: Get, ids: str) -> None:
    response = get("/2/tweets", ids=ids)

    assert response.status_code == 400
    assert response.json()["type"].endswith("/invalid-request")


def test_a_hundred_ids_are_one_call(get: Get) -> None:
    assert look_up(get, *map(str, range(1, 101))).status_code == 200


def test_the_ids_are_required(get: Get) -> None:
    assert get("/2/tweets").status_code == 400


def test_a_wrong_single_id_is_an_invalid_request(get: Get) -> None:
    assert get("/2/tweets/abc").status_code == 400


def test_repeated_keys_are_no_list(x: X) -> None:
    request = httpx.Request(
        "GET", "https://api.x.com/2/tweets?ids=1&ids=2", headers={"Authorization": f"Bearer {APP_BEARER}"}
    )

    assert x.handle(request).status_code == 400


@pytest.mark.parametrize(
    "params", [{"foo": "1"}, {"tweet.fields": "metrics"}, {"post.fields": "public_metrics"}]
)
def test_an_unknown_parameter_or_field_is_named(get: Get, params: dict[str, str]) -> None:
    response = get("/2/tweets", ids=POST, **params)

    assert response.status_code == 400
    assert next(iter(params)) in response.json()["errors"][0]["message"]


def test_the_parameter_may_be_renamed(get: Get, behaviour: Behaviour) -> None:
    behaviour.become(Misbehaviour(renamed_parameter=True))

    assert "tweet.fields" in look_up(get, POST).json()["errors"][0]["message"]
    renamed = get("/2/tweets", ids=POST, **{"post.fields": "public_metrics"})
    assert renamed.json()["data"][0]["public_metrics"]["retweet_count"] == 7


def test_the_names_in_the_answer_may_be_renamed(get: Get, behaviour: Behaviour) -> None:
    behaviour.become(Misbehaviour(renamed_answer=True))

    (post,) = look_up(get, POST).json()["data"]

    assert post["public_metrics"]["repost_count"] == 7
    assert "retweet_count" not in post["public_metrics"]
    assert post["edit_history_post_ids"] == [POST]


def test_a_metric_may_be_left_out(get: Get, world: World) -> None:
    world.change_post("x", POST, absent_metrics=frozenset({"quote_count"}))

    assert "quote_count" not in look_up(get, POST).json()["data"][0]["public_metrics"]


def test_an_edited_post_is_answered_by_its_newest_version(get: Get, world: World, clock: Clock) -> None:
    world.add_posts(
        [Post("x", "500", USER, clock.now, text="v2"), Post("x", "501", USER, clock.now, text="v3")]
    )
    world.change_post("x", POST, replaced_by="500")
    world.change_post("x", "500", replaced_by="501")

    (post,) = look_up(get, POST).json()["data"]

    assert post["id"] == "501"
    assert post["edit_history_tweet_ids"] == [POST, "500", "501"]


def test_clearing_the_world_forgets_edits(get: Get, world: World, clock: Clock) -> None:
    world.change_post("x", POST, replaced_by="500")
    accounts = world.accounts()

    world.clear()
    world.add_accounts(accounts)
    world.add_posts([Post("x", "500", USER, clock.now)])

    assert look_up(get, "500").json()["data"][0]["edit_history_tweet_ids"] == ["500"]


def test_edits_made_before_the_platform_started_are_known(world: World, clock: Clock) -> None:
    world.add_posts([Post("x", "500", USER, clock.now)])
    world.change_post("x", POST, replaced_by="500")
    request = httpx.Request(
        "GET", "https://api.x.com/2/tweets?ids=500", headers={"Authorization": "Bearer user-token"}
    )

    assert X(world, Behaviour()).handle(request).json()["data"][0]["edit_history_tweet_ids"] == [POST, "500"]


@pytest.mark.parametrize("how", ["protected", "private"])
def test_a_protected_post_is_seen_by_its_author_alone(get: Get, world: World, how: str) -> None:
    world.change_post("x", FOREIGN, **{how: True})

    assert types(look_up(get, FOREIGN)) == {"not-authorized-for-resource"}
    assert look_up(get, FOREIGN, by="other-token").json()["data"]


def test_posts_of_a_suspended_author_are_not_shown(get: Get, world: World) -> None:
    world.change_account("x", OTHER, suspended=True)

    assert types(look_up(get, FOREIGN)) == {"not-authorized-for-resource"}


def test_an_author_need_not_be_connected(get: Get, world: World, clock: Clock) -> None:
    world.add_posts([Post("x", "600", "stranger", clock.now)])

    assert look_up(get, "600").json()["data"][0]["id"] == "600"


def test_a_foreign_public_post_is_answered_to_anybody(get: Get) -> None:
    assert look_up(get, FOREIGN).json()["data"][0]["id"] == FOREIGN
    assert look_up(get, FOREIGN, by=APP_BEARER).json()["data"][0]["id"] == FOREIGN


def test_fields_of_a_post_may_fail_to_load(get: Get, behaviour: Behaviour) -> None:
    behaviour.become(Misbehaviour(unhydrated_posts=frozenset({POST})))

    response = look_up(get, POST, FOREIGN)

    assert types(response) == {"field-hydration-failure"}
    assert [post["id"] for post in response.json()["data"]] == [FOREIGN]


def test_private_metrics_of_an_own_recent_post_come(get: Get) -> None:
    fields = "public_metrics,non_public_metrics,organic_metrics"

    (post,) = look_up(get, POST, fields=fields).json()["data"]

    assert set(post["non_public_metrics"]) == {
        *("impression_count", "url_link_clicks", "user_profile_clicks", "engagements")
    }
    assert post["organic_metrics"]["retweet_count"] == 7


@pytest.mark.parametrize(
    ("post", "token"), [(FOREIGN, "user-token"), (OLD, "user-token"), (POST, APP_BEARER)]
)
def test_private_metrics_of_any_other_post_make_it_vanish(get: Get, post: str, token: str) -> None:
    response = look_up(get, post, by=token, fields="public_metrics,non_public_metrics")

    assert response.status_code == 200
    assert "data" not in response.json()
    assert types(response) == {"not-authorized-for-field"}
    assert {error["field"] for error in response.json()["errors"]} >= {"non_public_metrics.impression_count"}


def test_promoted_metrics_of_a_post_that_is_not_promoted_are_refused(get: Get) -> None:
    assert types(look_up(get, POST, fields="promoted_metrics")) == {"not-authorized-for-field"}


def test_a_single_missing_post_is_a_404(get: Get) -> None:
    assert get(f"/2/tweets/{DELETED}").status_code == 404
    assert get(f"/2/tweets/{POST}", **METRICS).json()["data"]["public_metrics"]["like_count"] == 58


def test_what_is_not_there_is_a_404(get: Get) -> None:
    assert get("/2/usage/credits").status_code == 404


def test_the_ledger_is_told_endpoint_and_ids(x: X) -> None:
    request = httpx.Request(
        "GET", f"https://api.x.com/2/tweets?ids={POST},42", headers={"Authorization": "Bearer user-token"}
    )

    said = noted(x.handle(request))

    assert (said.endpoint, said.ids) == ("tweets", (POST, "42"))


# Who may call


@pytest.mark.parametrize("state", ["unknown", "expired", "revoked"])
def test_a_dead_token_is_unauthorized(get: Get, world: World, clock: Clock, state: str) -> None:
    if state == "expired":
        clock.now += timedelta(hours=2)
    elif state == "revoked":
        world.revoke("x", USER)

    response = look_up(get, POST, by="nobody" if state == "unknown" else "user-token")

    assert response.status_code == 401
    assert response.json() == {
        "title": "Unauthorized",
        "type": "about:blank",
        "status": 401,
        "detail": "Unauthorized",
    }


def test_a_token_in_the_query_is_no_token(x: X) -> None:
    request = httpx.Request("GET", f"https://api.x.com/2/tweets?ids={POST}&access_token=user-token")

    assert x.handle(request).status_code == 401


def test_a_suspended_user_is_forbidden(get: Get, world: World) -> None:
    world.change_account("x", USER, suspended=True)

    response = look_up(get, POST)

    assert response.status_code == 403
    assert response.json()["type"].endswith("/user-suspended")


def test_an_app_in_no_package_is_forbidden(get: Get, behaviour: Behaviour) -> None:
    behaviour.become(Misbehaviour(not_enrolled=True))

    response = look_up(get, POST)

    assert response.status_code == 403
    assert response.json()["type"].endswith("/client-forbidden")
    assert response.json()["reason"] == "client-not-enrolled"


@pytest.mark.parametrize(("path", "token"), [("/2/users/me", APP_BEARER), ("/2/usage/tweets", "user-token")])
def test_the_wrong_kind_of_token_is_unsupported(get: Get, path: str, token: str) -> None:
    response = get(path, token)

    assert response.status_code == 403
    assert response.json()["type"].endswith("/unsupported-authentication")


def test_a_missing_scope_is_forbidden(get: Get, world: World) -> None:
    world.change_account("x", USER, scopes=frozenset({"users.read"}))

    response = look_up(get, POST)

    assert response.status_code == 403
    assert "tweet.read" in response.json()["detail"]


def test_a_user_reads_who_he_is(get: Get) -> None:
    assert get("/2/users/me").json()["data"]["id"] == USER


# How often


def test_every_answer_shows_the_limit(get: Get) -> None:
    first, second = look_up(get, POST), get("/2/tweets", ids="")

    assert first.headers["x-rate-limit-limit"] == "5000"
    assert first.headers["x-rate-limit-remaining"] == "4999"
    assert second.headers["x-rate-limit-remaining"] == "4998"
    assert int(first.headers["x-rate-limit-reset"]) == datetime(2026, 11, 23, 4, 30, tzinfo=UTC).timestamp()
    assert look_up(get, POST, by=APP_BEARER).headers["x-rate-limit-limit"] == "3500"


def test_a_window_is_per_user_and_ends(get: Get, behaviour: Behaviour, clock: Clock) -> None:
    behaviour.become(Misbehaviour(limits={"tweets:user": Limit(1, 900.0, sliding=False)}))
    look_up(get, POST)

    refused = look_up(get, POST)

    assert refused.status_code == 429
    assert refused.json()["type"] == "about:blank"
    assert refused.headers["x-rate-limit-remaining"] == "0"
    assert look_up(get, POST, by="other-token").status_code == 200
    clock.now += timedelta(minutes=15)
    assert look_up(get, POST).status_code == 200


def test_a_limit_may_be_refused_in_the_older_envelope(get: Get, behaviour: Behaviour) -> None:
    behaviour.become(Misbehaviour(limits={"tweets:user": Limit(0, 900.0)}, legacy_refusals=True))

    assert look_up(get, POST).json() == {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}


def test_limit_headers_may_be_absent_or_malformed(get: Get, behaviour: Behaviour) -> None:
    behaviour.become(Misbehaviour(limit_headers="absent"))
    assert "x-rate-limit-limit" not in look_up(get, POST).headers

    behaviour.become(Misbehaviour(limit_headers="malformed"))
    assert not look_up(get, POST).headers["x-rate-limit-reset"].isdigit()


# For what money


def test_each_post_is_billed_once_a_utc_day(get: Get, x: X, clock: Clock) -> None:
    look_up(get, POST, FOREIGN)
    look_up(get, POST, by="other-token")
    assert x.billed_reads == 2

    clock.now = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
    look_up(get, POST, by="other-token")

    assert x.billed_reads == 3
    assert x.billing.reads(clock.now.date()) == 1


def test_what_is_not_shown_is_not_billed(get: Get, x: X) -> None:
    look_up(get, DELETED, "42")
    look_up(get, OLD, fields="non_public_metrics")
    get("/2/tweets", ids="abc")

    assert x.billed_reads == 0


def test_clearing_the_world_clears_the_bill(get: Get, x: X, world: World) -> None:
    look_up(get, POST)

    world.clear()

    assert x.billed_reads == 0


def test_without_credit_every_read_is_refused_while_the_limit_looks_healthy(
    get: Get, behaviour: Behaviour
) -> None:
    behaviour.become(Misbehaviour(credits_depleted=True))

    response = look_up(get, POST)

    assert response.status_code == 402
    assert response.json()["type"].endswith("/credits-depleted")
    assert response.headers["x-rate-limit-remaining"] == "4999"


def test_the_monthly_cap_refuses_until_the_next_month(get: Get, behaviour: Behaviour, clock: Clock) -> None:
    behaviour.become(Misbehaviour(limits={"post_reads_per_month": Limit(1, 1.0)}))
    look_up(get, FOREIGN, by="other-token")

    response = look_up(get, POST, by="other-token")

    assert response.status_code == 429
    assert response.json()["title"] == "UsageCapExceeded"
    assert response.json()["type"].endswith("/usage-capped")
    assert response.headers["x-rate-limit-remaining"] == "4998"
    clock.now = datetime(2026, 12, 1, tzinfo=UTC)
    assert look_up(get, POST, by="other-token").status_code == 200


def test_usage_tells_the_app_its_reads_of_this_month_as_text(get: Get) -> None:
    look_up(get, POST)

    usage = get("/2/usage/tweets", APP_BEARER).json()["data"]

    assert (usage["project_usage"], usage["project_cap"]) == ("1", "3000000")


# Tokens


def test_a_refresh_replaces_both_tokens(x: X, get: Get) -> None:
    pair = refresh(x, "refresh-1").json()

    assert pair["expires_in"] == 7200
    assert pair["token_type"] == "bearer"
    assert pair["refresh_token"] != "refresh-1"
    assert look_up(get, POST, by=pair["access_token"]).status_code == 200
    assert refresh(x, pair["refresh_token"]).status_code == 200


def test_a_refresh_token_used_twice_ends_its_family(x: X, get: Get) -> None:
    pair = refresh(x, "refresh-1").json()

    again = refresh(x, "refresh-1")

    assert again.status_code == 400
    assert again.json() == {
        "error": "invalid_request",
        "error_description": "Value passed for the token was invalid.",
    }
    assert look_up(get, POST, by=pair["access_token"]).status_code == 401
    assert refresh(x, pair["refresh_token"]).status_code == 400


def test_an_access_token_lives_two_hours(x: X, get: Get, clock: Clock) -> None:
    token = refresh(x, "refresh-1").json()["access_token"]

    clock.now += timedelta(hours=2) - timedelta(seconds=1)
    assert look_up(get, POST, by=token).status_code == 200
    clock.now += timedelta(seconds=1)
    assert look_up(get, POST, by=token).status_code == 401


def test_an_unknown_refresh_token_is_refused(x: X) -> None:
    assert refresh(x, "nothing").status_code == 400


def test_an_old_refresh_token_is_dead(x: X, world: World, clock: Clock) -> None:
    world.change_account("x", USER, refresh_token_expires_at=clock.now)

    assert refresh(x, "refresh-1").status_code == 400


@pytest.mark.parametrize("auth", [None, httpx.BasicAuth(CLIENT_ID, "wrong")])
def test_a_client_must_prove_who_it_is(x: X, auth: httpx.BasicAuth | None) -> None:
    response = refresh(x, "refresh-1", auth=auth, form={"client_id": CLIENT_ID})

    assert response.status_code == 401
    assert response.json()["error_description"] == "Missing valid authorization header"
    assert refresh(x, "refresh-1").status_code == 200


def test_a_public_client_names_itself_in_the_body(world: World) -> None:
    x = X(world, Behaviour(), client_secret=None)

    assert refresh(x, "refresh-1", auth=None).status_code == 401
    assert refresh(x, "refresh-1", auth=None, form={"client_id": CLIENT_ID}).status_code == 200


@pytest.mark.parametrize(
    "changes", [{"form": {"grant_type": "password"}}, {"headers": {"Content-Type": "text/plain"}}]
)
def test_a_refresh_is_a_form_with_its_grant(x: X, changes: dict[str, Any]) -> None:
    assert refresh(x, "refresh-1", **changes).status_code == 400
    assert refresh(x, "refresh-1").status_code == 200


@pytest.mark.parametrize("token", ["user-token", "refresh-1", "unknown"])
def test_revoking_either_token_ends_both(x: X, get: Get, token: str) -> None:
    with httpx.Client(transport=httpx.MockTransport(x.handle), auth=BASIC) as client:
        revoked = client.post("https://api.x.com/2/oauth2/revoke", data={"token": token})

    assert revoked.json() == {"revoked": True}
    assert look_up(get, POST).status_code == (200 if token == "unknown" else 401)
