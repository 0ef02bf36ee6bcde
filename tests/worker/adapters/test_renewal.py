"""Renewals of tokens at X, LinkedIn and TikTok: each by its own rules, and each refusal with its meaning."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.linkedin import oauth as linkedin_oauth
from deploy.simulators.linkedin.linkedin import LinkedIn as SimulatedLinkedIn
from deploy.simulators.tiktok import oauth as tiktok_oauth
from deploy.simulators.tiktok.tiktok import TikTok as SimulatedTikTok
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import World
from deploy.simulators.x import oauth as x_oauth
from deploy.simulators.x.x import X as SimulatedX
from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.support import NOW, PlainUpstream, account, replies, reply, upstream
from worker.adapters import ADAPTERS
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Tokens

ACCESS, REFRESH = "access-very-secret", "refresh-very-secret"
SETTINGS = Settings(
    x_client_id=x_oauth.CLIENT_ID,
    x_client_secret=SecretStr(x_oauth.CLIENT_SECRET),
    linkedin_client_id=linkedin_oauth.CLIENT_ID,
    linkedin_client_secret=SecretStr(linkedin_oauth.CLIENT_SECRET),
    tiktok_client_key=tiktok_oauth.CLIENT_KEY,
    tiktok_client_secret=SecretStr(tiktok_oauth.CLIENT_SECRET),
)
PLATFORMS = [Platform.X, Platform.LINKEDIN, Platform.TIKTOK]


@dataclass(frozen=True)
class Rules:
    """The expected form of a renewal at one platform."""

    simulator: Callable[[World], Callable[[httpx.Request], httpx.Response]]
    url: str
    access_life: timedelta
    refresh_life: timedelta | None
    rotates: bool


RULES = {
    Platform.X: Rules(
        lambda world: SimulatedX(world, Behaviour()).handle,
        "https://api.x.com/2/oauth2/token",
        timedelta(hours=2),
        None,
        rotates=True,
    ),
    Platform.LINKEDIN: Rules(
        lambda world: SimulatedLinkedIn(world, Behaviour()).handle,
        "https://www.linkedin.com/oauth/v2/accessToken",
        timedelta(days=60),
        timedelta(days=100),
        rotates=False,
    ),
    Platform.TIKTOK: Rules(
        lambda world: SimulatedTikTok(world, Behaviour()).handle,
        "https://open.tiktokapis.com/v2/oauth/token/",
        timedelta(hours=2),
        timedelta(days=180),
        rotates=True,
    ),
}


def world_of(platform: Platform) -> World:
    world = World(0, lambda: NOW)
    known = SimulatedAccount(
        platform.value,
        "1000",
        ACCESS,
        scopes=frozenset({"first.scope", "second.scope"}),
        refresh_token=REFRESH,
        refresh_token_expires_at=NOW + timedelta(days=100),
    )
    world.add_accounts([known])
    return world


def renew(platform: Platform, sent: PlainUpstream, settings: Settings = SETTINGS, **changes: Any) -> Tokens:
    holder = account(platform, **{"refresh_token": SecretStr(REFRESH), **changes})
    return ADAPTERS[platform](settings).renew(sent, holder)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_renewal_returns_the_platforms_values(platform: Platform) -> None:
    world, rules = world_of(platform), RULES[platform]
    sent = upstream(rules.simulator(world), now=NOW)

    tokens = renew(platform, sent)

    (known,) = world.accounts()
    assert tokens.access_token.get_secret_value() == known.access_token != ACCESS
    assert tokens.refresh_token is not None
    assert tokens.refresh_token.get_secret_value() == known.refresh_token
    assert (known.refresh_token != REFRESH) == rules.rotates
    assert tokens.expires_at == NOW + rules.access_life
    assert tokens.refresh_token_expires_at == (rules.refresh_life and NOW + rules.refresh_life)
    assert tokens.scopes == frozenset({"first.scope", "second.scope"})
    assert [call.url for call in sent.sent] == [rules.url]


@pytest.mark.parametrize("platform", [Platform.X, Platform.TIKTOK])
def test_used_refresh_token_requires_reconnect(platform: Platform) -> None:
    sent = upstream(RULES[platform].simulator(world_of(platform)), now=NOW)
    renew(platform, sent)

    with pytest.raises(Reauthorize) as refused:
        renew(platform, sent)

    assert not refused.value.renewable
    assert "reconnect" in str(refused.value)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_wrong_client_secret_is_misconfigured(platform: Platform) -> None:
    wrong = SecretStr("wrong")
    settings = SETTINGS.model_copy(
        update={"x_client_secret": wrong, "linkedin_client_secret": wrong, "tiktok_client_secret": wrong}
    )

    with pytest.raises(Misconfigured):
        renew(platform, upstream(RULES[platform].simulator(world_of(platform)), now=NOW), settings)


def test_a_public_client_of_x_names_itself_in_the_body() -> None:
    simulator = SimulatedX(world_of(Platform.X), Behaviour(), client_secret=None)
    sent = upstream(simulator.handle, now=NOW)

    renew(Platform.X, sent, Settings(x_client_id=x_oauth.CLIENT_ID))

    assert (sent.sent[0].form or {})["client_id"] == x_oauth.CLIENT_ID
    assert "Authorization" not in sent.sent[0].headers


X_DEAD = "Value passed for the token was invalid."
LINKEDIN_DEAD = "The provided authorization grant or refresh token is invalid, expired or revoked"


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": "invalid_grant"}, Reauthorize),
        (200, {"error": "invalid_grant", "error_description": "Refresh token is invalid."}, Reauthorize),
        (400, {"error": "invalid_request", "error_description": X_DEAD}, Reauthorize),
        (400, {"error": "invalid_request", "error_description": LINKEDIN_DEAD}, Reauthorize),
        (400, {"error": "invalid_request", "error_description": "A parameter is missing"}, Misconfigured),
        (400, {"error": "unsupported_grant_type"}, Misconfigured),
        (401, {"error": "invalid_client"}, Misconfigured),
        (401, "", Misconfigured),
        (403, "<html>", Misconfigured),
        (429, "", Paused),
        (500, "", TryAgain),
        (503, {"error": "invalid_grant"}, TryAgain),
        (400, {"error": "server_error"}, TryAgain),
        (200, {"error": "server_error", "log_id": "1"}, TryAgain),
        (400, {"error": "temporarily_unavailable"}, TryAgain),
        (200, {"error": "temporarily_unavailable"}, TryAgain),
        (200, "", TryAgain),
        (200, {"access_token": "two words"}, TryAgain),
        (200, {"access_token": 5}, TryAgain),
        (200, {"access_token": ""}, TryAgain),
    ],
)
def test_refused_renewal_has_its_meaning(
    platform: Platform, status: int, body: object, expected: type[RefreshError]
) -> None:
    with pytest.raises(expected) as refused:
        renew(platform, upstream(replies(reply(body, status)), now=NOW))

    assert not isinstance(refused.value, Reauthorize) or not refused.value.renewable
    assert not isinstance(refused.value, TryAgain) or refused.value.breaks == (status >= 500)


@pytest.mark.parametrize("seconds", [None, 0, -5, "7200", True, 10**12, 7200.5])
def test_lifetime_that_is_no_number_is_unknown(seconds: object) -> None:
    answer = {"access_token": "new", "expires_in": seconds, "refresh_expires_in": seconds, "scope": 7}

    tokens = renew(Platform.TIKTOK, upstream(replies(reply(answer)), now=NOW))

    assert tokens == Tokens(SecretStr("new"), None)


def test_limit_of_renewals_pauses_only_renewals() -> None:
    with pytest.raises(Paused) as limited:
        renew(Platform.X, upstream(replies(reply("", 429, {"retry-after": "90"})), now=NOW))

    assert (limited.value.kind, limited.value.endpoint) == (BucketKind.ENDPOINT, "oauth2/token")
    assert limited.value.until == NOW + timedelta(seconds=90)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("refresh_token", [None, SecretStr("")])
def test_missing_refresh_token_requires_reconnect(
    platform: Platform, refresh_token: SecretStr | None
) -> None:
    with pytest.raises(Reauthorize, match="reconnect"):
        renew(platform, upstream(replies()), refresh_token=refresh_token)


@pytest.mark.parametrize(
    ("platform", "variable"),
    [
        (Platform.X, "DRAVO_X_CLIENT_ID"),
        (Platform.LINKEDIN, "DRAVO_LINKEDIN_CLIENT_ID"),
        (Platform.TIKTOK, "DRAVO_TIKTOK_CLIENT_KEY"),
    ],
)
def test_missing_client_names_its_setting(platform: Platform, variable: str) -> None:
    with pytest.raises(Misconfigured, match=variable):
        renew(platform, upstream(replies()), Settings())
