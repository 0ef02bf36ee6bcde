"""Dashboard tokens: accepted algorithms with their kinds of keys; malicious tokens are refused alike."""

import asyncio
import base64
import json
import time
from datetime import datetime, tzinfo
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from api_stub.auth.dashboard_tokens import DashboardTokens, configured
from api_stub.http.errors import ApiError
from shared.settings import Settings, SettingsError
from tests.api_stub import support
from tests.issuer import KEYS

SECRET = "a-secret-of-the-tests-with-enough-bytes"
LONG = SECRET * 2
RSA_KEY = KEYS["RS256"]


def claims(**more: Any) -> dict[str, Any]:
    return {"workspace_id": "ws_1", "exp": int(time.time()) + 60, **more}


def pem(key: Any) -> str:
    encoded: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


def workspace(settings: Settings, token: str) -> str:
    return asyncio.run(DashboardTokens(settings).workspace(token))


def refused(settings: Settings, token: str) -> bool:
    with pytest.raises(ApiError) as error:
        workspace(settings, token)
    return error.value.status == 401


def by_secret(**more: Any) -> Settings:
    return Settings(jwt_secret=SecretStr(SECRET), **more)


def test_token_signed_with_the_secret_is_accepted_for_its_workspace() -> None:
    assert workspace(by_secret(), jwt.encode(claims(), SECRET)) == "ws_1"


@pytest.mark.parametrize("algorithm", KEYS)
def test_token_signed_with_the_private_key_is_accepted_for_its_workspace(algorithm: str) -> None:
    settings = Settings(jwt_public_key=pem(KEYS[algorithm]))

    assert workspace(settings, jwt.encode(claims(), KEYS[algorithm], algorithm)) == "ws_1"


def test_workspace_claim_is_configurable() -> None:
    settings = by_secret(jwt_workspace_claim="tenant")

    assert workspace(settings, jwt.encode(claims(tenant="ws_9"), SECRET)) == "ws_9"


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 1},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"exp": [5]},
        {"exp": None},
        {"nbf": int(time.time()) + 3_600},
        {"workspace_id": None},
        {"workspace_id": ""},
        {"workspace_id": 5},
        {"workspace_id": ["ws_1"]},
        {"workspace_id": "ws\x00"},
        {"workspace_id": "\ud800"},
        {"workspace_id": "w" * 256},
        {"aud": "others"},
        {"aud": None},
        {"iss": "others"},
        {"iss": None},
    ],
)
def test_wrong_claims_are_refused(changed: dict[str, Any]) -> None:
    settings = by_secret(jwt_audience="dashboard", jwt_issuer="dravo")
    right = {**claims(), "aud": "dashboard", "iss": "dravo"}
    assert workspace(settings, signed({}, right)) == "ws_1"

    assert refused(settings, signed({}, {**right, **changed}))


def test_token_without_expiry_is_refused() -> None:
    assert refused(by_secret(), jwt.encode({"workspace_id": "ws_1"}, SECRET))


def test_clock_skew_within_the_leeway_is_accepted() -> None:
    now = int(time.time())

    assert workspace(by_secret(), jwt.encode(claims(exp=now - 3, nbf=now + 3), SECRET)) == "ws_1"


@pytest.mark.parametrize("changed", [{"exp": -13}, {"nbf": 20}, {"iat": 20}], ids=str)
def test_clock_skew_beyond_ten_seconds_is_refused(changed: dict[str, int]) -> None:
    (claim, seconds), *_ = changed.items()
    within = {"exp": -7}.get(claim, 9)

    def token(off: int) -> str:
        return jwt.encode(claims(**{claim: int(time.time()) + off}), SECRET)

    assert workspace(by_secret(), token(within)) == "ws_1"
    assert refused(by_secret(), token(seconds))


