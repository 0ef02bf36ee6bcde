"""Calls are counted by process, added up in Redis, and taken once by one scheduler."""

from types import SimpleNamespace

import pytest

from shared.quota import call_counts
from shared.quota.call_counts import KEY, CallCounter, take
from shared.quota.limits import Bucket
from shared.redis_client import RedisClient, connect
from shared.vocabulary import BucketKind, Platform

APP = Bucket(Platform.X, BucketKind.APP)
TWEETS = Bucket(Platform.X, BucketKind.ACCOUNT, "acc|1/tweets")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand in for the process's clock; the test sets it."""
    clock = SimpleNamespace(at=1_000.0)
    monkeypatch.setattr(call_counts, "time", SimpleNamespace(monotonic=lambda: clock.at))
    return clock


def test_calls_are_sent_every_five_seconds(client: RedisClient, clock: SimpleNamespace) -> None:
    counter = CallCounter(client)
    for at, sent in ((1_000.0, {}), (1_004.9, {}), (1_005.0, {APP: 3}), (1_009.9, {}), (1_010.0, {APP: 2})):
        clock.at = at
        counter.count([APP], 1)
        assert take(client) == sent


def test_calls_of_all_processes_are_added_by_bucket(client: RedisClient) -> None:
    one, other = CallCounter(client), CallCounter(client)
    one.count([APP, TWEETS], 3)
    one.count([TWEETS], 4)
    other.count([APP], 10)
    for counter in (one, other, one):
        counter.send()

    assert take(client) == {APP: 13, TWEETS: 7}
    assert take(client) == {}, "only one scheduler gets them"
    assert client.keys(f"{KEY}*") == []


def test_counts_whose_scheduler_was_killed_expire_after_an_hour(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = CallCounter(client)
    counter.count([APP], 3)
    counter.send()
    monkeypatch.setattr(client, "delete", lambda *_: 0)

    take(client)

    (left,) = client.keys(f"{KEY}:*")
    assert 3_590 < client.ttl(left) <= 3_600


def test_nothing_is_counted_without_redis(client: RedisClient, capsys: pytest.CaptureFixture[str]) -> None:
    CallCounter().count([APP], 3)
    CallCounter().send()
    gone = connect("redis://127.0.0.1:1/0")
    lost = CallCounter(gone)
    lost.count([APP], 3)
    lost.send()
    lost.send()
    gone.close()

    assert capsys.readouterr().out.count("calls_not_counted") == 1
    assert take(client) == {}
