"""Malicious requests to a real server cause no 5xx and no hang, and get errors of the usual form."""

import asyncio
import contextlib
import json
import random
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from uvicorn.server import ServerState

from api_stub.http import middleware, server
from api_stub.http.server import MAX_HEAD_BYTES
from deploy.local.servers.postgres import Postgres
from shared import database
from shared.accounts.vault import new_key
from tests.api_stub import support
from tests.api_stub.http.test_server import running
from tests.api_stub.support import POSTS, Api, Rows
from tests.faults.harness.waiting import wait_until
from tests.servers import FASTER, MIGRATED, Databases, copy_cluster, fast_parent, server_directory

TOKEN = "internal-token-of-these-tests"


@dataclass
class Target:
    """A running process and a credential for it."""

    url: str
    key: str
    process: subprocess.Popen[str]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of its socket."""
        return "127.0.0.1", httpx.URL(self.url).port or 0

    def request(self, target: str = POSTS, *headers: str) -> bytes:
        """Return a valid request as bytes."""
        lines = [f"GET {target} HTTP/1.1", "Host: a", f"Authorization: Bearer {self.key}", *headers, "", ""]
        return "\r\n".join(lines).encode("latin-1")


@pytest.fixture(scope="module")
def survivor(databases: Databases) -> Iterator[Target]:
    """Run one process for all requests of this module: each test leaves it running and serving."""
    with databases.fresh("robustness", MIGRATED) as database_url:
        engine = database.connect(database_url, application="tests")
        rows = Rows(engine)
        rows.account()
        rows.publication(post_id="post_1")
        key = rows.key()
        engine.dispose()
        with running(
            DRAVO_DATABASE_URL=database_url,
            DRAVO_REFRESH_WAIT_SECONDS="0",
            DRAVO_INTERNAL_TOKEN=TOKEN,
            DRAVO_SECRET_KEYS=new_key(),
        ) as (process, url):
            yield Target(url, key, process)


@pytest.fixture
def target(survivor: Target) -> Iterator[Target]:
    """Give the process; check afterwards that it still runs and serves."""
    yield survivor
    assert survivor.process.poll() is None
    headers = {"Authorization": f"Bearer {survivor.key}"}
    assert httpx.get(f"{survivor.url}{POSTS}", headers=headers).status_code == 200


def answers(target: Target, sent: bytes, number: int = 1) -> list[int]:
    """Send bytes and return the statuses of the answers, up to ``number``."""
    with socket.create_connection(target.address, timeout=30) as raw:
        raw.sendall(sent)
        received = b""
        while len(values := re.findall(rb"HTTP/1\.1 (\d{3})", received)) < number:
            piece = raw.recv(65_536)
            if not piece:
                break
            received += piece
    return [int(status) for status in values]


def test_pipelined_requests_are_answered_in_order(target: Target) -> None:
    sent = (
        target.request() + target.request(f"{POSTS}?page=0") + target.request("/nowhere") + target.request()
    )

    assert answers(target, sent, 4) == [200, 400, 404, 200]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\n: v\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"b" * (MAX_HEAD_BYTES + 1),
        b"GET /?" + b"a" * (MAX_HEAD_BYTES + 1),
    ],
)
def test_invalid_http_is_refused_with_a_4xx_and_closed(target: Target, sent: bytes) -> None:
    statuses = answers(target, sent)

    assert all(400 <= status < 500 for status in statuses), statuses
    assert statuses


def test_thousand_malicious_requests_cause_no_5xx(target: Target) -> None:
    chance = random.Random(6)
    pieces = [
        "%00",
        "%ff",
        "%F0%9F%92%A9",
        "..%2f",
        "'",
        '"',
        "%",
        "%zz",
        "+",
        "&",
        "=",
        ";",
        "\x7f",
        "é",
        "{}",
        "1e9",
    ]
    names = ["postId", "accountId", "platform", "fromDate", "toDate", "refresh", "page", "limit", "x"]
    paths = [POSTS, f"{POSTS}/%s/history", "/internal/events", "/docs", "/%s"]
    statuses: set[int] = set()
    for _ in range(1_000):
        text = "".join(chance.choices(pieces, k=chance.randrange(1, 9)))
        path = chance.choice(paths).replace("%s", text.replace("?", ""))
        query = "&".join(f"{chance.choice(names)}={text}" for _ in range(chance.randrange(3)))
        statuses |= set(answers(target, target.request(f"{path}?{query}", f"X-Request-ID: {text}")))
    assert statuses <= {200, 400, 401, 404, 405, 429}, statuses


def test_responses_match_the_openapi_document(target: Target) -> None:
    document = httpx.get(f"{target.url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    checks = [schemathesis.checks.not_a_server_error, status_code_conformance, response_schema_conformance]
    made = 0
    for operation in schema.get_all_operations():
        described: Any = operation
        credential = TOKEN if described.ok().path == "/internal/events" else target.key
        headers = {"Authorization": f"Bearer {credential}"}
        for case in cases(described.ok(), 40):
            case.validate_response(case.call(base_url=target.url, headers=headers, timeout=30), checks=checks)
            made += 1
    assert made >= 100


def cases(operation: Any, number: int) -> list[Any]:
    """Generate requests of one operation, valid and invalid ones."""
    values: list[Any] = []
    for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

        @settings(
            max_examples=number // 2,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def collect(case: Any) -> None:
            values.append(case)

        with contextlib.suppress(Unsatisfiable):  # nothing can be wrong about an operation without parameters
            collect()
    return values


def answer_of_the_protocol(sent: bytes) -> bytes:
    """Send bytes to a server in this process that has our protocol; return all that it answers."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def scenario() -> bytes:
        config = uvicorn.Config(app, http=server.Protocol, lifespan="off", log_config=None)
        config.load()

        def protocol() -> server.Protocol:
            return server.Protocol(config=config, server_state=ServerState(), app_state={})

        listening = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            async with asyncio.timeout(30):
                received = await reader.read()
            writer.close()
        return received

    return asyncio.run(scenario())


def test_endless_head_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)

    assert answer_of_the_protocol(b"GET / HTTP/1.1\r\nHost: ") == b""


def test_endless_body_times_out_even_when_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_SECONDS", 0.2)
    sent = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"

    assert answer_of_the_protocol(sent).startswith(b"HTTP/1.1 404")


def test_head_and_body_have_some_seconds_at_most() -> None:
    assert 0 < server.HEAD_SECONDS <= 10
    assert 0 < server.BODY_SECONDS <= 60


def test_overload_is_shed_with_503_and_recovers(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "MAX_IN_FLIGHT", 5)

    async def many() -> list[httpx.Response]:
        return await asyncio.gather(*(api.client.get(POSTS) for _ in range(30)))

    answered = api.run(many())

    shed = [answer for answer in answered if answer.status_code == 503]
    assert {answer.status_code for answer in answered} == {200, 503}
    assert all(answer.headers["Retry-After"] and answer.json()["error"]["request_id"] for answer in shed)
    assert api.get().status_code == 200


def test_lost_database_is_a_503_until_it_returns() -> None:
    with server_directory(fast_parent()) as directory:
        copy_cluster(directory / "postgres")
        with Postgres(directory / "postgres", FASTER) as postgres, support.api(postgres.url) as api:
            assert api.get().status_code == 200
            postgres.stop()
            gone = api.get()
            postgres.start()
            wait_until(lambda: api.get().status_code == 200, 30, "the database")

            assert gone.status_code == 503
            assert int(gone.headers["Retry-After"]) >= 1
            assert json.loads(gone.content)["error"]["code"] in {"database_unavailable", "overloaded"}
