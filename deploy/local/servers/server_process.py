"""Processes of embedded servers: start in a session of their own, detection after a crash, certain stop."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil

from deploy.local.servers.unprivileged import SystemUser

_POLL = timedelta(milliseconds=20)

Step = tuple[signal.Signals, timedelta]
"""A signal, and how long the process may take to end before the next step."""


def free_port() -> int:
    """Return a loopback TCP port that is free now; another process may take it first, so callers retry."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fresh_log(data_dir: Path) -> Path:
    """Return the path of a new log; the log of the previous run is kept as `log.previous`."""
    log = data_dir / "log"
    if log.exists():
        log.replace(log.with_name("log.previous"))
    return log


def exit_reason(output: str) -> str:
    """Return why a program ended: the last FATAL line of its output, or else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
    return (fatal or lines or ["it ended without any output"])[-1].rstrip(".")


def spawn(
    command: Sequence[str], *, user: SystemUser, directory: Path, log: Path, stdin: bytes = b""
) -> subprocess.Popen[bytes]:
    """Start a server in its own session, so that Ctrl-C does not reach it and we stop servers in order.

    Its output is appended to `log`. It inherits nothing of our environment, which holds secrets: processes
    of the same unprivileged user can read each other's environment.
    """
    with os.fdopen(
        os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600), "ab"
    ) as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={"LC_ALL": "C", "TZ": "UTC"},
            user=user.uid,
            group=user.gid,
            extra_groups=user.extra_groups,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    assert process.stdin is not None  # noqa: S101 - narrows the type: stdin is a PIPE
    with suppress(BrokenPipeError), process.stdin:  # it has ended already; its log says why
        process.stdin.write(stdin)
    return process


def leftover(pid_file: Path, directory: Path) -> int | None:
    """Return the id of a server that an earlier, killed launcher left running in `directory`.

    A process id alone proves nothing, as ids are reused: the process must have `directory` in its command.
    """
    try:
        pid = int(pid_file.read_text().split(maxsplit=1)[0])
        command: list[str] = psutil.Process(pid).cmdline()
    except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return pid if str(directory) in command else None


def stop(pid: int, steps: Sequence[Step]) -> None:
    """End a process and its children by each step in turn, finally by SIGKILL; return when they ended."""
    try:
        process = psutil.Process(pid)
        for number, timeout in steps:
            family = [process, *process.children(recursive=True)]
            process.send_signal(number)
            if _ended(family, timeout):
                return
    except psutil.NoSuchProcess:
        return
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    _ended(family, timedelta(seconds=2))


def _ended(processes: Sequence[psutil.Process], timeout: timedelta) -> bool:
    deadline = time.monotonic() + timeout.total_seconds()
    while any(_lives(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL.total_seconds())
    return True


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
