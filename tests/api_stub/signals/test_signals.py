"""Signals of platforms: verified, applied once by the usual transitions, and never trusted alone."""

import asyncio
import base64
import hashlib
import hmac
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr
from sqlalchemy import Engine

from api_stub.signals import endpoint
from deploy.simulators import signals
from deploy.simulators.signals import SignedRequest
from shared.accounts.vault import Vault, new_key
from shared.ingestion.importer import import_accounts
from tests.api_stub import support
from tests.api_stub.signals.platforms import LINKEDIN, META, SETTINGS, TIKTOK, X, due, send, state
from tests.api_stub.support import Api

REVOKED = {
    "tiktok": lambda: signals.tiktok(TIKTOK, "authorization.removed", "owner_tiktok", {"reason": 2}),
    "x": lambda: signals.x(X, "oauth.revoke", {"user_id": "owner_x"}, "uuid-1"),
    "facebook": lambda: signals.meta_callback(META, "facebook", "deauthorize", "user_facebook"),
    "instagram": lambda: signals.meta_callback(META, "instagram", "deauthorize", "user_instagram"),
}
MOVED = {
    "x": lambda: signals.x(X, "post.delete", {"id": "there_x", "author_id": "owner_x"}, "uuid-2"),
    "linkedin": lambda: signals.linkedin(
        LINKEDIN,
        [
            {
                "notificationId": 7,
                "action": "LIKE",
                "organizationalEntity": "urn:li:organization:owner_linkedin",
                "sourcePost": "there_linkedin",
            }
        ],
    ),
    "facebook": lambda: signals.meta(
        META, "facebook", "owner_facebook", "feed", {"verb": "remove", "post_id": "there_facebook"}
    ),
}


@pytest.mark.parametrize("platform", REVOKED)
def test_withdrawn_authorization_disconnects_the_account_and_no_other(api: Api, platform: str) -> None:
    assert send(api, REVOKED[platform]()).status_code == 200

    account_state, token, sentence = state(api, f"acc_{platform}")
    assert (account_state, token, "connect the account again" in sentence) == ("disconnected", None, True)
    others = api.rows.execute("SELECT count(*) AS n FROM accounts WHERE state = 'active'")[0].n
    assert others == 5


@pytest.mark.parametrize("platform", MOVED)
def test_hint_about_a_post_makes_it_due_and_stores_nothing(api: Api, platform: str) -> None:
    before = api.rows.execute("SELECT metrics FROM post_analytics ORDER BY publication_id")

    assert send(api, MOVED[platform]()).status_code == 200

    assert [post for post in ("instagram", *MOVED) if due(api, post)] == [platform]
    assert api.rows.execute("SELECT metrics FROM post_analytics ORDER BY publication_id") == before
    assert api.rows.execute("SELECT subject FROM signals") == [(None,)]


def test_hint_of_growth_is_weighed_by_the_freshness_rule_and_a_removal_is_not(api: Api) -> None:
    stored = {"policy": "adaptive", "age": 200.0, "value": 1000.0, "half_life": 24.3, "pressure": 1.0}
    api.rows.execute("UPDATE post_analytics SET freshness = :stored", stored=Jsonb(stored))
    api.rows.execute("UPDATE refresh_state SET next_run_at = now() + interval '20 days', reason = 'stale'")
    before = api.rows.execute("SELECT publication_id, next_run_at FROM refresh_state")

    assert send(api, MOVED["linkedin"]()).status_code == 200

    after = dict(api.rows.execute("SELECT publication_id, next_run_at FROM refresh_state"))
    (moved,) = (one for one, next_run_at in before if after[one] != next_run_at)
    assert datetime.now(UTC) < after[moved] < dict(before)[moved]
    assert not due(api, "linkedin")
    assert send(api, MOVED["x"]()).status_code == 200
    assert due(api, "x")


def test_reads_bring_rows_forward_only_where_the_settings_give_them_a_precision(api: Api) -> None:
    stored = {"policy": "adaptive", "age": 200.0, "value": 1000.0, "half_life": 24.3, "pressure": 1.0}
    api.rows.account("acc_2", "ws_2", platform="instagram")
    api.rows.publication("acc_2")
    other = {"Authorization": f"Bearer {api.rows.key('ws_2')}"}
    api.rows.execute("UPDATE post_analytics SET freshness = :stored", stored=Jsonb(stored))
    receiver = api.service.receiver
    for precision, moved in (("", False), ("read=0.3", True)):
        api.rows.execute(
            "UPDATE refresh_state SET next_run_at = now() + interval '20 days', reason = 'stale'"
        )
        receiver.settings = receiver.settings.model_copy(update={"signal_precision": precision})
        api.posts()
        api.get(headers=other)
        api.run(receiver.report_reads(api.run(api.service.read_counter.save())))
        rows = api.rows.execute("SELECT next_run_at - now() FROM refresh_state")
        assert [wait < timedelta(days=10) for (wait,) in rows] == [moved] * 6


