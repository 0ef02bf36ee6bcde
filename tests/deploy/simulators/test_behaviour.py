"""Injected faults, conditions and limits."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from deploy.simulators.behaviour import Behaviour, Fault, Limit
from deploy.simulators.server import Simulators
from deploy.simulators.world import Account
from tests.deploy.simulators.example import NOW, URL


@pytest.mark.parametrize(
    ("body", "content"),
    [("html", b"<!DOCTYPE html>"), ("empty", b""), ("null", b"null")],
)
def test_fault_replaces_the_answer(sims: Simulators, client: httpx.Client, body: Any, content: bytes) -> None:
    sims.behave("facebook", faults=[Fault(times=2, status=502, body=body)])
    for _ in range(2):
        answer = client.get(URL)
        assert answer.status_code == 502
        assert answer.content.startswith(content)
    assert client.get(URL).status_code == 200
    assert sims.request_log.requests("facebook", "unprocessed", "fault") == 2
    assert sims.request_log.requests("facebook", "insights", "ok") == 1


def test_fault_sends_a_literal_body_with_headers(sims: Simulators, client: httpx.Client) -> None:
    fault = Fault(status=503, text='{"error": 1}', headers={"Retry-After": "7"})
    sims.behave("facebook", faults=[fault])
    answer = client.get(URL)
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()) == (503, "7", {"error": 1})


def test_request_with_a_corrupted_answer_is_processed(sims: Simulators, client: httpx.Client) -> None:
    truth = client.get(URL).content
    sims.behave("facebook", faults=[Fault(body="truncated"), Fault(body="wrong_types"), Fault(body="nan")])
    assert client.get(URL).content == truth[: len(truth) // 2]
    assert client.get(URL).json()["data"][0]["values"] == [{"value": "many"}]
    assert b'{"value":NaN}' in client.get(URL).content
    assert client.get(URL).content == truth
    assert sims.request_log.requests("facebook", "insights", "fault") == 3


def test_fault_sends_a_huge_body(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", faults=[Fault(body="huge")])
    with client.stream("GET", URL) as answer:
        assert int(answer.headers["content-length"]) >= 64 * 1024 * 1024


def test_fault_applies_to_matching_paths_only(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", faults=[Fault(status=500, path="/insights")])
    assert client.get("/me").status_code == 200
    assert client.get(URL).status_code == 500


@pytest.mark.parametrize(("close", "processed"), [("before", 0), ("middle", 1), ("after", 1)])
def test_fault_closes_the_connection(
    sims: Simulators, client: httpx.Client, close: Any, processed: int
) -> None:
    sims.behave("facebook", faults=[Fault(close=close)])
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.get(URL)
    assert sims.request_log.requests("facebook", "insights") == processed
    assert client.get(URL).status_code == 200


def test_fault_hangs_until_the_client_times_out(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", faults=[Fault(hang_seconds=30)])
    with pytest.raises(httpx.ReadTimeout):
        client.get(URL, timeout=0.05)
    assert client.get(URL).status_code == 200


def test_latency_applies_to_every_answer(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", latency_seconds=0.03)
    for _ in range(2):
        begun = time.monotonic()
        assert client.get(URL).status_code == 200
        assert time.monotonic() - begun >= 0.03


def test_fault_sends_the_answer_byte_by_byte(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", faults=[Fault(text="0123456789", trickle_seconds=0.0001)])
    with client.stream("GET", URL) as answer:
        assert b"".join(answer.iter_raw()) == b"0123456789"


def test_outage_and_storm_last_until_the_conditions_change(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", outage=True)
    assert [client.get(URL).status_code for _ in range(3)] == [503] * 3
    sims.behave("facebook", storm=True)
    answer = client.get(URL)
    assert (answer.status_code, answer.content) == (429, b"")
    sims.behave("facebook")
    assert client.get(URL).status_code == 200


def test_clock_skew_changes_the_date_header(sims: Simulators, client: httpx.Client) -> None:
    def ahead() -> timedelta:
        return parsedate_to_datetime(client.get(URL).headers["date"]) - datetime.now(UTC)

    assert abs(ahead()) < timedelta(seconds=5)
    sims.behave("facebook", clock_skew_seconds=3600)
    assert timedelta(minutes=59) < ahead() < timedelta(minutes=61)


def test_conditions_of_two_platforms_on_one_host_are_separate(sims: Simulators, client: httpx.Client) -> None:
    sims.world.add_accounts([Account("instagram", "178", "EAAuser", login="facebook", name="dravo")])
    sims.behave("instagram", outage=True)
    assert client.get(URL).status_code == 200
    assert client.get("/me", headers={"Authorization": "Bearer EAAuser"}).status_code == 503


def test_sliding_limit_frees_one_call_at_a_time() -> None:
    behaviour, limit = Behaviour(), Limit(2, 60)

    def spend(seconds: float) -> tuple[bool, datetime]:
        spent = behaviour.spend("b", "k", NOW + timedelta(seconds=seconds), default=limit)
        return spent.allowed, spent.reset_at

    assert spend(0)[0]
    assert spend(10)[0]
    assert spend(20) == (False, NOW + timedelta(seconds=60))
    assert spend(60)[0]
    assert spend(61) == (False, NOW + timedelta(seconds=70))


def test_fixed_limit_resets_with_its_window() -> None:
    behaviour, limit = Behaviour(), Limit(1, 900, sliding=False)
    first = behaviour.spend("b", "k", NOW, default=limit)
    assert (first.allowed, first.remaining, first.reset_at) == (True, 0, NOW + timedelta(seconds=900))
    late = NOW + timedelta(seconds=899)
    assert behaviour.spend("b", "k", late, default=limit).reset_at == NOW + timedelta(seconds=900)
    assert not behaviour.spend("b", "k", late, default=limit).allowed
    assert behaviour.spend("b", "other", late, default=limit).allowed
    assert behaviour.spend("b", "k", NOW + timedelta(seconds=900), default=limit).allowed


def test_counted_refused_calls_extend_the_refusal() -> None:
    behaviour, limit = Behaviour(), Limit(1, 60)
    for seconds in (0, 30):
        spent = behaviour.spend("b", "k", NOW + timedelta(seconds=seconds), default=limit, count_refused=True)
    assert spent.reset_at == NOW + timedelta(seconds=90)
