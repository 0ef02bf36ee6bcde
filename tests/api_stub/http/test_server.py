"""The service as a process: start, responses, stop within time, and errors of a failed start."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from structlog.testing import capture_logs

from api_stub.__main__ import check_database
from api_stub.http import middleware, server
from shared import database
from shared.process import STOP_WITHIN
from shared.settings import Settings, SettingsError
from tests.api_stub.support import POSTS, Rows
from tests.faults.harness.waiting import wait_until


def command(**environment: str) -> dict[str, object]:
    """Return the arguments that start the service."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DRAVO_")}
    return {
        "args": [sys.executable, "-m", "api_stub"],
        "env": {**clean, "DRAVO_API_PORT": "0", "DRAVO_LOG_FORMAT": "json", **environment},
    }


@contextmanager
def running(**environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the service as a process and return it with its URL."""
    process = subprocess.Popen(**command(**environment), stderr=subprocess.PIPE, text=True)  # type: ignore[call-overload]
    reader: Thread | None = None
    try:
        for line in process.stderr:
            if "api_listening" in line:
                reader = Thread(target=process.stderr.read)  # a full pipe would stop the service
                reader.start()
                yield process, json.loads(line)["url"]
                break
        else:
            pytest.fail("the service did not start")
    finally:
        process.kill()
        process.wait()
        if reader is not None:
            reader.join()
        process.stderr.close()


def test_signal_before_the_first_request_stops_the_service_in_order(database_url: str) -> None:
    with running(DRAVO_DATABASE_URL=database_url) as (process, _):
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_service_serves_and_stops_with_exit_code_0(database_url: str, number: signal.Signals) -> None:
    engine = database.connect(database_url, application="tests")
    rows = Rows(engine)
    rows.account()
    rows.publication()
    headers = {"Authorization": f"Bearer {rows.key()}"}
    with running(DRAVO_DATABASE_URL=database_url) as (process, url), httpx.Client(base_url=url) as client:
        assert client.get(POSTS, headers=headers).json()["total"] == 1
        assert client.get("/readyz").json() == {"status": "ready"}
        assert client.get("/healthz").status_code == 200

        process.send_signal(number)

        assert process.wait(timeout=30) == 0
    assert rows.execute("SELECT last_used_at FROM api_keys")[0].last_used_at is not None
    engine.dispose()


def test_stop_ends_waiting_requests_at_once(database_url: str) -> None:
    engine = database.connect(database_url, application="tests")
    rows = Rows(engine)
    rows.account()
    publication, key = rows.publication(), rows.key()
    with (
        running(DRAVO_DATABASE_URL=database_url, DRAVO_REFRESH_WAIT_SECONDS="60") as (process, url),
        socket.create_connection(("127.0.0.1", httpx.URL(url).port)) as raw,
    ):
        raw.settimeout(30)
        raw.sendall(
            f"GET {POSTS}?refresh=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        )
        wait_until(lambda: rows.state(publication).reason == "forced", within=30, what="the row is requested")

        process.send_signal(signal.SIGTERM)

        answer = b""
        while piece := raw.recv(65_536):
            answer += piece
        assert b"200 OK" in answer
        assert b"refresh_pending" in answer
        assert process.wait(timeout=30) == 0
    engine.dispose()


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, r"dravo api: DRAVO_DATABASE_URL: is required and not set\n"),
        (
            {"DRAVO_DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/d"},
            r"dravo api: PostgreSQL at 127\.0\.0\.1 does not answer: check DRAVO_DATABASE_URL\n",
        ),
    ],
)
def test_failed_start_prints_one_sentence(environment: dict[str, str], sentence: str) -> None:
    ended = subprocess.run(**command(**environment), capture_output=True, text=True, check=False)  # type: ignore[call-overload]

    assert ended.returncode == 1
    assert re.fullmatch(sentence, ended.stderr)


def test_port_in_use_prints_one_sentence(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = str(occupied.getsockname()[1])
        started = command(DRAVO_DATABASE_URL=database_url, DRAVO_API_PORT=port)
        ended = subprocess.run(**started, capture_output=True, text=True, check=False)  # type: ignore[call-overload]

    assert ended.returncode == 1
    assert re.fullmatch(rf"dravo api: cannot listen on 127\.0\.0\.1:{port} \(.*\): check .*\n", ended.stderr)


def test_start_warns_when_the_role_of_the_api_is_missing(database_url: str) -> None:
    settings = Settings(database_url=SecretStr(database_url))
    engine = database.connect(database_url, application="tests")
    with capture_logs() as with_role:
        check_database(settings)
    with engine.begin() as connection:
        connection.exec_driver_sql("REVOKE SELECT ON refresh_state FROM dravo_api")
    engine.dispose()
    with capture_logs() as without_role:
        check_database(settings)

    assert with_role == []
    assert [entry["event"] for entry in without_role] == ["database_role_missing"]


def test_second_signal_does_not_wait_for_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(server, "end_in_time", lambda: calls.append("end in time"))
    stopping: Any = SimpleNamespace(listener=SimpleNamespace(stop=lambda: calls.append("stop waits")))
    stopped = server.Server(uvicorn.Config("no:app"), stopping, Event())

    stopped.handle_exit(signal.SIGTERM, None)
    assert (stopped.should_exit, stopped.force_exit, calls) == (True, False, ["stop waits", "end in time"])
    stopped.handle_exit(signal.SIGTERM, None)
    assert stopped.force_exit


def test_server_believes_no_proxy_and_ends_before_its_supervisor_kills_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configs: list[uvicorn.Config] = []
    monkeypatch.setattr(server.Server, "run", lambda self, **_options: configs.append(self.config))
    nothing: Any = None

    server.serve(nothing, nothing, nothing, Event())

    (config,) = configs
    assert (config.proxy_headers, config.server_header, config.access_log) == (False, False, False)
    assert config.timeout_graceful_shutdown is not None
    assert timedelta(seconds=config.timeout_graceful_shutdown) < STOP_WITHIN
    assert server.MAX_HEAD_BYTES <= 65_536
    assert middleware.MAX_IN_FLIGHT <= 4_096


def test_port_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SettingsError, match="no such address"):
        server.bind("127.0.0.1", 70_000)