@pytest.mark.parametrize("make", [*REVOKED.values(), *MOVED.values()])
@pytest.mark.parametrize("how", ["forged", "unsigned"])
def test_forged_signal_is_refused_and_changes_nothing(api: Api, make: Any, how: str) -> None:
    request: SignedRequest = make()
    if how == "unsigned" and "signed_request" in request.body.decode():
        request = SignedRequest(request.path, request.headers, b"signed_request=e30.e30")

    assert send(api, request.forged() if how == "forged" else request.unsigned()).status_code == 401

    assert api.rows.execute("SELECT FROM signals") == []
    assert not any(due(api, post) for post in MOVED)


def test_signal_is_applied_once(api: Api) -> None:
    request = MOVED["x"]()
    send(api, request)
    later = datetime.now(UTC) + timedelta(hours=5)
    api.rows.execute("UPDATE refresh_state SET next_run_at = :later, reason = 'stale'", later=later)

    assert send(api, request).status_code == 200

    assert not due(api, "x")


def test_late_withdrawal_does_not_disconnect_an_account_that_was_connected_since(api: Api) -> None:
    old = signals.meta_callback(
        META, "facebook", "deauthorize", "user_facebook", issued_at=time.time() - 10 * 86_400
    )
    erase = signals.meta_callback(
        META, "facebook", "data-deletion", "user_facebook", issued_at=time.time() - 10 * 86_400
    )

    assert [send(api, one).status_code for one in (old, erase)] == [200, 200]

    assert state(api, "acc_facebook")[:2] == ("active", "sealed")
    assert api.rows.execute("SELECT FROM erasures") == []


def reconnect(api: Api, how: str) -> None:
    """Connect the active account of TikTok again, as its owner does after having removed the app there."""
    token = "token-of-the-new-connection"
    if how == "import":
        row = {"platform": "tiktok", "platform_account_id": "owner_tiktok", "workspace_id": "ws_1"}
        with api.rows.engine.begin() as connection:
            account = row | {"account_id": "acc_tiktok", "access_token": token}
            assert not import_accounts(connection, Vault([SecretStr(new_key())]), [account]).refused
        return
    event = {
        "event_id": "evt_1",
        "type": "account.reconnected",
        "data": {"account_id": "acc_tiktok"} | ({"access_token": token} if "with a" in how else {}),
    }
    headers = {"Authorization": f"Bearer {SETTINGS['internal_token']}"}
    assert api.run(api.client.post("/internal/events", json=event, headers=headers)).json()["accepted"] == 1


@pytest.mark.parametrize("how", ["event with a token", "event without a token", "import"])
def test_late_withdrawal_spares_an_active_account_that_was_connected_again_since(api: Api, how: str) -> None:
    before = time.time() - 60
    reconnect(api, how)

    for reason, at in ((1, before), (2, time.time() + 60)):
        send(
            api,
            signals.tiktok(
                TIKTOK, "authorization.removed", "owner_tiktok", {"reason": reason}, happened_at=at
            ),
        )
        assert state(api, "acc_tiktok")[0] == ("active" if reason == 1 else "disconnected")


@pytest.mark.parametrize("seconds", [-301, 301])
def test_replayed_webhook_of_tiktok_is_refused_after_its_time(api: Api, seconds: int) -> None:
    request = signals.tiktok(
        TIKTOK, "authorization.removed", "owner_tiktok", {"reason": 1}, at=time.time() + seconds
    )

    assert send(api, request).status_code == 401
    assert state(api, "acc_tiktok")[0] == "active"


def test_publish_id_becomes_the_public_id_at_once_and_the_post_is_due(api: Api) -> None:
    one = api.rows.publication(
        "acc_tiktok",
        post_id="processing",
        platform_post_id=None,
        publish_id="v_pub_1",
        state={"reason": "processing", "next_run_at": datetime.now(UTC) + timedelta(hours=1)},
    )
    content = {"publish_id": "v_pub_1", "publish_type": "DIRECT_PUBLISH", "post_id": "73000"}

    send(api, signals.tiktok(TIKTOK, "post.publish.publicly_available", "owner_tiktok", content))
    send(
        api,
        signals.tiktok(
            TIKTOK, "post.publish.publicly_available", "owner_tiktok", content | {"post_id": "74"}
        ),
    )

    row = api.rows.execute("SELECT platform_post_id FROM publications WHERE id = :id", id=one)[0]
    assert (row.platform_post_id, api.rows.state(one).reason, due(api, "processing")) == (
        "73000",
        "new",
        True,
    )


