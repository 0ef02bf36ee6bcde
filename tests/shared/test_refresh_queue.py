"""Messages of the queue, to the field, and which workers count as alive, to the second."""

from typing import Any

import dramatiq
import pytest

from shared import refresh_queue
from shared.redis_client import RedisClient
from shared.refresh_queue import ALIVE_KEY, RefreshJob
from shared.vocabulary import Lane

JOB = RefreshJob("acc_1", ((1, 4), (2, 7)))
CLAIMS = [[1, 4], [2, 7]]


class Collector(dramatiq.Broker):
    """Collects what is enqueued."""

    def __init__(self) -> None:
        super().__init__(middleware=[])
        self.messages: list[dict[str, Any]] = []

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Collect the message's fields, those apart that differ from one message to the next."""
        assert delay is None
        fields = message.asdict()
        assert fields.pop("message_id")
        assert fields.pop("message_timestamp")
        self.messages.append(fields)
        return message


def test_refresh_message_names_account_claims_and_trace_context() -> None:
    collector = Collector()
    other = RefreshJob("acc_2", ((9, 1),))

    refresh_queue.enqueue(
        collector, Lane.INTERACTIVE, [JOB, other], lambda job: "00-1-2-01" if job is JOB else None
    )
    refresh_queue.enqueue(collector, Lane.BACKGROUND, [other])

    in_both: dict[str, Any] = {"args": (), "options": {}}
    without_context = in_both | {"kwargs": {"account_id": "acc_2", "claims": [[9, 1]]}}
    assert collector.messages == [
        in_both
        | {
            "queue_name": "interactive",
            "actor_name": "refresh_now",
            "kwargs": {"account_id": "acc_1", "claims": CLAIMS, "traceparent": "00-1-2-01"},
        },
        without_context | {"queue_name": "interactive", "actor_name": "refresh_now"},
        without_context | {"queue_name": "background", "actor_name": "refresh"},
    ]


def test_renewal_message_names_the_account_in_the_background_queue() -> None:
    collector = Collector()

    refresh_queue.enqueue_renewals(collector, ["acc_1", "acc_2"])

    assert collector.messages == [
        {
            "queue_name": "background",
            "actor_name": "renew",
            "args": (),
            "kwargs": {"account_id": account_id},
            "options": {},
        }
        for account_id in ("acc_1", "acc_2")
    ]


def test_job_is_parsed_from_its_message() -> None:
    assert RefreshJob.parse("acc_1", CLAIMS) == JOB


@pytest.mark.parametrize(
    ("account_id", "claims"),
    [
        (5, CLAIMS),
        (None, CLAIMS),
        ("acc_1", None),
        ("acc_1", ((1, 4),)),
        ("acc_1", []),
        ("acc_1", ["14"]),
        ("acc_1", [[1, 4], (2, 7)]),
        ("acc_1", [[1]]),
        ("acc_1", [[1, 4, 5]]),
        ("acc_1", [[1, "4"]]),
        ("acc_1", [[True, 4]]),
        ("acc_1", [[1, 4.0]]),
    ],
)
def test_malformed_message_is_no_job(account_id: object, claims: object) -> None:
    with pytest.raises(ValueError, match=r"^a (refresh message holds|claim is a pair)"):
        RefreshJob.parse(account_id, claims)


def test_broker_uses_this_client_both_queues_and_no_middleware(client: RedisClient) -> None:
    broker = refresh_queue.broker(client)

    assert broker.client is client
    assert broker.queues == {"interactive", "background"}
    assert broker.middleware == []
    assert (broker.namespace, broker.dead_message_ttl) == ("dramatiq", 3_600_000)


def test_worker_counts_as_alive_for_15_seconds_after_its_report(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "time", lambda: (1_000, 500_000))
    client.zadd(ALIVE_KEY, {"host:past/1": 999, "host:ends/2": 1_000, "host:later/3": 1_001})

    refresh_queue.report_alive(client, "host:new", 8)

    assert client.zrange(ALIVE_KEY, 0, -1, withscores=True) == [
        (b"host:later/3", 1_001.0),
        (b"host:new/8", 1_015.5),
    ]
    assert client.ttl(ALIVE_KEY) in {59, 60}, "a fleet that has gone leaves no key"


def test_worker_whose_report_ends_this_second_is_still_alive(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "time", lambda: (1_000, 500_000))
    client.zadd(ALIVE_KEY, {"host:past/1": 999.9, "host:ends/2": 1_000, "host:many/999999": 2_000})
    client.zadd(ALIVE_KEY, {"host:malformed/1000000": 2_000})

    assert refresh_queue.workers_alive(client) == {"host:ends": 2, "host:many": 999_999}
