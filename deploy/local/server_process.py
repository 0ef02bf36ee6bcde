"""A server's process: started apart from the terminal, found again after a crash, stopped for certain."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil publishes no types; only processes and ids leave this file

from deploy.local.unprivileged import SystemUser

_POLL = timedelta(milliseconds=20)

Step = tuple[signal.Signals, timedelta]
"""A signal, and how long the process may take to obey it before the next step."""


def free_port() -> int:
    """Return a loopback TCP port that is free now; somebody may take it before you do: be ready to retry."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fresh_log(data_dir: Path) -> Path:
    """Return the path of a log to begin; the one of the last run is kept beside it, older ones are not."""
    log = data_dir / "log"
    if log.exists():
        log.replace(log.with_name("log.previous"))
    return log


def last_words(output: str) -> str:
    """Return why a program ended: what the last line of its output says, or the last one it calls FATAL."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
    return (fatal or lines or ["it ended without a word"])[-1].rstrip(".")


def spawn(
    command: Sequence[str], *, user: SystemUser, directory: Path, log: Path, stdin: bytes = b""
) -> subprocess.Popen[bytes]:
    """Start a server in its own session, so that Ctrl-C reaches only us and we decide the order of stopping.

    Its output is appended to `log`. It gets none of our environment: an unprivileged user's processes are
    open to each other, and our environment holds secrets.
    """
    with os.fdopen(
        os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600), "ab"
    ) as output:
        process = subprocess.Popen(  # noqa: S603 - the wheels' executables with arguments of our own
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
    assert process.stdin is not None  # noqa: S101 - PIPE above, told to the type checker
    with suppress(BrokenPipeError), process.stdin:  # it ended already: its log says why
        process.stdin.write(stdin)
    return process


def leftover(pid_file: Path, directory: Path) -> int | None:
    """Return the id of a server that an earlier, killed launcher left running in `directory`.

    A process id alone proves nothing, ids are used again: the process must name `directory` in its command.
    """
    try:
        pid = int(pid_file.read_text().split(maxsplit=1)[0])
        command: list[str] = psutil.Process(pid).cmdline()
    except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return pid if str(directory) in command else None


def stop(pid: int, steps: Sequence[Step]) -> None:
    """End a process and its children: by each step in turn, at last by SIGKILL. Return when they are gone."""
    try:
        process = psutil.Process(pid)
        for number, patience in steps:
            family = [process, *process.children(recursive=True)]
            process.send_signal(number)
            if _ended(family, patience):
                return
    except psutil.NoSuchProcess:
        return
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    _ended(family, timedelta(seconds=2))


def _ended(processes: Sequence[psutil.Process], patience: timedelta) -> bool:
    deadline = time.monotonic() + patience.total_seconds()
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