class _Clock(datetime):
    """PyJWT's clock, half a second after an instant."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_Clock":
        return cls.fromtimestamp(1_800_000_000.5, tz)


def test_leeway_is_ten_seconds_to_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwt.api_jwt.datetime", _Clock)
    nine, ten = (jwt.encode(claims(exp=1_800_000_000 - seconds), SECRET) for seconds in (9, 10))

    assert workspace(by_secret(), nine) == "ws_1"
    assert refused(by_secret(), ten)


def signed(header: dict[str, Any], body: Any, key: bytes = SECRET.encode()) -> str:
    head, payload = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", **header}, body)
    )
    signature = jwt.get_algorithm_by_name("HS256").sign(head + b"." + payload, key)
    return b".".join((head, payload, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()


@pytest.mark.parametrize(
    "token",
    [
        base64.urlsafe_b64encode(b'{"alg":"none"}').decode() + ".e30.",
        jwt.encode(claims(), "another-secret-of-the-tests-long-enough"),
        signed({"alg": "none"}, claims()),
        signed({"alg": "hs256"}, claims()),
        signed({"alg": ["HS256"]}, claims()),
        signed({"alg": None}, claims()),
        signed({"crit": ["exp"]}, claims()),
        signed({}, [claims()]),
        signed({}, "text"),
        signed({}, claims()) + "x",
        signed({}, claims()).rpartition(".")[0] + ".",
        "a.b.c",
        "..",
        "x",
        "e30." * 2_000,
        base64.urlsafe_b64encode(b'{"alg":' + b"[" * 3_000).decode() + ".e30.",
    ],
    ids=lambda _token: "token",  # they hold the time: every run of the tests must have the same names
)
def test_malicious_and_malformed_tokens_are_refused(token: str) -> None:
    assert refused(by_secret(), token)


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [
        ("HS512", Settings(jwt_secret=SecretStr(LONG))),
        ("RS512", Settings(jwt_public_key=pem(RSA_KEY))),
        ("PS256", Settings(jwt_public_key=pem(RSA_KEY))),
    ],
)
def test_algorithm_that_is_not_configured_is_refused_with_the_right_key(
    algorithm: str, settings: Settings
) -> None:
    assert refused(settings, jwt.encode(claims(), LONG if algorithm == "HS512" else RSA_KEY, algorithm))


def test_public_key_is_never_used_as_an_hmac_secret() -> None:
    public = pem(RSA_KEY)

    assert refused(Settings(jwt_public_key=public), signed({}, claims(), public.encode()))
    with pytest.raises(SettingsError, match="HS256"):
        DashboardTokens(Settings(jwt_public_key=public, jwt_algorithms=("HS256",)))


@pytest.mark.parametrize(
    "settings",
    [
        {"jwt_public_key": "no key"},
        {"jwt_public_key": pem(ec.generate_private_key(ec.SECP384R1()))},
        {"jwt_jwks_url": "file:///etc/passwd", "jwt_audience": "dashboard"},
        {"jwt_jwks_url": "https://", "jwt_audience": "dashboard"},
        {"jwt_secret": SecretStr(SECRET), "jwt_jwks_url": "https://a.test", "jwt_audience": "dashboard"},
        {"jwt_secret": SecretStr(SECRET), "jwt_algorithms": ("none",)},
    ],
)
def test_key_that_fits_no_algorithm_stops_the_start(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        DashboardTokens(Settings(**settings))


def test_dashboard_token_reads_the_rows_and_spends_the_rate_of_its_workspace(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_stub.refresh.throttle.BURST", 1)
    with support.api(database_url, jwt_secret=SECRET, refresh_wait_seconds=0) as api:
        api.rows.publication()
        first, other = (
            {"Authorization": f"Bearer {jwt.encode(claims(workspace_id=one), SECRET)}"}
            for one in ("ws_1", "ws_2")
        )

        assert [api.get(headers=one).json()["total"] for one in (first, other)] == [1, 0]
        forced = [api.get(params={"refresh": "1"}, headers=one).status_code for one in (first, first, other)]
        assert forced == [200, 429, 200]


def test_credential_longer_than_8192_characters_is_refused(database_url: str) -> None:
    with support.api(database_url, jwt_secret=SECRET) as api:
        tokens = [jwt.encode(claims(padding="x" * length), SECRET) for length in (10, 8_192)]
        answers = [api.get(headers={"Authorization": f"Bearer {token}"}) for token in tokens]

        assert [answer.status_code for answer in answers] == [200, 401]


def test_workspace_of_255_characters_is_accepted() -> None:
    assert workspace(by_secret(), jwt.encode(claims(workspace_id="w" * 255), SECRET)) == "w" * 255


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), False),
        (by_secret(), True),
        (Settings(jwt_public_key=pem(RSA_KEY)), True),
        (Settings(jwt_jwks_url="https://issuer.example/"), True),
    ],
)
def test_any_key_configures_dashboard_tokens(settings: Settings, *, expected: bool) -> None:
    assert configured(settings) is expected
