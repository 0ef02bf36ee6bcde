"""CPU time and memory of the processes that a benchmark has started."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import psutil

_SAMPLED_EVERY_SECONDS: Final = 0.1


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a server's process and its children, ended ones included."""
    server = psutil.Process(pid)
    total = 0.0
    for process in (server, *server.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # the server has its time
        total += times.user + times.system
        if process.pid == pid:
            total += times.children_user + times.children_system
    return total


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command took."""

    seconds: float
    cpu_seconds: float
    most_megabytes: float
    output: str


def run(command: Sequence[str], environment: dict[str, str], output: str) -> Ended:
    """Run a command with its standard output in a file. Raises `RuntimeError` when it fails."""
    began = time.monotonic()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    pid = os.posix_spawn(
        command[0],
        list(command),
        {**os.environ, **environment},
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, output, flags, 0o600)],
    )
    _, status, used = os.wait4(pid, 0)
    took = time.monotonic() - began
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"{command[:4]} ended with {os.waitstatus_to_exitcode(status)}")
    with open(output) as file:  # noqa: PTH123 - a plain path
        text = file.read()
    return Ended(took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, text)


class Memory:
    """The resident megabytes of a process: before the block, and at most inside it."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.before = self.most = self._now()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLED_EVERY_SECONDS):
            self.most = max(self.most, self._now())

    def _now(self) -> float:
        return float(self._process.memory_info().rss) / 2**20
