"""Plain lines of JSON: what the compiled checks accept is what the full check makes of the same line."""

import json

import pytest

from shared.ingestion.fields import RowError
from shared.ingestion.plain_rows import parse_plain_publication
from shared.ingestion.rows import PublicationRow, parse_publication
from tests.shared.ingestion.rows import publication

PLAIN: tuple[dict[str, object], ...] = (
    {},
    {"workspace_id": "ws_1", "platform": "tiktok", "publish_id": "v_pub~1"},
    {"platform_post_id": None, "platform_post_url": None, "media_type": None, "published_at": None},
    {"platform_post_url": "https://example.com/p?a=b#c", "media_type": "CAROUSEL_ALBUM", "text": None},
    {"post_id": "a b", "text": "🙂 ünïcode\nand\ta tab, \\ and \x7f"},
    {"text": "ü" * 9_000},
    {"text": ""},
    {"text": "x" * 8_193, "published_at": "2026-06-23T12:15:30.123456+02:00"},
    {"created_at": "2026-06-23", "published_at": "20260623"},
    {"created_at": "2026-06-23T10:15:30", "published_at": ""},
    {"post_id": "p" * 255, "platform_post_id": "p" * 512},
)
OTHER: tuple[dict[str, object], ...] = (
    {"post_id": ""},
    {"post_id": None},
    {"post_id": " p"},
    {"post_id": "p "},
    {"post_id": "p\n"},
    {"post_id": "p\x00"},
    {"post_id": "pö"},
    {"post_id": "p" * 256},
    {"platform_post_id": "p" * 513},
    {"platform_post_id": 18000000000000000},
    {"platform_post_id": 1.5},
    {"platform_post_id": ""},
    {"account_id": True},
    {"platform": "myspace"},
    {"platform": ""},
    {"media_type": "IMAGES"},
    {"media_type": ""},
    {"text": 1},
    {"text": "a\x00b"},
    {"text": "\ud800"},
    {"platform_post_url": "ftp://example.com"},
    {"platform_post_url": "https://example.com/a b"},
    {"platform_post_url": "https://example.com/" + "p" * 8_192},
    {"created_at": ""},
    {"created_at": None},
    {"created_at": 1_782_209_730},
    {"created_at": "1782209730"},
    {"created_at": "1969-12-31T23:59:59Z"},
    {"created_at": "2200-01-01"},
    {"headline": "of no field"},
    {"txt": "of a misspelt field"},
)


@pytest.mark.parametrize("fields", PLAIN)
def test_plain_line_is_what_the_full_check_makes_of_it(fields: dict[str, object]) -> None:
    row = publication(**fields)

    assert parse_plain_publication(json.dumps(row).encode()) == parse_publication(row)


@pytest.mark.parametrize("fields", OTHER)
def test_line_that_is_not_plain_is_left_to_the_full_check(fields: dict[str, object]) -> None:
    assert parse_plain_publication(json.dumps(publication(**fields)).encode()) is None


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"[]", b'"post_1"', b"{broken", b'{"text": NaN}', b"[" * 10_000, b'{"post_id": "\xff"}'],
)
def test_line_that_is_no_object_is_left_to_the_full_check(line: bytes) -> None:
    assert parse_plain_publication(line) is None


def test_last_of_two_fields_of_one_name_counts() -> None:
    line = json.dumps(publication()).encode()[:-1] + b', "post_id": "post_last"}\r\n'

    assert parse_plain_publication(line) == parse_publication(json.loads(line))


def test_missing_field_is_named_by_the_full_check() -> None:
    for name in ("post_id", "account_id", "created_at"):
        row = publication()
        del row[name]
        assert parse_plain_publication(json.dumps(row).encode()) is None
        with pytest.raises(RowError, match=f"{name} is required"):
            parse_publication(row)


def test_row_knows_which_fields_its_line_has() -> None:
    row = parse_plain_publication(json.dumps(publication(text=None)).encode())

    assert isinstance(row, PublicationRow)
    assert "text" in row.given
    assert "media_type" not in row.given
