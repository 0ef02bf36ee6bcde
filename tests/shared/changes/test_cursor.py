"""Cursors: what is encoded is decoded, at the ends of every range, and nothing else is."""

from datetime import UTC, datetime

import pytest

from shared.changes.cursor import Cursor, CursorError, Kind, Position, decode, encode, origin_of

AT = datetime(2026, 11, 26, 12, 0, 0, 1, tzinfo=UTC)
ORIGIN = origin_of(7, 1, 1)
LARGEST = 2**63 - 1


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


@pytest.mark.parametrize(
    "position", [Position(LARGEST + 1, Kind.ACCOUNT, 0), Position(5, Kind.PUBLICATION, LARGEST + 1)]
)
def test_number_that_the_database_cannot_hold_is_refused(position: Position) -> None:
    with pytest.raises(CursorError):
        decode(encode(Cursor(position, ORIGIN, AT), "ws_1"), "ws_1")


def test_every_part_of_an_origin_counts() -> None:
    assert len({origin_of(*parts) for parts in ((7, 1, 1), (8, 1, 1), (7, 2, 1), (7, 1, 2))}) == 4


@pytest.mark.parametrize("change", ["workspace", "prefix", "character", "shorter", "longer", "letter"])
def test_cursor_that_was_changed_is_refused(change: str) -> None:
    text = encode(Cursor(Position(5, Kind.PUBLICATION, 9), ORIGIN, AT), "ws_1")
    changed = {
        "workspace": text,
        "prefix": "z" + text,
        "character": text[:-1] + ("A" if text[-1] != "A" else "B")
        if len(text) % 4 != 2
        else text[:-2] + "--",
        "shorter": text[:-4],
        "longer": text + "A" * 300,
        "letter": text[:20] + ("A" if text[20] != "A" else "B") + text[21:],
    }[change]

    with pytest.raises(CursorError):
        decode(changed, "ws_2" if change == "workspace" else "ws_1")
