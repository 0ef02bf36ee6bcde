"""The JSON that clients get: instants in UTC end in Z, numbers keep every digit, text stays text."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.analytics_row import encoded

NOON = datetime(2026, 6, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "rendered"),
    [
        (NOON, "2026-06-29T12:00:00Z"),
        (NOON.replace(microsecond=120_000), "2026-06-29T12:00:00.120000Z"),
        (NOON.replace(microsecond=1), "2026-06-29T12:00:00.000001Z"),
        (NOON.replace(year=1), "0001-06-29T12:00:00Z"),
        (datetime.max.replace(tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
        (NOON.astimezone(timezone(timedelta(hours=2))), "2026-06-29T14:00:00+02:00"),
    ],
)
def test_instants_are_rendered_with_microseconds_only_when_there_are_some(
    instant: datetime, rendered: str
) -> None:
    assert encoded({"at": instant}) == b'{"at":"%b"}' % rendered.encode()


def test_numbers_keep_every_digit_and_text_is_not_escaped() -> None:
    body = {"views": 2**70, "ratio": 0.1, "none": None, "text": 'é\u2028"\\\n\x00', "list": [True]}

    assert (
        encoded(body).decode()
        == f'{{"views":{2**70},"ratio":0.1,"none":null,"text":"é\u2028\\"\\\\\\n\\u0000","list":[true]}}'
    )


def test_no_number_that_json_does_not_know_is_sent() -> None:
    assert encoded([float("nan"), float("inf")]) == b"[null,null]"
