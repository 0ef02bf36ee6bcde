"""Pages of the feed as built from the rows of its statement, and cursors at their bounds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.changes import feed
from shared.changes.cursor import BEGINNING, Cursor, Kind, Position

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
KEEP = timedelta(days=30)
ORIGIN = (7, 1, 1, NOW, 100)
SYNCED: tuple[Any, ...] = (
    *(9, "post", "acc_1", "x", "id_9", None, None, NOW, None),
    *({"likes": 1}, [], "synced", None, NOW, NOW),
)
NOT_STORED = (*SYNCED[:11], None, *SYNCED[12:])


def row(publication_id: int, gone: object = None, columns: tuple[Any, ...] = SYNCED) -> tuple[Any, ...]:
    return (*ORIGIN, "50", 1, None, publication_id, NOW, gone, None, None, None, None, None, *columns)


def page(rows: list[tuple[Any, ...]], limit: int) -> feed.Page:
    return feed.page_of(rows, BEGINNING, None, KEEP, limit)


@pytest.mark.parametrize(("rows", "has_more"), [(1, False), (2, False), (3, True)])
def test_page_has_more_only_when_a_row_is_left(rows: int, *, has_more: bool) -> None:
    built = page([row(number) for number in range(1, rows + 1)], 2)

    assert (len(built.changes), built.has_more) == (min(rows, 2), has_more)
    assert built.cursor.position == Position(50, Kind.PUBLICATION, min(rows, 2))


def test_publication_without_an_analytics_row_is_passed_over() -> None:
    built = page([row(1, columns=NOT_STORED), row(2, gone={}), row(3, columns=NOT_STORED)], 5)

    assert [(one.type, one.body["publication_id"]) for one in built.changes] == [("analytics.deleted", "2")]
    assert built.cursor.position.key == 3


SINCE = Cursor(Position(99, Kind.PUBLICATION, 1), feed.Origin(*ORIGIN).cursor(BEGINNING).origin, NOW)
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("since", "error"),
    [
        (SINCE, None),
        (replace(SINCE, position=Position(100, Kind.ACCOUNT, 0)), feed.CursorFromFutureError),
        (replace(SINCE, at=NOW + timedelta(hours=1)), None),
        (replace(SINCE, at=NOW + timedelta(hours=1) + MICROSECOND), feed.CursorFromFutureError),
        (replace(SINCE, at=NOW - KEEP), None),
        (replace(SINCE, at=NOW - KEEP - MICROSECOND), feed.CursorExpiredError),
        (replace(SINCE, origin=b"another"), feed.CursorExpiredError),
    ],
)
def test_cursor_is_refused_beyond_its_bounds(since: Cursor, error: type[Exception] | None) -> None:
    def read_on() -> feed.Page:
        return feed.page_of([row(1)], since.position, since, KEEP, 2)

    if error is None:
        assert len(read_on().changes) == 1
    else:
        with pytest.raises(error):
            read_on()
