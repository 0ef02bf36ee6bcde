"""The types of settings: each validates the text of one variable, and none repeats a secret in its error."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from shared.accounts.vault import SealError, SealingKey
from shared.freshness.policy import Freshness
from shared.freshness.priors import parse_priors
from shared.freshness.signals import parse_precisions
from shared.quota.limits import Limits
from shared.retention.policy import Retention
from shared.webhooks.urls import parse_networks


def _host_only(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be scheme, host and port, like https://host.example")
    if parts.path not in {"", "/"} or parts.query or parts.username:
        raise ValueError("takes scheme, host and port only")
    return url.rstrip("/")


def _with_driver(url: SecretStr) -> SecretStr:
    plain = url.get_secret_value()
    for prefix in ("postgresql://", "postgres://"):
        if plain.startswith(prefix):
            plain = "postgresql+psycopg://" + plain.removeprefix(prefix)
    if not plain.startswith("postgresql+psycopg://"):
        raise ValueError("must be a postgresql:// URL")
    return SecretStr(plain)


def _policy(text: str) -> str:
    Freshness.parse(text)
    return text


def _priors(text: str) -> str:
    parse_priors(text)
    return text


def _precisions(text: str) -> str:
    parse_precisions(text)
    return text


def _limits(text: str) -> str:
    Limits.parse(text)
    return text


def _networks(text: str) -> str:
    try:
        parse_networks(text)
    except ValueError:
        raise ValueError("must be networks like 10.1.0.0/16,127.0.0.0/8") from None
    return text


def _retention(text: str) -> str:
    Retention.parse(text)
    return text


def _redis(url: SecretStr) -> SecretStr:
    schemes = ("redis://", "rediss://", "unix://", "redis+sentinel://")
    if not url.get_secret_value().startswith(schemes):
        raise ValueError("must be a redis://, rediss://, unix:// or redis+sentinel:// URL")
    return url


def _origin(text: str) -> str:
    if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?", text):
        raise ValueError(
            "must be origins like https://dashboard.example.com, comma-separated, without a path"
        )
    return text


def _sealing_key(text: str) -> str:
    try:
        SealingKey(text)
    except SealError as error:
        raise ValueError(str(error)) from None
    return text


def _hard_to_guess(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < SHORTEST_TOKEN:
        raise ValueError(
            f"must have at least {SHORTEST_TOKEN} characters: make one with `dravo secrets generate`"
        )
    return token


def _hmac_key(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < SHORTEST_HMAC_KEY:
        raise ValueError(f"must have at least {SHORTEST_HMAC_KEY} bytes, as HS256 asks (RFC 7518, 3.2)")
    return secret


SHORTEST_TOKEN = 16
"""The least number of characters of a bearer token that an operator chooses."""
SHORTEST_HMAC_KEY = 32
DatabaseUrl = Annotated[SecretStr, AfterValidator(_with_driver)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis)]
SealingKeyText = Annotated[str, AfterValidator(_sealing_key)]
HmacKey = Annotated[SecretStr, AfterValidator(_hmac_key)]
FreshnessPolicy = Annotated[str, AfterValidator(_policy)]
FreshnessPriors = Annotated[str, AfterValidator(_priors)]
SignalPrecision = Annotated[str, AfterValidator(_precisions)]
Networks = Annotated[str, AfterValidator(_networks)]
RetentionPolicy = Annotated[str, AfterValidator(_retention)]
CallLimits = Annotated[str, AfterValidator(_limits)]
Token = Annotated[SecretStr, AfterValidator(_hard_to_guess)]
Host = Annotated[str, AfterValidator(_host_only)]
Origin = Annotated[str, AfterValidator(_origin)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Percent = Annotated[int, Field(ge=1, le=100)]
Dollars = Annotated[float, Field(ge=0, le=1e9)]
