"""Which events are well formed, to the character, and how often a batch in conflict is tried."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg import errors
from sqlalchemy.exc import OperationalError

from api_stub.events.batch import BatchResult, Event, EventType
from api_stub.events.endpoint import _validate
from api_stub.events.processing import EventProcessor

TYPES = ", ".join(kind.value for kind in EventType)
ID = "event_id must be a string of 1 to 255 printable characters"
SURROGATE = "data.text is not valid Unicode text: a lone surrogate"


def event(event_id: object = "evt_1", kind: object = "account.disconnected", data: object = None) -> Any:
    return {"event_id": event_id, "type": kind, "data": {} if data is None else data}


@pytest.mark.parametrize("event_id", ["e", "e" * 255, "evt 1 \u00fc"])
def test_well_formed_event_is_accepted(event_id: str) -> None:
    data = {"account_id": "acc_1", "text": "\U0001f6a2"}

    assert _validate([event(event_id, data=data)]) == (
        [Event(0, event_id, EventType.DISCONNECTED, data)],
        [],
    )


@pytest.mark.parametrize(
    ("one", "event_id", "message"),
    [
        ("text", None, "an event must be a JSON object"),
        (None, None, "an event must be a JSON object"),
        ({}, None, ID),
        (event(""), None, ID),
        (event("e" * 256), None, ID),
        (event("evt\n"), None, ID),
        (event(5), None, ID),
        (event(kind=None), "evt_1", f"type must be one of {TYPES}"),
        (event(kind=["account.disconnected"]), "evt_1", f"type must be one of {TYPES}"),
        (event(kind="ACCOUNT.DISCONNECTED"), "evt_1", f"type must be one of {TYPES}"),
        (event(data=[]), "evt_1", "data must be a JSON object"),
        ({"event_id": "evt_1", "type": "account.disconnected"}, "evt_1", "data must be a JSON object"),
        (event(data={"a": 1, "text": "\ud800"}), "evt_1", SURROGATE),
        (event(data={"text": [{"deep": "\ud800"}]}), "evt_1", SURROGATE),
        (event(data={"text": {"\ud800": 1}}), "evt_1", SURROGATE),
    ],
)
def test_malformed_event_is_refused_at_its_place_with_the_reason(
    one: object, event_id: str | None, message: str
) -> None:
    events, refused = _validate([event("evt_0"), one, event("evt_2")])

    assert [(each.index, each.event_id) for each in events] == [(0, "evt_0"), (2, "evt_2")]
    assert [(each.index, each.event_id, each.message) for each in refused] == [(1, event_id, message)]


class Conflicts(EventProcessor):
    """Fails so many times before it commits."""

    def __init__(self, error: type[errors.Error], times: int) -> None:
        engine: Any = SimpleNamespace(begin=nullcontext)
        super().__init__(engine, None)
        self.left, self.error, self.tries = times, error, 0

    def _apply_all(self, connection: object, events: object) -> BatchResult:
        del connection, events
        self.tries += 1
        if self.left:
            self.left -= 1
            raise OperationalError("UPDATE", {}, self.error())
        return BatchResult(1, 0, ())


@pytest.mark.parametrize("error", [errors.DeadlockDetected, errors.SerializationFailure])
def test_batch_in_conflict_with_another_is_tried_four_times(error: type[errors.Error]) -> None:
    lucky, unlucky = Conflicts(error, 3), Conflicts(error, 4)

    assert lucky.process([]) == BatchResult(1, 0, ())
    with pytest.raises(OperationalError):
        unlucky.process([])
    assert (lucky.tries, unlucky.tries) == (4, 4)


def test_other_error_of_the_database_ends_the_batch_at_once() -> None:
    processor = Conflicts(errors.AdminShutdown, 1)

    with pytest.raises(OperationalError):
        processor.process([])
    assert processor.tries == 1
