"""Authentication, rate limits and billing of the simulated X."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from deploy.simulators.behaviour import Behaviour, Conditions, Limit
from deploy.simulators.world import World
from deploy.simulators.x.x import APP_BEARER, X
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.x.harness import (
    DELETED,
    FOREIGN,
    OLD,
    POST,
    USER,
    Get,
    look_up,
)

# Who may call


@pytest.mark.parametrize("state", ["unknown", "expired", "revoked"])
def test_expired_revoked_or_unknown_token_is_unauthorized(
    get: Get, world: World, clock: Clock, state: str
) -> None:
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


def test_token_in_the_query_is_ignored(x: X) -> None:
    request = httpx.Request("GET", f"https://api.x.com/2/tweets?ids={POST}&access_token=user-token")

    assert x.handle(request).status_code == 401


def test_suspended_user_is_forbidden(get: Get, world: World) -> None:
    world.change_account("x", USER, suspended=True)

    response = look_up(get, POST)

    assert response.status_code == 403
    assert response.json()["type"].endswith("/user-suspended")


def test_app_without_package_is_forbidden(get: Get, behaviour: Behaviour) -> None:
    behaviour.set_conditions(Conditions(not_enrolled=True))

    response = look_up(get, POST)

    assert response.status_code == 403
    assert response.json()["type"].endswith("/client-forbidden")
    assert response.json()["reason"] == "client-not-enrolled"


@pytest.mark.parametrize(("path", "token"), [("/2/users/me", APP_BEARER), ("/2/usage/tweets", "user-token")])
def test_wrong_kind_of_token_is_unsupported(get: Get, path: str, token: str) -> None:
    response = get(path, token)

    assert response.status_code == 403
    assert response.json()["type"].endswith("/unsupported-authentication")


def test_missing_scope_is_forbidden(get: Get, world: World) -> None:
    world.change_account("x", USER, scopes=frozenset({"users.read"}))

    response = look_up(get, POST)

    assert response.status_code == 403
    assert "tweet.read" in response.json()["detail"]


def test_users_me_returns_the_token_user(get: Get) -> None:
    assert get("/2/users/me").json()["data"]["id"] == USER


# How often


def test_every_answer_has_rate_limit_headers(get: Get) -> None:
    first, second = look_up(get, POST), get("/2/tweets", ids="")

    assert first.headers["x-rate-limit-limit"] == "5000"
    assert first.headers["x-rate-limit-remaining"] == "4999"
    assert second.headers["x-rate-limit-remaining"] == "4998"
    assert int(first.headers["x-rate-limit-reset"]) == datetime(2026, 11, 23, 4, 30, tzinfo=UTC).timestamp()
    assert look_up(get, POST, by=APP_BEARER).headers["x-rate-limit-limit"] == "3500"


def test_rate_limit_window_is_per_user_and_ends(get: Get, behaviour: Behaviour, clock: Clock) -> None:
    behaviour.set_conditions(Conditions(limits={"tweets:user": Limit(1, 900.0, sliding=False)}))
    look_up(get, POST)

    refused = look_up(get, POST)

    assert refused.status_code == 429
    assert refused.json()["type"] == "about:blank"
    assert refused.headers["x-rate-limit-remaining"] == "0"
    assert look_up(get, POST, by="other-token").status_code == 200
    clock.now += timedelta(minutes=15)
    assert look_up(get, POST).status_code == 200


def test_rate_limit_error_can_have_the_older_envelope(get: Get, behaviour: Behaviour) -> None:
    behaviour.set_conditions(Conditions(limits={"tweets:user": Limit(0, 900.0)}, legacy_refusals=True))

    assert look_up(get, POST).json() == {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}


def test_rate_limit_headers_can_be_absent_or_malformed(get: Get, behaviour: Behaviour) -> None:
    behaviour.set_conditions(Conditions(limit_headers="absent"))
    assert "x-rate-limit-limit" not in look_up(get, POST).headers

    behaviour.set_conditions(Conditions(limit_headers="malformed"))
    assert not look_up(get, POST).headers["x-rate-limit-reset"].isdigit()


# For what money


def test_post_is_billed_once_a_utc_day(get: Get, x: X, clock: Clock) -> None:
    look_up(get, POST, FOREIGN)
    look_up(get, POST, by="other-token")
    assert x.billed_reads == 2

    clock.now = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
    look_up(get, POST, by="other-token")

    assert x.billed_reads == 3
    assert x.billing.reads(clock.now.date()) == 1


def test_posts_that_are_not_returned_are_not_billed(get: Get, x: X) -> None:
    look_up(get, DELETED, "42")
    look_up(get, OLD, fields="non_public_metrics")
    get("/2/tweets", ids="abc")

    assert x.billed_reads == 0


def test_clearing_the_world_clears_billed_reads(get: Get, x: X, world: World) -> None:
    look_up(get, POST)

    world.clear()

    assert x.billed_reads == 0


def test_depleted_credits_refuse_reads_within_the_rate_limit(get: Get, behaviour: Behaviour) -> None:
    behaviour.set_conditions(Conditions(credits_depleted=True))

    response = look_up(get, POST)

    assert response.status_code == 402
    assert response.json()["type"].endswith("/credits-depleted")
    assert response.headers["x-rate-limit-remaining"] == "4999"


def test_monthly_cap_refuses_until_the_next_month(get: Get, behaviour: Behaviour, clock: Clock) -> None:
    behaviour.set_conditions(Conditions(limits={"post_reads_per_month": Limit(1, 1.0)}))
    look_up(get, FOREIGN, by="other-token")

    response = look_up(get, POST, by="other-token")

    assert response.status_code == 429
    assert response.json()["title"] == "UsageCapExceeded"
    assert response.json()["type"].endswith("/usage-capped")
    assert response.headers["x-rate-limit-remaining"] == "4998"
    clock.now = datetime(2026, 12, 1, tzinfo=UTC)
    assert look_up(get, POST, by="other-token").status_code == 200


def test_usage_returns_this_months_reads_as_text(get: Get) -> None:
    look_up(get, POST)

    usage = get("/2/usage/tweets", APP_BEARER).json()["data"]

    assert (usage["project_usage"], usage["project_cap"]) == ("1", "3000000")
