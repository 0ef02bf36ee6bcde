"""The measured services: one process each, on a free loopback port."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from deploy.local.servers.server_process import free_port


@contextmanager
def api(url: str, **more: str) -> Iterator[str]:
    """Run the read API on a database; ``more`` are settings by their names in the environment."""
    port = free_port()
    environment = {"DRAVO_DATABASE_URL": url, "DRAVO_API_PORT": str(port), "DRAVO_LOG_FORMAT": "json", **more}
    with _process([sys.executable, "-P", "-m", "api_stub"], environment, port, "/readyz") as address:
        yield address


@contextmanager
def bare(url: str, statement: str, values: Sequence[Any]) -> Iterator[str]:
    """Run the application that answers every request with one statement."""
    port = free_port()
    environment = {"BARE_DATABASE": url, "BARE_STATEMENT": statement, "BARE_VALUES": json.dumps(values)}
    command = [sys.executable, "-m", "uvicorn", "deploy.bench.api.bare:app", "--port", str(port)]
    with _process([*command, "--no-access-log", "--log-level", "error"], environment, port, "/") as address:
        yield address


@contextmanager
def _process(command: list[str], environment: Mapping[str, str], port: int, path: str) -> Iterator[str]:
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _until_ready(process, f"{address}{path}")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def _until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends and process.poll() is None:
        try:
            if httpx.get(url).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")
