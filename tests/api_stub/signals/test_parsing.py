"""What each platform's signed body says, as tables, and which bodies are forged."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from api_stub.signals import linkedin, meta, tiktok, x
from api_stub.signals.signal import (
    ForgedError,
    Signal,
    SignalKind,
    at_second,
    body_id,
    digest,
    objects,
    text_of,
)

SECRET = "secret-of-the-application"
SECONDS = 1_790_000_000
AT = datetime.fromtimestamp(SECONDS, UTC)
IGNORED, MOVED, REVOKED = SignalKind.IGNORED, SignalKind.MOVED, SignalKind.REVOKED


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def said(signals: list[Signal]) -> list[tuple[SignalKind, datetime | None, dict[str, Any]]]:
    """Return kinds, instants and subjects; every signal has an id of its own."""
    assert len({one.signal_id for one in signals}) == len(signals)
    return [(one.kind, one.at, dict(one.subject)) for one in signals]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[("7", "7"), (7, "7"), (0, "0"), ("a" * 255, "a" * 255)],
        *[("", None), ("a" * 256, None), (True, None), (1.5, None), (None, None), ("a\n", None), ([], None)],
    ],
)
def test_id_is_a_short_printable_text_or_a_whole_number(value: object, text: str | None) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        *[
            (SECONDS, AT),
            (SECONDS + 0.5, AT + timedelta(seconds=0.5)),
            (1, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ],
        *[(0, None), (-1, None), (4_102_444_800, None), (True, None), ("5", None), (None, None)],
        (4_102_444_799, datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_instant_is_a_number_of_seconds_of_this_century(value: object, instant: datetime | None) -> None:
    assert at_second(value) == instant


def test_id_of_a_body_is_its_own() -> None:
    assert len({body_id(*one) for one in (("x", b"a"), ("x", b"b"), ("meta", b"a"), ("x", b"a", 1))}) == 4
    assert body_id("x", b"a") == body_id("x", b"a")


def test_only_objects_of_a_list_count() -> None:
    assert objects([{"a": 1}, 7, None, {}]) == [{"a": 1}, {}]
    assert objects({"a": 1}) == objects(None) == []


def of_meta(changes: object, **entry: Any) -> list[tuple[SignalKind, datetime | None, dict[str, Any]]]:
    body = encoded({"entry": [{"id": "page", "time": SECONDS, "changes": changes, **entry}]})
    headers = {"x-hub-signature-256": f"sha256={digest(SECRET, body).hex()}"}
    return said(meta.parse_webhook(SECRET, "facebook", headers, body))


def story(**value: object) -> dict[str, object]:
    return {"field": "story_insights", "value": {"media_id": "m", **value}}


def feed(verb: object, **value: object) -> dict[str, object]:
    return {"field": "feed", "value": {"post_id": "p", "verb": verb, **value}}


ENDED = {"user": "page", "post": "m"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (story(reach=9), (SignalKind.STORY_ENDED, AT, {**ENDED, "metrics": {"reach": 9}})),
        (story(reach=0), (SignalKind.STORY_ENDED, AT, {**ENDED, "metrics": {"reach": 0}})),
        (story(reach=-1), (SignalKind.STORY_ENDED, AT, {**ENDED, "metrics": {}})),
        (story(reach=True), (SignalKind.STORY_ENDED, AT, {**ENDED, "metrics": {}})),
        (story(reach="9", impressions=4), (SignalKind.STORY_ENDED, AT, {**ENDED, "metrics": {}})),
        (story(media_id=None, reach=9), (IGNORED, None, {})),
        (feed("remove"), (MOVED, AT, {"user": "page", "post": "p"})),
        (feed("delete"), (MOVED, AT, {"user": "page", "post": "p"})),
        (feed("add"), (IGNORED, None, {})),
        (feed("remove", post_id=""), (IGNORED, None, {})),
        ({**feed("remove"), "field": "mentions"}, (IGNORED, None, {})),
        ({"field": "feed", "value": "text"}, (IGNORED, None, {})),
    ],
)
def test_change_at_meta_is_the_end_of_a_story_or_a_removed_post(change: object, expected: Any) -> None:
    assert of_meta([change]) == [expected]


def test_changes_at_meta_need_an_owner_and_are_bounded() -> None:
    assert of_meta([feed("remove")], id=None) == [(IGNORED, None, {})]
    assert of_meta([feed("remove")], time="soon")[0][1] is None
    assert len(of_meta([feed("remove")] * 1_001)) == 1_000
    assert of_meta(None) == []


def callback(payload: object, *, secret: str = SECRET, **form: str) -> Signal:
    packed = base64.urlsafe_b64encode(encoded(payload)).rstrip(b"=").decode()
    signature = base64.urlsafe_b64encode(digest(secret, packed.encode())).rstrip(b"=").decode()
    body = urlencode({"signed_request": f"{signature}.{packed}", **form}).encode()
    return meta.parse_callback(SECRET, "instagram", SignalKind.DELETION, body)


REQUEST = {"user_id": "u", "algorithm": "HMAC-SHA256", "issued_at": SECONDS}


def test_callback_of_meta_names_its_user() -> None:
    signal = callback(REQUEST)

    assert (signal.kind, signal.at, signal.subject["user"]) == (SignalKind.DELETION, AT, "u")
    assert callback({**REQUEST, "user_id": 7}).subject["user"] == "7"


@pytest.mark.parametrize(
    "payload", [{**REQUEST, "user_id": None}, {**REQUEST, "algorithm": "none"}, {"user_id": "u"}, [], "text"]
)
def test_callback_without_a_user_or_with_another_algorithm_is_forged(payload: object) -> None:
    with pytest.raises(ForgedError):
        callback(payload)


@pytest.mark.parametrize(
    "body",
    [b"", b"signed_request=a", b"signed_request=a.b.c", b"signed_request=%21.%21", b"\xff=1", b"other=a.b"],
)
def test_callback_without_a_signed_request_is_forged(body: bytes) -> None:
    with pytest.raises(ForgedError):
        meta.parse_callback(SECRET, "instagram", SignalKind.REVOKED, body)


def test_callback_signed_with_another_secret_is_forged() -> None:
    with pytest.raises(ForgedError):
        callback(REQUEST, secret="another")


def of_tiktok(event: object, *, off: int = 0, secret: str = SECRET) -> list[Signal]:
    body, sent = encoded(event), SECONDS + off
    signature = digest(secret, f"{sent}.".encode() + body).hex()
    return tiktok.parse(SECRET, {"tiktok-signature": f"t={sent},s={signature}"}, body, AT)


def event(name: str, content: object, **fields: object) -> dict[str, object]:
    return {"event": name, "user_openid": "u", "create_time": SECONDS, "content": content, **fields}


PUBLISHED = "post.publish.publicly_available"
IDS = {"publish_id": "v", "post_id": "7"}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (
            event(PUBLISHED, json.dumps(IDS)),
            (SignalKind.PUBLISHED, AT, {"user": "u", "publish_id": "v", "post": "7"}),
        ),
        (event(PUBLISHED, IDS), (SignalKind.PUBLISHED, AT, {"user": "u", "publish_id": "v", "post": "7"})),
        (event(PUBLISHED, {"publish_id": "v"}), (MOVED, AT, {"user": "u", "publish_id": "v", "post": None})),
        (event("post.publish.complete", IDS), (MOVED, AT, {"user": "u", "publish_id": "v", "post": "7"})),
        (event("post.publish.failed", IDS), (MOVED, AT, {"user": "u", "publish_id": "v", "post": "7"})),
        (
            event("post.publish.no_longer_publicaly_available", IDS),
            (MOVED, AT, {"user": "u", "publish_id": "v", "post": "7"}),
        ),
        (event("video.upload.failed", IDS), (IGNORED, None, {})),
        (event(PUBLISHED, {"post_id": "7"}), (IGNORED, None, {})),
        (event(PUBLISHED, "no JSON"), (IGNORED, None, {})),
        (event(PUBLISHED, "[1]"), (IGNORED, None, {})),
        (event(PUBLISHED, IDS, user_openid=None), (IGNORED, None, {})),
        (event("authorization.removed", {"reason": 1}, user_openid=""), (IGNORED, None, {})),
    ],
)
def test_event_at_tiktok_is_about_a_post_that_was_uploaded(sent: object, expected: Any) -> None:
    assert said(of_tiktok(sent)) == [expected]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        *[(1, "disconnected the app"), (2, "deleted the TikTok account"), (3, "age"), (4, "banned")],
        *[(5, "by us"), (0, "ended the authorization"), (99, "ended the authorization"), ("1", "ended the")],
    ],
)
def test_removed_authorization_at_tiktok_says_why(reason: object, words: str) -> None:
    ((kind, at, subject),) = said(of_tiktok(event("authorization.removed", {"reason": reason})))

    assert (kind, at, subject["user"]) == (REVOKED, AT, "u")
    assert words in subject["sentence"]


@pytest.mark.parametrize("off", [-300, 300])
def test_signature_of_tiktok_holds_for_five_minutes(off: int) -> None:
    assert of_tiktok(event(PUBLISHED, IDS), off=off)
    with pytest.raises(ForgedError):
        of_tiktok(event(PUBLISHED, IDS), off=off + (1 if off > 0 else -1))


@pytest.mark.parametrize("header", ["", "t=1", "s=" + "0" * 64, "t=1,s=" + "0" * 63, "t=1,s=" + "0" * 64])
def test_body_of_tiktok_without_its_signature_is_forged(header: str) -> None:
    with pytest.raises(ForgedError):
        tiktok.parse(SECRET, {"tiktok-signature": header} if header else {}, b"{}", AT)


def of_x(body: object) -> list[Signal]:
    packed = encoded(body)
    signature = base64.b64encode(digest(SECRET, packed)).decode()
    return x.parse(SECRET, {"x-twitter-webhooks-signature": f"sha256={signature}"}, packed)


def activity(kind: str, payload: object, **fields: object) -> dict[str, object]:
    return {"event_uuid": "e", "event_type": kind, "payload": payload, **fields}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (activity("oauth.revoke", {"user_id": "u", "date_time": SECONDS}), (REVOKED, AT)),
        (activity("oauth.revoke", {"user_id": "u", "date_time": AT.isoformat()}), (REVOKED, AT)),
        (activity("oauth.revoke", {"user_id": "u", "date_time": "2026-11-26T12:00:00"}), (REVOKED, None)),
        (activity("oauth.revoke", {"user_id": "u", "date_time": "soon"}), (REVOKED, None)),
        ({"data": activity("oauth.revoke", {"user_id": "u"})}, (REVOKED, None)),
        (activity("oauth.revoke", {}), (IGNORED, None)),
        (activity("post.delete", {"author_id": "a", "id": "p"}), (MOVED, None)),
        (activity("post.delete", {"author_id": "a"}), (IGNORED, None)),
        (activity("post.delete", {"id": "p"}), (IGNORED, None)),
        (activity("post.create", {"author_id": "a", "id": "p", "user_id": "u"}), (IGNORED, None)),
        (activity("post.delete", "text"), (IGNORED, None)),
        ({"data": []}, (IGNORED, None)),
    ],
)
def test_event_at_x_is_a_revocation_or_a_deleted_post(
    sent: object, expected: tuple[SignalKind, datetime | None]
) -> None:
    (signal,) = of_x(sent)

    assert (signal.kind, signal.at) == expected
    assert bool(signal.subject) is (signal.kind is not IGNORED)


def test_id_of_an_event_at_x_is_its_own_or_that_of_its_body() -> None:
    assert of_x(activity("oauth.revoke", {}))[0].signal_id == "x:e"
    nameless: dict[str, object] = {"payload": {}}
    assert of_x(nameless)[0].signal_id == body_id("x", encoded(nameless))


def of_linkedin(body: object, prefix: bytes = b"hmacsha256=") -> list[Signal]:
    packed = encoded(body)
    return linkedin.parse(SECRET, {"x-li-signature": digest(SECRET, prefix + packed).hex()}, packed)


def test_notification_of_linkedin_names_an_owner_and_a_post() -> None:
    whole = {"notificationId": 7, "organizationalEntity": "o", "sourcePost": "p"}
    body = {
        "notifications": [whole, {**whole, "notificationId": None}, {"notificationId": 8, "sourcePost": "p"}]
    }

    signals = of_linkedin(body)

    moved = (MOVED, None, {"user": "o", "post": "p"})
    assert said(signals) == [moved, moved, (IGNORED, None, {})]
    assert [one.signal_id for one in signals] == [
        "linkedin:7",
        body_id("linkedin", encoded(body), 1),
        "linkedin:8",
    ]
    with pytest.raises(ForgedError):
        of_linkedin(body, prefix=b"")


def test_answers_to_challenges_are_those_that_the_platforms_expect() -> None:
    assert linkedin.challenge_response(SECRET, "c") == digest(SECRET, b"c").hex()
    assert x.response_token(SECRET, "c") == "sha256=" + base64.b64encode(digest(SECRET, b"c")).decode()
