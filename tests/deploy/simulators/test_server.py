"""The simulated platforms over real HTTP: they answer, misbehave on command, count, and survive a kill."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.simulators.misbehaviour import Behaviour, Fault, Limit
from deploy.simulators.server import HOSTS, PLATFORMS, Simulators
from deploy.simulators.state import JOURNAL, Journal
from deploy.simulators.world import Account, Post, World

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SCOPES = frozenset({"read_insights", "pages_read_engagement"})
PAGE = Account("facebook", "1000", "EAApage-token", name="Dravo", scopes=SCOPES)
POST = Post("facebook", "1000_2000", "1000", NOW, counters={"post_clicks": 41})
URL = "/v25.0/1000_2000/insights?metric=post_clicks"


@pytest.fixture
def sims() -> Iterator[Simulators]:
    with Simulators(seed=7) as sims:
        sims.world.add_accounts([PAGE])
        sims.world.add_posts([POST])
        yield sims


@pytest.fixture
def client(sims: Simulators) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer EAApage-token"}
    with httpx.Client(base_url=sims.urls["meta_graph"], headers=headers, timeout=5) as client:
        yield client


@pytest.fixture
def control(sims: Simulators) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sims.urls["control"], timeout=5) as client:
        yield client


def test_every_host_has_a_port_of_its_own_and_answers(sims: Simulators) -> None:
    assert set(sims.urls) == {*HOSTS, "control"}
    assert len(set(sims.urls.values())) == len(sims.urls)
    for name in HOSTS:
        assert httpx.get(sims.urls[name] + "/nowhere").status_code in range(400, 500)
    assert {entry.host for entry in sims.ledger.entries()} == set(HOSTS)
    assert {entry.platform for entry in sims.ledger.entries()} == set(PLATFORMS)


def test_starting_is_quick_and_stopping_frees_the_ports() -> None:
    begun = time.monotonic()
    with Simulators() as sims:
        assert time.monotonic() - begun < 0.3
        port = port_of(sims.urls["x"])
        idle = socket.create_connection(("127.0.0.1", port))
    with idle, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_fixed_ports_are_consecutive_and_a_taken_one_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="cannot listen"):
            Simulators(ports=port).start()


def test_requests_on_one_connection_are_answered_in_order(sims: Simulators) -> None:
    with socket.create_connection(("127.0.0.1", port_of(sims.urls["meta_graph"]))) as raw:
        head = "HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer EAApage-token\r\n"
        raw.sendall(f"GET /me {head}\r\nGET /nonsense {head}Connection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.index(b"Dravo") < answer.index(b"(#803)")


def test_what_is_not_http_is_hung_up_on(sims: Simulators) -> None:
    with socket.create_connection(("127.0.0.1", port_of(sims.urls["x"]))) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert raw.recv(1) == b""


def test_a_crash_of_a_simulator_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    sims = Simulators().start()
    monkeypatch.setattr(sims.platforms["x"], "handle", lambda _request: 1 / 0)
    monkeypatch.setattr("asyncio.BaseEventLoop.default_exception_handler", lambda _loop, _context: None)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(sims.urls["x"])
    with pytest.raises(RuntimeError, match="1 requests crashed"):
        sims.stop()


# Misbehaviour


@pytest.mark.parametrize(
    ("body", "content"),
    [("html", b"<!DOCTYPE html>"), ("empty", b""), ("null", b"null")],
)
def test_answers_in_the_platforms_place(
    sims: Simulators, client: httpx.Client, body: Any, content: bytes
) -> None:
    sims.behave("facebook", faults=[Fault(times=2, status=502, body=body)])
    for _ in range(2):
        answer = client.get(URL)
        assert answer.status_code == 502
        assert answer.content.startswith(content)
    assert client.get(URL).status_code == 200
    assert sims.ledger.requests("facebook", "unprocessed", "fault") == 2
    assert sims.ledger.requests("facebook", "insights", "ok") == 1


def test_a_literal_answer_with_headers(sims: Simulators, client: httpx.Client) -> None:
    fault = Fault(status=503, text='{"error": 1}', headers={"Retry-After": "7"})
    sims.behave("facebook", faults=[fault])
    answer = client.get(URL)
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()) == (503, "7", {"error": 1})


def test_spoilt_answers_were_processed(sims: Simulators, client: httpx.Client) -> None:
    truth = client.get(URL).content
    sims.behave("facebook", faults=[Fault(body="truncated"), Fault(body="wrong_types"), Fault(body="nan")])
    assert client.get(URL).content == truth[: len(truth) // 2]
    assert client.get(URL).json()["data"][0]["values"] == [{"value": "many"}]
    assert b'{"value":NaN}' in client.get(URL).content
    assert client.get(URL).content == truth
    assert sims.ledger.requests("facebook", "insights", "fault") == 3


def test_a_huge_answer(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", faults=[Fault(body="huge")])
    with client.stream("GET", URL) as answer:
        assert int(answer.headers["content-length"]) >= 64 * 1024 * 1024


def test_a_fault_may_wait_for_a_path(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", faults=[Fault(status=500, path="/insights")])
    assert client.get("/me").status_code == 200
    assert client.get(URL).status_code == 500


@pytest.mark.parametrize(("close", "processed"), [("before", 0), ("middle", 1), ("after", 1)])
def test_the_connection_is_closed(sims: Simulators, client: httpx.Client, close: Any, processed: int) -> None:
    sims.behave("facebook", faults=[Fault(close=close)])
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.get(URL)
    assert sims.ledger.requests("facebook", "insights") == processed
    assert client.get(URL).status_code == 200


def test_a_hang_is_longer_than_the_callers_patience(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", faults=[Fault(hang_seconds=30)])
    with pytest.raises(httpx.ReadTimeout):
        client.get(URL, timeout=0.05)
    assert client.get(URL).status_code == 200


def test_latency_holds_for_every_answer(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", latency_seconds=0.03)
    for _ in range(2):
        begun = time.monotonic()
        assert client.get(URL).status_code == 200
        assert time.monotonic() - begun >= 0.03


def test_an_answer_may_trickle(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", faults=[Fault(text="0123456789", trickle_seconds=0.0001)])
    with client.stream("GET", URL) as answer:
        assert b"".join(answer.iter_raw()) == b"0123456789"


def test_outage_and_storm_last_until_they_are_taken_back(sims: Simulators, client: httpx.Client) -> None:
    sims.behave("facebook", outage=True)
    assert [client.get(URL).status_code for _ in range(3)] == [503] * 3
    sims.behave("facebook", storm=True)
    answer = client.get(URL)
    assert (answer.status_code, answer.content) == (429, b"")
    sims.behave("facebook")
    assert client.get(URL).status_code == 200


def test_the_clock_of_the_date_header_may_be_wrong(sims: Simulators, client: httpx.Client) -> None:
    def ahead() -> timedelta:
        return parsedate_to_datetime(client.get(URL).headers["date"]) - datetime.now(UTC)

    assert abs(ahead()) < timedelta(seconds=5)
    sims.behave("facebook", clock_skew_seconds=3600)
    assert timedelta(minutes=59) < ahead() < timedelta(minutes=61)


def test_meta_accounts_of_two_platforms_on_one_host_misbehave_apart(
    sims: Simulators, client: httpx.Client
) -> None:
    sims.world.add_accounts([Account("instagram", "178", "EAAuser", login="facebook", name="dravo")])
    sims.behave("instagram", outage=True)
    assert client.get(URL).status_code == 200
    assert client.get("/me", headers={"Authorization": "Bearer EAAuser"}).status_code == 503


# Limits


def test_a_sliding_limit_frees_call_by_call() -> None:
    behaviour, limit = Behaviour(), Limit(2, 60)

    def spend(seconds: float) -> tuple[bool, datetime]:
        spent = behaviour.spend("b", "k", NOW + timedelta(seconds=seconds), default=limit)
        return spent.allowed, spent.reset_at

    assert spend(0)[0]
    assert spend(10)[0]
    assert spend(20) == (False, NOW + timedelta(seconds=60))
    assert spend(60)[0]
    assert spend(61) == (False, NOW + timedelta(seconds=70))


def test_a_fixed_limit_starts_anew_with_its_window() -> None:
    behaviour, limit = Behaviour(), Limit(1, 900, sliding=False)
    first = behaviour.spend("b", "k", NOW, default=limit)
    assert (first.allowed, first.remaining, first.reset_at) == (True, 0, NOW + timedelta(seconds=900))
    late = NOW + timedelta(seconds=899)
    assert behaviour.spend("b", "k", late, default=limit).reset_at == NOW + timedelta(seconds=900)
    assert not behaviour.spend("b", "k", late, default=limit).allowed
    assert behaviour.spend("b", "other", late, default=limit).allowed
    assert behaviour.spend("b", "k", NOW + timedelta(seconds=900), default=limit).allowed


def test_refused_calls_prolong_the_refusal_where_they_count() -> None:
    behaviour, limit = Behaviour(), Limit(1, 60)
    for seconds in (0, 30):
        spent = behaviour.spend("b", "k", NOW + timedelta(seconds=seconds), default=limit, count_refused=True)
    assert spent.reset_at == NOW + timedelta(seconds=90)


# The world


def test_counters_grow_with_age_and_depend_on_the_seed_alone() -> None:
    ages = [timedelta(), timedelta(hours=1), timedelta(hours=6), timedelta(days=2), timedelta(days=300)]
    post = Post("x", "1", "9", NOW, size=10_000)

    def counts(seed: int, speed: float = 1.0) -> list[int]:
        return [
            World(seed, lambda age=age: NOW + age, speed=speed, started_at=NOW).count(post, "views")  # type: ignore[misc]
            for age in ages
        ]

    assert counts(1) == sorted(set(counts(1)))
    assert counts(1)[0] == 0
    assert counts(1) == counts(1)
    assert counts(1) != counts(2)
    assert counts(1, speed=60.0)[1] > counts(1)[1]


def test_the_former_tokens_of_a_rotated_account_open_nothing() -> None:
    world = World()
    account = Account("x", "1", "access-1", refresh_token="refresh-1")
    world.add_accounts([account])
    rotated = world.rotate(account, access_life=timedelta(hours=2), new_refresh_token=True)
    assert world.holder("access-1") is None
    assert world.holder(rotated.access_token) == rotated
    assert world.refresh_token_holder("x", "refresh-1") is None
    assert world.spent_refresh_token_holder("x", "refresh-1") == rotated
    assert world.refresh_token_holder("x", rotated.refresh_token or "") == rotated


# Control and ledger


def test_the_world_is_arranged_over_http(sims: Simulators, control: httpx.Client) -> None:
    assert control.get("/healthz").json() == {"status": "ok"}
    urn = "urn:li:share:1"
    account = {"platform": "linkedin", "platform_account_id": "5", "access_token": "a", "scopes": ["s"]}
    post = {"platform": "linkedin", "platform_post_id": urn, "owner": "5", "created_at": NOW.isoformat()}
    assert control.post("/accounts", json=[account]).json() == {"changed": 1}
    assert control.post("/posts", json=[post]).json() == {"changed": 1}
    assert control.post("/accounts?if_absent=1", json=[account | {"access_token": "b"}]).json() == {
        "changed": 0
    }
    control.patch(f"/posts/linkedin/{urn}", json={"counters": {"likeCount": 3}}).raise_for_status()
    control.post(f"/posts/linkedin/{urn}/delete").raise_for_status()
    control.post("/accounts/linkedin/5/revoke", json={"code": "65601"}).raise_for_status()
    here, there = sims.world.post("linkedin", urn), sims.world.account("linkedin", "5")
    assert here is not None
    assert here.deleted
    assert here.counters == {"likeCount": 3}
    assert there is not None
    assert (there.revoked, there.revocation, there.access_token) == (True, "65601", "a")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/accounts", [{"platform": "x"}], 400),
        ("POST", "/posts", [{"colour": "red"}], 400),
        ("POST", "/posts", {"not": "an array"}, 400),
        ("PUT", "/behaviour/x", {"colour": "red"}, 400),
        ("PUT", "/behaviour/myspace", {}, 404),
        ("POST", "/posts/x/1/delete", {}, 404),
        ("GET", "/nowhere", None, 404),
    ],
)
def test_wrong_orders_are_refused_with_a_sentence(
    control: httpx.Client, method: str, path: str, body: Any, status: int
) -> None:
    answer = control.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_behaviour_over_http_replaces_the_former(client: httpx.Client, control: httpx.Client) -> None:
    faults = [{"times": None, "status": 500, "body": "html"}]
    control.put("/behaviour/facebook", json={"faults": faults}).raise_for_status()
    assert client.get(URL).status_code == 500
    limits = {"page": {"calls": 1, "seconds": 60}}
    control.put("/behaviour/facebook", json={"limits": limits}).raise_for_status()
    assert [client.get(URL).status_code for _ in range(2)] == [200, 400]
    control.post("/reset").raise_for_status()
    assert client.get(URL).json()["error"]["code"] == 190


def test_the_ledger_tells_everything_but_the_token(client: httpx.Client, control: httpx.Client) -> None:
    for _ in range(2):
        client.get(URL)
    client.get(URL, headers={"Authorization": "Bearer wrong"})
    answer = control.get("/ledger", params={"since": 1})
    entries = answer.json()["entries"]
    assert [entry["seq"] for entry in entries] == [2, 3]
    assert entries[0]["ids"] == ["1000_2000"]
    assert (entries[0]["endpoint"], entries[0]["outcome"]) == ("insights", "ok")
    assert (entries[1]["status"], entries[1]["outcome"]) == (401, "refused_auth")
    assert entries[0]["token"] != entries[1]["token"]
    assert "EAApage-token" not in answer.text
    assert control.get("/ledger/summary").json()["counts"] == [
        {"platform": "facebook", "endpoint": "insights", "outcome": "ok", "requests": 2, "calls": 2},
        {
            "platform": "facebook",
            "endpoint": "insights",
            "outcome": "refused_auth",
            "requests": 1,
            "calls": 1,
        },
    ]


# State


def test_the_journal_brings_the_world_back(tmp_path: Path) -> None:
    world = World(started_at=NOW)
    journal = Journal(tmp_path, world)
    world.add_accounts([PAGE])
    world.add_posts([POST])
    rotated = world.rotate(PAGE, access_life=timedelta(days=60), keep_former=True)
    journal.close()
    again = World()
    Journal(tmp_path, again).close()
    assert again.started_at == NOW
    assert again.accounts() == [rotated]
    assert again.posts() == [POST]
    assert again.holder("EAApage-token") == rotated


def test_a_torn_last_line_is_dropped_and_the_rest_is_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path, World())
    journal.close()
    whole = World()
    journal = Journal(tmp_path, whole)
    whole.add_accounts([PAGE])
    whole.add_posts([POST])
    journal.close()
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes()[:-5])
    torn = World()
    Journal(tmp_path, torn).close()
    assert (len(torn.accounts()), torn.posts()) == (1, [])


# The process


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    command = [sys.executable, "-m", "deploy.simulators", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            yield child, json.loads(child.stdout.readline())
        finally:
            child.kill()


def test_a_rotated_token_survives_a_kill(tmp_path: Path) -> None:
    account = {
        "platform": "instagram",
        "platform_account_id": "178",
        "access_token": "IGAAtoken",
        "login": "instagram",
        "minted_at": "2026-01-01T00:00:00Z",
    }
    with process("--state", str(tmp_path)) as (child, urls):
        httpx.post(urls["control"] + "/accounts", json=[account]).raise_for_status()
        asked = {"grant_type": "ig_refresh_token", "access_token": "IGAAtoken"}
        answer = httpx.get(urls["instagram_graph"] + "/refresh_access_token", params=asked)
        child.kill()
    with process("--state", str(tmp_path)) as (child, urls):
        kept = httpx.post(urls["control"] + "/accounts?if_absent=1", json=[account]).json()
        asked = {"access_token": answer.json()["access_token"]}
        assert httpx.get(urls["instagram_graph"] + "/me", params=asked).status_code == 200
        assert kept == {"changed": 0}
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0


def test_the_process_ends_with_its_parent() -> None:
    script = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-m', 'deploy.simulators'], "
        "stdout=subprocess.PIPE); print(child.pid, child.stdout.readline().decode(), flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid, urls = parent.stdout.readline().decode().split(" ", 1)
        parent.wait(10)
    port = port_of(json.loads(urls)["control"])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return
    os.kill(int(pid), signal.SIGKILL)
    pytest.fail("the orphan lived on")


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        command = [sys.executable, "-m", "deploy.simulators", "--port-base", str(taken.getsockname()[1])]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1


def port_of(url: str) -> int:
    return httpx.URL(url).port or 0