@pytest.mark.parametrize(("reach", "stored"), [(41, {"views": 1, "reach": 41}), (-1, {"views": 1})])
def test_last_numbers_of_a_story_are_stored_and_below_five_is_no_count(
    api: Api, reach: int, stored: dict[str, int]
) -> None:
    value = {"media_id": "there_instagram", "reach": reach, "impressions": 60, "replies": -1}

    send(api, signals.meta(META, "instagram", "owner_instagram", "story_insights", value))

    (item,) = api.posts(platform="instagram")["items"]
    assert item["metrics"] == stored
    history = api.rows.execute("SELECT metrics FROM snapshots")
    assert [row.metrics for row in history] == ([stored] if reach > 0 else [])


def test_signal_that_cannot_be_applied_holds_no_other_up(api: Api) -> None:
    api.rows.execute(
        "INSERT INTO signals (signal_id, platform, kind, subject, received_at)"
        " VALUES ('old', 'x', 'revoked', '{}', now() - interval '1 hour')"
    )

    send(api, REVOKED["tiktok"]())

    waiting = api.rows.execute("SELECT signal_id FROM signals WHERE processed_at IS NULL")
    assert [tuple(row) for row in waiting] == [("old",)]


def test_handshakes(api: Api) -> None:
    def get(platform: str, **query: str) -> httpx.Response:
        return api.run(api.client.get(f"/platforms/{platform}/webhook", params=query))

    of_x, of_linkedin = (hmac.new(secret.encode(), b"c", hashlib.sha256) for secret in (X, LINKEDIN))
    assert get("x", crc_token="c").json() == {
        "response_token": f"sha256={base64.b64encode(of_x.digest()).decode()}"
    }
    assert get("linkedin", challengeCode="c").json()["challengeResponse"] == of_linkedin.hexdigest()
    hub = {"hub.mode": "subscribe", "hub.challenge": "42"}
    assert get("instagram", **hub, **{"hub.verify_token": "verify-me"}).text == "42"
    assert get("facebook", **hub, **{"hub.verify_token": "wrong"}).status_code == 401
    assert get("instagram", **hub | {"hub.mode": "other"}).status_code == 404
    assert get("tiktok").status_code == 404
    for path in ("deauthorize", "data-deletion"):
        assert api.run(api.client.post(f"/platforms/x/{path}")).status_code == 404


@pytest.mark.parametrize("platform", ["x", "tiktok", "linkedin", "facebook", "mastodon"])
def test_signals_are_off_without_a_secret(database_url: str, platform: str) -> None:
    with support.api(database_url) as running:
        path = f"/platforms/{platform}/webhook"
        assert running.run(running.client.post(path, content=b"{}")).status_code == 404
        assert running.run(running.client.get(path, params={"crc_token": "c"})).status_code == 404


def test_unknown_type_is_acknowledged_and_stores_nothing(api: Api) -> None:
    requests = (
        signals.x(X, "dm.received", {"id": "1"}, "uuid-3"),
        signals.tiktok(TIKTOK, "video.publish.completed", "owner_tiktok", {"share_id": "1"}),
        signals.meta(META, "facebook", "owner_facebook", "mention", {"post_id": "1"}),
        signals.linkedin(LINKEDIN, [{"notificationId": 1}]),
    )

    assert [send(api, one).status_code for one in requests] == [200] * 4
    assert api.rows.execute("SELECT FROM signals") == []


def test_bodies_are_bounded_in_size_and_rate(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    request, other = MOVED["x"](), MOVED["facebook"]()
    large = SignedRequest(other.path, other.headers, b" " * (endpoint.MAX_BODY_BYTES + 1))
    assert send(api, large).status_code == 413

    monkeypatch.setattr(endpoint, "BURST", 3)
    monkeypatch.setattr(endpoint, "PER_SECOND", 0.001)
    answers = [send(api, request.unsigned()).status_code for _ in range(6)]
    assert answers == [401] * 3 + [429] * 3


def test_service_ends_after_the_thread_that_applies_signals(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, release, ended = threading.Event(), threading.Event(), threading.Event()

    def apply(_: Engine, _settings: object) -> None:
        started.set()
        release.wait(30)
        ended.set()

    monkeypatch.setattr(endpoint, "process_all", apply)
    with support.api(database_url, **SETTINGS) as api:
        send(api, signals.x(X, "oauth.revoke", {"user_id": "owner_x"}, "uuid-9"))
        assert api.run(asyncio.to_thread(started.wait, 10))
        threading.Timer(0.3, release.set).start()

    assert ended.is_set()
