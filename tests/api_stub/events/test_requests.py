"""Requests to the endpoint of events: who may send, how much, and what is refused as a whole."""

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api_stub.service import _sealer
from shared.accounts.vault import SealingKey, Vault, new_key
from shared.settings import Settings
from tests.api_stub import support
from tests.api_stub.events.sent import PUBLISHED, accepted, event, send
from tests.api_stub.support import Api


def test_five_hundred_events_are_one_batch_and_one_more_is_refused(api: Api) -> None:
    batch = [
        event(
            f"evt_{n}", "publication.published", {**PUBLISHED, "post_id": f"p{n}", "platform_post_id": f"{n}"}
        )
        for n in range(501)
    ]

    assert send(api, batch).json()["error"]["code"] == "too_many_events"
    assert accepted(api, *batch[:500])["accepted"] == 500
    assert api.posts()["total"] == 500


@pytest.mark.parametrize("token", ["wrong", "", "internal-token-of-the-test"])
def test_only_the_service_token_is_accepted(api: Api, token: str) -> None:
    assert send(api, event("evt_1", "publication.deleted", {"post_id": "p"}), token).status_code == 401


def test_api_key_is_refused(api: Api) -> None:
    assert send(api, [], api.rows.key()).status_code == 401


def test_every_request_is_refused_without_a_configured_service_token(database_url: str) -> None:
    with support.api(database_url) as running:
        assert send(running, []).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"5",
        b"null",
        b"\xff",
        b'{"a": NaN}',
        b'{"event_id": "e", "type": "publication.deleted", "data": {"post_id": "p", "x": NaN}}',
        b"[" * 100_000,
        b'"text"',
        b"[1" + b"0" * 5_000 + b"]",
    ],
)
def test_body_without_events_is_refused(api: Api, body: bytes) -> None:
    answer = send(api, body)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in {"invalid_body", "events_refused"}


def test_too_large_body_is_refused(api: Api) -> None:
    assert send(api, b" " * (16 * 1024 * 1024 + 1)).status_code == 413


def test_missing_schema_answers_503_and_commits_nothing(api: Api) -> None:
    api.rows.execute("ALTER TABLE events_seen RENAME TO elsewhere")

    answer = send(api, event("evt_1", "publication.published", PUBLISHED))

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.json()["error"]["request_id"] == answer.headers["X-Request-ID"]
    assert api.posts()["total"] == 0


def test_busy_service_answers_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_events: object) -> None:
        raise PoolTimeoutError

    monkeypatch.setattr(api.service.event_processor, "process", busy)

    answer = send(api, event("evt_1", "publication.deleted", {"post_id": "p"}))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


def test_key_that_opens_nothing_is_preferred() -> None:
    secret = SecretStr(new_key())
    vault = Vault([secret])
    settings = Settings(sealing_key=vault.sealing_key, secret_keys=(secret,))

    assert isinstance(_sealer(settings), SealingKey)
    assert isinstance(_sealer(Settings(secret_keys=(secret,))), Vault)
    assert _sealer(Settings()) is None
