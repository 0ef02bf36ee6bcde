"""A message as built from a page of the feed: its instant, its rest, and where the endpoint is afterwards."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from shared.changes.cursor import Cursor, Kind, Position, origin_of
from shared.changes.feed import Change, Page
from worker.webhooks.messages import Recipient, build

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RECIPIENT = Recipient("ep_1", "ws_1", frozenset(), thin=False, redelivery=0, reset=False)


def at(number: int) -> Position:
    return Position(9, Kind.PUBLICATION, number)


def cursor(number: int) -> Cursor:
    return Cursor(at(number), origin_of(1, 2, 3), NOW)


def change(number: int) -> Change:
    body = {"type": "analytics.updated", "change": f"c{number}", "publication_id": str(number)}
    return Change(at(number), NOW + number * SECOND, body)


@pytest.mark.parametrize(
    ("rows", "page_has_more", "has_more", "subjects"),
    [(50, False, False, ("1", "2")), (50, True, True, ("1", "2")), (1, False, True, ("1",))],
)
def test_message_has_its_newest_instant_and_says_whether_the_feed_has_more(
    rows: int, subjects: tuple[str, ...], *, page_has_more: bool, has_more: bool
) -> None:
    page = Page([change(1), change(2)], cursor(7), page_has_more)

    batch = build(RECIPIENT, page, cursor(0), rows, skip_first=False)

    assert batch.message is not None
    body = json.loads(batch.message.body)
    assert batch.message.subjects == subjects
    assert datetime.fromisoformat(body["timestamp"]) == NOW + len(subjects) * SECOND
    assert batch.message.oldest_change == NOW + SECOND
    assert (batch.has_more, body["data"]["has_more"]) == (has_more, has_more)
    assert batch.cursor == (cursor(7) if len(subjects) == 2 else cursor(1))
