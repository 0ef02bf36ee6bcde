"""Cursors: what is encoded is decoded, at the ends of every range, and nothing else is."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import pytest

from shared.changes.cursor import Cursor, CursorError, Kind, Position, decode, encode, origin_of

AT = datetime(2026, 11, 26, 12, 0, 0, 1, tzinfo=UTC)
ORIGIN = origin_of(7, 1, 1)
LARGEST = 2**63 - 1
VALID = Cursor(Position(5, Kind.PUBLICATION, 9), ORIGIN, AT)
MALFORMED = "is not a cursor that this endpoint has returned"


@pytest.mark.parametrize(
    "position",
    [
        Position(0, Kind.ACCOUNT, 0),
        Position(5, Kind.ACCOUNT, 2**128 - 1),
        Position(5, Kind.PUBLICATION, 9),
        Position(LARGEST, Kind.PUBLICATION, LARGEST),
    ],
)
def test_position_of_any_size_is_encoded_and_decoded(position: Position) -> None:
    cursor = Cursor(position, ORIGIN, AT)

    assert decode(encode(cursor, "ws_1"), "ws_1") == cursor


def test_every_part_of_an_origin_counts() -> None:
    assert len({origin_of(*parts) for parts in ((7, 1, 1), (8, 1, 1), (7, 2, 1), (7, 1, 2))}) == 4


class Never:
    """An instant beyond the end of the calendar, in microseconds."""

    def __sub__(self, _: object) -> "Never":
        """Return the time since the beginning."""
        return self

    def __floordiv__(self, _: object) -> int:
        """Return its microseconds."""
        return 2**62


def packed(position: Any = VALID.position, at: Any = AT, workspace_id: str = "ws_1") -> str:
    return encode(Cursor(position, ORIGIN, at), workspace_id)


def checked(content: bytes) -> str:
    """Return these bytes as a cursor whose checksum is right."""
    checksum = blake2b(content, digest_size=6, person=b"dravo cursor").digest()
    return "c1_" + urlsafe_b64encode(content + checksum).decode().rstrip("=")


TEXT = packed()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (packed(workspace_id="ws_2"), "belongs to another workspace"),
        (packed(workspace_id="ws_\ud800"), "belongs to another workspace"),
        (TEXT + "A" * 300, "is longer than 200 characters"),
        ("z" + TEXT, MALFORMED),
        (TEXT[3:], MALFORMED),
        (TEXT + "é", MALFORMED),
        (TEXT[:-4], MALFORMED),
        ("c1_A", MALFORMED),
        (TEXT[:20] + ("A" if TEXT[20] != "A" else "B") + TEXT[21:], MALFORMED),
        (TEXT[:-2] + ("AA" if TEXT[-2:] != "AA" else "QQ"), MALFORMED),
        (checked(b"too short"), MALFORMED),
        (packed(Position(5, 7, 9)), MALFORMED),  # type: ignore[arg-type]
        (packed(at=Never()), MALFORMED),
        (packed(Position(LARGEST + 1, Kind.ACCOUNT, 0)), MALFORMED),
        (packed(Position(5, Kind.PUBLICATION, LARGEST + 1)), MALFORMED),
    ],
)
def test_cursor_that_was_changed_or_made_up_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(CursorError, match=sentence):
        decode(text, "ws_1")
