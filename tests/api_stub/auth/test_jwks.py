"""Keys of an issuer: served from memory when the issuer is silent, fetched seldom, withdrawn in time."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import jwt
import pytest

from api_stub.auth import jwks
from api_stub.auth.dashboard_tokens import DashboardTokens
from api_stub.http.errors import ApiError
from shared.settings import Settings, SettingsError
from tests import issuer as issuers
from tests.api_stub import support
from tests.api_stub.support import POSTS
from tests.issuer import AUDIENCE, KEYS, Issuer, published, token


@pytest.fixture(autouse=True)
def _loaded_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests wait for an issuer that answers, however busy this machine is."""
    monkeypatch.setattr(jwks, "WAIT_SECONDS", 20.0)
    monkeypatch.setattr(jwks, "FETCH_SECONDS", 20.0)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """Run an issuer."""
    with issuers.issuer() as running:
        yield running


@dataclass
class Clock:
    """The process's clock, advanced by the test."""

    now: float = 1_000.0

    def pass_(self, duration: timedelta) -> None:
        """Advance the clock."""
        self.now += duration.total_seconds() + 0.001


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock that the key set uses."""
    made = Clock()
    monkeypatch.setattr("api_stub.auth.jwks.monotonic", lambda: made.now)
    return made


def tokens_of(issuer: Issuer) -> DashboardTokens:
    return DashboardTokens(Settings(jwt_jwks_url=issuer.url, jwt_audience=AUDIENCE))


async def accepted(tokens: DashboardTokens, given: str) -> bool:
    try:
        return await tokens.workspace(given) == "ws_1"
    except ApiError:
        return False


@pytest.mark.parametrize("algorithm", KEYS)
def test_key_is_found_by_its_id_at_the_issuer(issuer: Issuer, algorithm: str) -> None:
    issuer.keys = [published(one, f"key of {one}") for one in KEYS]

    assert asyncio.run(accepted(tokens_of(issuer), token(f"key of {algorithm}", algorithm)))


def test_jwks_url_without_audience_stops_the_start(issuer: Issuer) -> None:
    with pytest.raises(SettingsError, match="DRAVO_JWT_AUDIENCE"):
        DashboardTokens(Settings(jwt_jwks_url=issuer.url))


def test_token_for_another_audience_is_refused(issuer: Issuer) -> None:
    issuer.publish("k")

    assert not asyncio.run(accepted(tokens_of(issuer), token("k", aud="another application")))


def test_symmetric_key_of_the_issuer_is_ignored(issuer: Issuer) -> None:
    secret = b"a-secret-of-the-tests-with-enough-bytes"
    issuer.keys = [{"kty": "oct", "k": base64.urlsafe_b64encode(secret).decode(), "kid": "k"}]
    claims = {"workspace_id": "ws_1", "exp": int(time.time()) + 60, "aud": AUDIENCE}

    assert not asyncio.run(accepted(tokens_of(issuer), jwt.encode(claims, secret, headers={"kid": "k"})))


def test_unusable_key_does_not_affect_the_others(issuer: Issuer) -> None:
    broken = [{"kty": "EC", "crv": "P-256", "kid": "a"}, {"kty": "RSA", "n": 5}, 5, {"kty": ["EC"]}]
    issuer.keys = [*broken, published("ES256", "k")]  # type: ignore[list-item]  # what no issuer should send

    assert asyncio.run(accepted(tokens_of(issuer), token("k")))


def test_tokens_are_refused_while_no_key_was_ever_fetched() -> None:
    tokens = DashboardTokens(Settings(jwt_jwks_url="http://127.0.0.1:1/", jwt_audience=AUDIENCE))

    assert not asyncio.run(accepted(tokens, token("k")))


def test_unknown_key_ids_cause_one_fetch_per_interval(issuer: Issuer, clock: Clock) -> None:
    issuer.publish("old")
    tokens = tokens_of(issuer)

    async def scenario() -> None:
        assert [await accepted(tokens, token("old")) for _ in range(3)] == [True] * 3
        assert issuer.requests == 1
        assert not any([await accepted(tokens, token(f"invented {n}")) for n in range(20)])
        assert issuer.requests == 1
        clock.pass_(timedelta(seconds=5))
        assert not any(await asyncio.gather(*(accepted(tokens, token(f"new {n}")) for n in range(20))))
        assert issuer.requests == 2

    asyncio.run(scenario())


def test_new_key_is_accepted_with_one_fetch(issuer: Issuer, clock: Clock) -> None:
    issuer.publish("old")
    tokens = tokens_of(issuer)

    async def scenario() -> None:
        assert await accepted(tokens, token("old"))
        issuer.publish("old", "new")
        clock.pass_(timedelta(seconds=5))
        assert await accepted(tokens, token("new"))
        clock.pass_(timedelta(seconds=5))
        assert await accepted(tokens, token("old"))
        assert issuer.requests == 2, "a known key causes no fetch"

    asyncio.run(scenario())


def test_unpublished_key_id_is_refused_without_a_fetch_for_a_while(issuer: Issuer, clock: Clock) -> None:
    issuer.publish("old")
    tokens = tokens_of(issuer)

    async def scenario() -> None:
        assert not await accepted(tokens, token("late"))
        issuer.publish("old", "late")
        clock.pass_(timedelta(seconds=5))
        assert not await accepted(tokens, token("late"))
        assert issuer.requests == 1
        clock.pass_(timedelta(seconds=30))
        assert await accepted(tokens, token("late"))
        assert issuer.requests == 2

    asyncio.run(scenario())


def test_cached_keys_serve_at_once_while_the_issuer_is_silent(
    issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.publish("k")
    tokens = tokens_of(issuer)

    async def scenario() -> None:
        assert await accepted(tokens, token("k"))
        for name in ("WAIT_SECONDS", "FETCH_SECONDS"):
            monkeypatch.setattr(jwks, name, 60.0)
        issuer.answers.clear()
        clock.pass_(jwks.FRESH_FOR)
        invented = [asyncio.create_task(accepted(tokens, token(f"invented {n}"))) for n in range(150)]
        await asyncio.sleep(0)
        for _ in range(20):
            async with asyncio.timeout(30):
                assert await accepted(tokens, token("k"))
        refused_at_once = [one for one in invented if one.done()]
        assert len(refused_at_once) == 150 - jwks.MAX_WAITING
        issuer.answers.set()
        assert not any(await asyncio.gather(*invented))
        assert issuer.requests <= 2

    asyncio.run(scenario())


def test_cached_keys_expire_while_the_issuer_is_silent(
    issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.publish("k")
    tokens = tokens_of(issuer)

    async def scenario() -> None:
        assert await accepted(tokens, token("k"))
        monkeypatch.setattr(jwks, "WAIT_SECONDS", 0.05)
        issuer.answers.clear()
        clock.pass_(timedelta(hours=1))
        async with asyncio.timeout(10):
            assert not await accepted(tokens, token("k"))
        issuer.answers.set()
        monkeypatch.setattr(jwks, "WAIT_SECONDS", 20.0)
        clock.pass_(timedelta(seconds=5))
        assert await accepted(tokens, token("k")), "a fetch that brought nothing proves no id unknown"

    asyncio.run(scenario())


def test_withdrawn_key_is_refused_after_the_next_fetch_in_the_background(
    database_url: str, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "FRESH_FOR", timedelta(milliseconds=20))
    monkeypatch.setattr(jwks, "FETCH_AGAIN_AFTER", timedelta(milliseconds=1))
    issuer.publish("withdrawn", "remaining")
    with support.api(database_url, jwt_jwks_url=issuer.url, jwt_audience=AUDIENCE) as api:

        def status(key_id: str) -> int:
            return api.get(POSTS, headers={"Authorization": f"Bearer {token(key_id)}"}).status_code

        assert [status("withdrawn"), status("remaining")] == [200, 200]
        issuer.publish("remaining")
        deadline = time.monotonic() + 30
        while status("withdrawn") == 200:
            assert time.monotonic() < deadline
        assert [status("withdrawn"), status("remaining")] == [401, 200]


def test_key_id_longer_than_255_characters_is_refused_without_a_fetch(issuer: Issuer) -> None:
    issuer.publish("k" * 256)

    assert not asyncio.run(accepted(tokens_of(issuer), token("k" * 256)))
    assert issuer.requests == 0


@pytest.mark.parametrize(
    ("kinds", "usable"), [(["ES256"], True), (["RS256", "ES256"], True), (["ES256", "ES256"], False)]
)
def test_token_without_a_key_id_is_accepted_while_one_key_fits(
    issuer: Issuer, kinds: list[str], *, usable: bool
) -> None:
    issuer.keys = [published(kind, f"key {number}") for number, kind in enumerate(kinds)]
    claims = {"workspace_id": "ws_1", "exp": int(time.time()) + 60, "aud": AUDIENCE}
    given = jwt.encode(claims, KEYS["ES256"], "ES256")

    assert asyncio.run(accepted(tokens_of(issuer), given)) is usable


def test_invented_key_ids_take_a_bounded_memory() -> None:
    key_set = jwks.KeySet("http://127.0.0.1:1/")
    for number in range(jwks._MAX_UNKNOWN + 5):
        key_set._remember_unknown(f"invented {number}", "ES256")

    assert len(key_set._unknown) == jwks._MAX_UNKNOWN
    assert key_set._is_unknown(f"invented {number}", "ES256"), "the oldest are forgotten"


def test_first_hundred_keys_of_a_document_are_used(issuer: Issuer) -> None:
    issuer.publish(*(f"key {number}" for number in range(101)))

    async def check() -> None:
        tokens = tokens_of(issuer)
        assert await accepted(tokens, token("key 99"))
        assert not await accepted(tokens, token("key 100"))

    asyncio.run(check())


@pytest.mark.parametrize(
    "url", ["issuer.example", "ftp://issuer.example/", "https:///jwks.json", "https://[issuer]/", ""]
)
def test_address_that_is_not_http_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="DRAVO_JWT_JWKS_URL"):
        jwks.KeySet(url)


@pytest.mark.parametrize(
    ("algorithm", "changes", "usable"),
    [
        ("RS256", {}, True),
        ("ES256", {"use": None}, False),
        ("ES256", {"use": "enc"}, False),
        ("ES256", {"alg": "ES256"}, True),
        ("ES256", {"alg": "RS256"}, False),
        ("ES256", {"kty": "OKP"}, False),
        ("ES256", {"crv": "P-384"}, False),
        ("EdDSA", {"crv": "X25519"}, False),
    ],
)
def test_key_serves_the_algorithm_of_its_kind_alone(
    algorithm: str, changes: dict[str, str | None], *, usable: bool
) -> None:
    document = json.dumps({"keys": [published(algorithm, "k") | changes]}).encode()

    assert [(key.key_id, key.algorithm) for key in jwks._parse(document)] == [("k", algorithm)] * usable


@pytest.mark.parametrize("document", [b"[]", b"{}", b'{"keys": {}}', b"no json"])
def test_document_without_a_list_of_keys_is_no_document(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"JWKS|Expecting value"):
        jwks._parse(document)
