"""Batches that conflict with another transaction are tried again, and others fail at once."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from api_stub.events.batch import BatchResult, Event, EventType
from api_stub.events.processing import EventProcessor
from shared.vocabulary import Platform
from tests.api_stub.events.sent import CONNECTED, event, send
from tests.api_stub.support import Api
from tests.harness import Harness

DELETED = Event(0, "evt_1", EventType.DELETED, {"post_id": "p"})


class RefusedError(Exception):
    """What PostgreSQL's driver raises."""

    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "failures", "tries"),
    [("40P01", 3, 4), ("40001", 1, 2), ("40P01", 4, 4), ("57P01", 1, 1), (None, 1, 1)],
)
def test_deadlock_and_serialization_failure_are_tried_four_times(
    harness: Harness,
    monkeypatch: pytest.MonkeyPatch,
    sqlstate: str | None,
    failures: int,
    tries: int,
) -> None:
    apply, made = EventProcessor._apply_all, list[int]()

    def conflicting(processor: EventProcessor, connection: Any, events: Sequence[Event]) -> BatchResult:
        made.append(len(events))
        if len(made) <= failures:
            raise OperationalError("INSERT", {}, RefusedError(sqlstate))
        return apply(processor, connection, events)

    monkeypatch.setattr(EventProcessor, "_apply_all", conflicting)
    processor = EventProcessor(harness.engine, None)
    with capture_logs() as logged:
        if failures < tries:
            assert processor.process([DELETED]).accepted == 1
        else:
            with pytest.raises(OperationalError):
                processor.process([DELETED])

    assert made == [1] * tries
    assert [one["event"] for one in logged] == ["events_conflict"] * (tries - 1)


def test_event_without_a_token_is_accepted_after_one_with_a_token_in_the_same_batch(api: Api) -> None:
    api.rows.execute("UPDATE accounts SET state = 'disconnected', state_reason = 'Gone.'")
    row = api.rows.publication(state={"reason": "blocked", "next_run_at": None})
    named = {"account_id": "acc_1"}
    batches: list[list[dict[str, Any]]] = [
        [{**named, "name": "Early"}, {**named, "access_token": "token-one"}],
        [{**named, "access_token": "token-two"}, {**named, "name": "Late"}],
        [{**CONNECTED, "account_id": "acc_9", "access_token": None}, {**named, "name": "Last"}],
    ]
    first, second, third = (
        send(api, [event(f"evt_{number}_{n}", "account.reconnected", one) for n, one in enumerate(batch)])
        for number, batch in enumerate(batches)
    )

    assert [one["event_id"] for one in first.json()["errors"]] == ["evt_0_0"]
    assert (second.status_code, second.json()["accepted"]) == (200, 2)
    assert [one["event_id"] for one in third.json()["errors"]] == ["evt_2_0"]
    assert api.rows.execute("SELECT name, state FROM accounts") == [("Last", "active")]
    assert api.rows.state(row).reason == "reconnected"


def test_account_of_a_platform_whose_application_has_a_token_needs_none(harness: Harness) -> None:
    tokenless = {name: value for name, value in CONNECTED.items() if name != "access_token"}
    other = {**tokenless, "account_id": "acc_t", "platform": "tiktok"}
    events = [Event(n, f"evt_{n}", EventType.CONNECTED, one) for n, one in enumerate((tokenless, other))]
    processor = EventProcessor(harness.engine, harness.context.vault, frozenset({Platform.X}))

    assert [one.index for one in processor.process(events).refused] == [1]

    harness.execute("UPDATE accounts SET state = 'disconnected'")
    again = [Event(0, "evt_9", EventType.RECONNECTED, {"account_id": tokenless["account_id"]})]
    assert processor.process(again).accepted == 1
    assert harness.execute("SELECT state FROM accounts") == [("active",)]


def test_accounts_are_refused_without_a_sealer_and_other_events_are_not(harness: Harness) -> None:
    events = [Event(3, "evt_2", EventType.CONNECTED, dict(CONNECTED)), DELETED]

    result = EventProcessor(harness.engine, None).process(events)

    assert (result.accepted, [(one.index, one.event_id) for one in result.refused]) == (1, [(3, "evt_2")])
    assert harness.execute("SELECT event_id FROM events_seen") == [("evt_1",)]
