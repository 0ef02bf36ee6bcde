"""Sentences of refused rows: what is wrong is named and quoted, but no credential."""

import pytest

from shared.ingestion.fields import RowError
from shared.ingestion.rows import parse_account, parse_publication
from tests.shared.ingestion.rows import account, publication, refused


def test_misspelt_field_is_refused_and_other_fields_are_ignored() -> None:
    row = {name: value for name, value in account().items() if name != "access_token"}
    message = refused(parse_account, {**row, "acess_token": "x"})
    assert message == parse_slip("acess_token", "access_token")
    assert parse_account({**account(), "acess_token": "x"}).access_token is not None, (
        "a misspelt field beside the correct one is ignored"
    )
    assert parse_account({**account(), "access_token_" * 6: "x"}).account_id == "acc_1"
    for other in ("colour", "refresh_rate"):
        assert parse_account({**account(), other: "x"}).account_id == "acc_1"


def parse_slip(name: str, meant: str) -> str:
    return f"{name} is no field of this row: did you mean {meant}?"


@pytest.mark.parametrize("row", [None, 7, "text", [], [("account_id", "a")]])
def test_row_that_is_not_an_object_is_refused(row: object) -> None:
    assert refused(parse_account, row) == refused(parse_publication, row)
    assert refused(parse_account, row) == "a row must be a JSON object with named fields"


@pytest.mark.parametrize(("letter", "length"), [("a", 8_192), ("ä", 4_096), ("\N{SNOWMAN}", 2_730)])
def test_long_text_is_cut_between_two_characters(letter: str, length: int) -> None:
    assert parse_publication(publication(text=letter * 200_000)).text == letter * length
    assert parse_publication(publication(text=letter * length)).text == letter * length


@pytest.mark.parametrize(
    ("name", "value", "ending"),
    [
        ("platform", "myspace", "; got 'myspace'"),
        ("login", "google", "; got 'google'"),
        ("token_expires_at", "2026-13-01T10:15:30.123456+02:00", "; got '2026-13-01T10:15:30.123456+02:00'"),
        ("token_expires_at", "tomorrow", "; got 'tomorrow'"),
        ("account_id", " acc_1", "; got ' acc_1'"),
        ("account_id", True, "; got bool"),
        ("platform", "my space " * 8, f"; got {'my space ' * 8!r}"),
        ("platform", "my space " * 9, ", tiktok"),
    ],
)
def test_refusal_quotes_the_value(name: str, value: object, ending: str) -> None:
    with pytest.raises(RowError) as refusal:
        parse_account(account(**{name: value}))

    assert str(refusal.value).endswith(ending)


CREDENTIALS = (
    "EAABsbCS1iHgBO7ZCq1pZBZBq",
    "IGQVJXaccessTokenOfSomebody",
    "act.5Hq3x8b7w9e0r1t2y3u4",
    "Bearer AQXdSP_W41_UPs5ioT_t8HESyODB4FqbkJ8LrV_5mff4gPODzOYR",
    "VGhpc0lzTm90QVJlYWxUb2tlbg==",
)


@pytest.mark.parametrize("value", CREDENTIALS)
@pytest.mark.parametrize(
    "name", ["platform", "login", "kind", "token_expires_at", "platform_post_url", "media_type"]
)
def test_refusal_never_quotes_what_may_be_a_credential(name: str, value: str) -> None:
    parse, row = (
        (parse_publication, publication)
        if name.startswith(("platform_", "media"))
        else (parse_account, account)
    )
    with pytest.raises(RowError) as refusal:
        parse(row(**{name: value}))

    assert value[-12:] not in str(refusal.value)


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
@pytest.mark.parametrize("value", ["short one", "é", 17])
def test_refusal_never_quotes_a_token(name: str, value: object) -> None:
    with pytest.raises(RowError) as refusal:
        parse_account(account(**{name: value}))

    assert str(value) not in str(refusal.value)
