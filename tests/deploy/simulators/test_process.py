"""The simulators as a process."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.deploy.simulators.example import port_of
from tests.faults.harness.waiting import wait_until


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    command = [sys.executable, "-m", "deploy.simulators", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            yield child, json.loads(child.stdout.readline())
        finally:
            child.kill()


def test_rotated_token_survives_a_kill(tmp_path: Path) -> None:
    account = {
        "platform": "instagram",
        "platform_account_id": "178",
        "access_token": "IGAAtoken",
        "login": "instagram",
        "minted_at": "2026-01-01T00:00:00Z",
    }
    with process("--state", str(tmp_path)) as (child, urls):
        httpx.post(urls["control"] + "/accounts", json=[account]).raise_for_status()
        parameters = {"grant_type": "ig_refresh_token", "access_token": "IGAAtoken"}
        answer = httpx.get(urls["instagram_graph"] + "/refresh_access_token", params=parameters)
        child.kill()
    with process("--state", str(tmp_path)) as (child, urls):
        unchanged = httpx.post(urls["control"] + "/accounts?if_absent=1", json=[account]).json()
        parameters = {"access_token": answer.json()["access_token"]}
        assert httpx.get(urls["instagram_graph"] + "/me", params=parameters).status_code == 200
        assert unchanged == {"changed": 0}
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0


def test_process_ends_with_its_parent() -> None:
    script = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-m', 'deploy.simulators'], "
        "stdout=subprocess.PIPE); print(child.pid, child.stdout.readline().decode(), flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid, urls = parent.stdout.readline().decode().split(" ", 1)
        parent.wait(30)
    orphan = psutil.Process(int(pid))
    try:
        wait_until(lambda: gone(orphan), 30, "the end of the orphan")
    finally:
        if not gone(orphan):
            orphan.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(json.loads(urls)["control"])))


def gone(process: psutil.Process) -> bool:
    """Return whether a process has ended; its new parent may not have reaped it."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_port_in_use_is_one_sentence() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        command = [sys.executable, "-m", "deploy.simulators", "--port-base", str(listening.getsockname()[1])]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
