"""Which actor receives which message, and what it calls."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
from dramatiq.brokers.stub import StubBroker

from shared.refresh_queue import RefreshJob
from shared.vocabulary import Lane
from worker.queue.actors import register


@pytest.fixture
def called() -> list[object]:
    return []


@pytest.fixture
def broker(called: list[object]) -> Iterator[StubBroker]:
    """Return a broker with the actors, which note their calls."""
    made = StubBroker(middleware=[])
    register(made, lambda job, lane: called.append((job, lane)), called.append)
    yield made
    made.close()


def test_actors_take_the_messages_of_their_lane_in_order(broker: StubBroker) -> None:
    actors = {name: (one.queue_name, one.priority) for name, one in broker.actors.items()}

    assert actors == {
        "refresh_now": (Lane.INTERACTIVE.value, 0),
        "refresh": (Lane.BACKGROUND.value, 10),
        "renew": (Lane.BACKGROUND.value, 10),
    }


def test_messages_start_refreshes_in_their_lane_and_renewals(
    broker: StubBroker, called: list[object]
) -> None:
    job = RefreshJob("acc_1", ((7, 3), (9, 4)))
    for name in ("refresh", "refresh_now"):
        broker.get_actor(name).fn(account_id="acc_1", claims=[[7, 3], [9, 4]], traceparent=9)
    broker.get_actor("renew").fn(account_id="acc_1", since="a newer version")

    assert called == [(job, Lane.BACKGROUND), (job, Lane.INTERACTIVE), "acc_1"]


def test_refresh_continues_the_trace_of_its_message(
    broker: StubBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents: list[object] = []

    def span(name: str, *, parent: object, **fields: object) -> AbstractContextManager[None]:
        parents.append((name, parent, fields))
        return nullcontext()

    monkeypatch.setattr("shared.observability.tracing.span", span)
    for traceparent in (None, 9, "00-trace"):
        broker.get_actor("refresh").fn(account_id="acc_1", claims=[[7, 3]], traceparent=traceparent)

    fields = {"account_id": "acc_1", "rows": 1}
    assert parents == [("refresh", parent, fields) for parent in (None, None, "00-trace")]


def test_malformed_messages_are_dropped(
    broker: StubBroker, called: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("refresh", "refresh_now", "renew"):
        broker.get_actor(name).fn(account_id=7, claims=[[7, 3]], other=1)

    assert called == []
    assert capsys.readouterr().out.count("message_dropped") == 3
