"""Validation of rows: each field at its bound and one step beyond."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from shared.ingestion.rows import AccountRow, PublicationRow, parse_account, parse_publication
from shared.vocabulary import Platform
from tests.shared.ingestion.rows import account, publication, refused

EMPTY = (None, "")


def test_account_with_all_fields_is_parsed() -> None:
    row = {
        "account_id": "acc_1",
        "workspace_id": "ws_1",
        "platform": "linkedin",
        "platform_account_id": 17,
        "login": "",
        "kind": "member",
        "access_token": "a1",
        "refresh_token": "r1",
        "token_expires_at": "2026-12-01T02:00:00+02:00",
        "refresh_token_expires_at": "2027-12-01",
        "scopes": ["b", "a", "b"],
        "name": " Dravo ",
    }

    assert parse_account(row) == AccountRow(
        account_id="acc_1",
        workspace_id="ws_1",
        platform=Platform.LINKEDIN,
        platform_account_id="17",
        platform_user_id=None,
        login=None,
        kind="member",
        name=" Dravo ",
        access_token=SecretStr("a1"),
        refresh_token=SecretStr("r1"),
        token_expires_at=datetime(2026, 12, 1, tzinfo=UTC),
        refresh_token_expires_at=datetime(2027, 12, 1, tzinfo=UTC),
        scopes=("b", "a"),
        given=frozenset(row),
    )


def test_publication_with_all_fields_is_parsed() -> None:
    row = {
        "post_id": "post_1",
        "account_id": "acc_1",
        "workspace_id": "ws_1",
        "platform": "tiktok",
        "platform_post_id": "7",
        "publish_id": "v1",
        "platform_post_url": "https://example.test/7",
        "media_type": "VIDEO",
        "text": "Hi",
        "created_at": "2026-06-23T10:15:30Z",
        "published_at": "2026-06-23T10:16:02",
    }

    assert parse_publication(row) == PublicationRow(
        post_id="post_1",
        account_id="acc_1",
        workspace_id="ws_1",
        platform=Platform.TIKTOK,
        platform_post_id="7",
        publish_id="v1",
        platform_post_url="https://example.test/7",
        media_type="VIDEO",
        text="Hi",
        created_at=datetime(2026, 6, 23, 10, 15, 30, tzinfo=UTC),
        published_at=datetime(2026, 6, 23, 10, 16, 2, tzinfo=UTC),
        given=frozenset(row),
    )


@pytest.mark.parametrize("empty", EMPTY)
def test_empty_field_counts_as_absent(empty: str | None) -> None:
    optional = (
        "login",
        "kind",
        "access_token",
        "refresh_token",
        "token_expires_at",
        "refresh_token_expires_at",
    )
    parsed = parse_account(account(**dict.fromkeys(optional, empty), scopes=None, name=None))
    assert [getattr(parsed, name) for name in (*optional, "scopes", "name")] == [None] * 8

    optional = (
        "workspace_id",
        "platform",
        "platform_post_id",
        "publish_id",
        "platform_post_url",
        "media_type",
    )
    result = parse_publication(publication(**dict.fromkeys((*optional, "published_at"), empty)))
    assert [getattr(result, name) for name in (*optional, "published_at")] == [None] * 7
    assert parse_publication(publication(text="")).text == ""

    for name in ("account_id", "workspace_id", "platform", "platform_account_id"):
        assert refused(parse_account, account(**{name: empty})) == f"{name} is required"
    for name in ("post_id", "account_id", "created_at"):
        assert refused(parse_publication, publication(**{name: empty})) == f"{name} is required"


FITS: list[tuple[str, object, object]] = [
    ("account_id", "a" * 255, "a" * 255),
    ("account_id", "ä" * 127, "ä" * 127),
    ("account_id", 0, "0"),
    ("platform_account_id", 10**40 - 1, str(10**40 - 1)),
    ("platform_account_id", -7, "-7"),
    ("name", "n" * 1020, "n" * 1020),
    ("access_token", "t" * 8_192, SecretStr("t" * 8_192)),
    ("scopes", [f"s{n}" for n in range(200)], tuple(f"s{n}" for n in range(200))),
    ("scopes", ["s" * 255], ("s" * 255,)),
    ("scopes", "a,b  c, a", ("a", "b", "c")),
    ("scopes", [], ()),
    ("token_expires_at", "1970-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
    ("token_expires_at", "2199-12-31T23:59:59.999999Z", datetime(2199, 12, 31, 23, 59, 59, 999_999, UTC)),
    ("token_expires_at", "1970-01-01T01:00:00+01:00", datetime(1970, 1, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize(("name", "value", "read"), FITS, ids=lambda one: str(one)[:20])
def test_largest_valid_value_is_accepted(name: str, value: object, read: object) -> None:
    assert getattr(parse_account(account(**{name: value})), name) == read


INSTANT = "must be an ISO 8601 instant like 2026-06-23T10:15:30Z"
YEARS = "must lie between 1970 and 2199; null says that it never ends"
CHARACTERS = "may not hold control characters, nor spaces around it"
SCOPES = "scopes may hold at most 200 names without spaces or control characters"
TOO_MUCH: list[tuple[str, object, str]] = [
    ("account_id", "a" * 256, "account_id may have at most 255 bytes"),
    ("account_id", "ä" * 128, "account_id may have at most 255 bytes"),
    ("account_id", "\ud800", f"account_id {CHARACTERS}"),
    ("account_id", " a", f"account_id {CHARACTERS}"),
    ("account_id", "a\n", f"account_id {CHARACTERS}"),
    ("account_id", True, "account_id must be a string"),
    ("account_id", ["a"], "account_id must be a string"),
    ("account_id", 1.5, "account_id must be a string: a fraction has lost digits of an id already"),
    ("platform_account_id", 10**40, "platform_account_id must be a string"),
    ("platform_account_id", -(10**40), "platform_account_id must be a string"),
    ("name", "n" * 1021, "name may have at most 1020 bytes"),
    ("name", "\0", "name may not hold the NUL character"),
    ("name", "\ud800", "name is not valid Unicode text"),
    ("name", 7, "name must be a string or null"),
    ("access_token", "t" * 8_193, "access_token may have at most 8192 bytes"),
    ("access_token", 7, "access_token must be a string or null"),
    ("access_token", "a b", "access_token holds a character that no token has"),
    ("access_token", "ä", "access_token holds a character that no token has"),
    ("refresh_token", "a\n", "refresh_token holds a character that no token has"),
    ("scopes", [f"s{n}" for n in range(201)], SCOPES),
    ("scopes", ["s" * 256], SCOPES),
    ("scopes", ["a b"], SCOPES),
    ("scopes", ["ä"], SCOPES),
    ("scopes", ["a\t"], SCOPES),
    ("scopes", ["a", ""], "scopes must be a list of strings"),
    ("scopes", ["a", 7], "scopes must be a list of strings"),
    ("scopes", {"a": 1}, "scopes must be a list of strings"),
    ("token_expires_at", "1969-12-31T23:59:59Z", f"token_expires_at {YEARS}"),
    ("token_expires_at", "2200-01-01", f"token_expires_at {YEARS}"),
    ("token_expires_at", "0001-01-01T00:00:00+14:00", f"token_expires_at {INSTANT}"),
    ("refresh_token_expires_at", 7, f"refresh_token_expires_at {INSTANT}"),
    ("platform", "mars", "platform must be one of instagram, facebook, x, linkedin, tiktok"),
    ("platform", ["x"], "platform must be one of instagram, facebook, x, linkedin, tiktok"),
    ("login", "google", "login must be one of facebook, instagram, or null"),
    ("kind", "member", "kind is for linkedin accounts only"),
]


@pytest.mark.parametrize(("name", "value", "message"), TOO_MUCH, ids=lambda one: str(one)[:20])
def test_value_beyond_a_bound_is_refused_by_field(name: str, value: object, message: str) -> None:
    assert refused(parse_account, account(**{name: value})) == message


def test_login_is_for_instagram_and_kind_for_linkedin() -> None:
    assert parse_account(account(login="instagram")).login == "instagram"
    assert parse_account(account(platform="linkedin", kind="organization")).kind == "organization"
    message = "login is for instagram accounts only"
    assert refused(parse_account, account(platform="x", login="facebook")) == message


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("platform_post_id", "p" * 513, "platform_post_id may have at most 512 bytes"),
        ("publish_id", "p" * 513, "publish_id may have at most 512 bytes"),
        ("post_id", "p" * 256, "post_id may have at most 255 bytes"),
        ("platform_post_url", "http:/x", "platform_post_url must be an http:// or https:// address, or null"),
        ("platform_post_url", "https://" + "u" * 8_185, "platform_post_url may have at most 8192 bytes"),
        (
            "media_type",
            "image",
            "media_type must be one of IMAGE, VIDEO, REELS, CAROUSEL_ALBUM, STORY, or null",
        ),
        ("text", 7, "text must be a string or null"),
        ("text", "a\0", "text may not hold the NUL character"),
        ("published_at", "2200-01-01", "published_at must lie between 1970 and 2199"),
        ("created_at", "1969-12-31", "created_at must lie between 1970 and 2199"),
    ],
)
def test_publication_value_beyond_a_bound_is_refused_by_field(name: str, value: object, message: str) -> None:
    assert refused(parse_publication, publication(**{name: value})) == message


def test_largest_valid_publication_values_are_accepted() -> None:
    fits = {
        "post_id": "p" * 255,
        "platform_post_id": "p" * 512,
        "publish_id": "p" * 512,
        "platform_post_url": "http://" + "u" * 8_185,
        "media_type": "STORY",
    }
    parsed = parse_publication(publication(**fits))

    assert {name: getattr(parsed, name) for name in fits} == fits
