"""The supervisor of `dravo up`: starts services as processes, restarts crashed ones, stops all together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.errors import LocalServerError

STOP_WITHIN_SECONDS = 8.0
_MAX_CRASHES = 5
_CRASH_WINDOW_SECONDS = 60.0


@dataclass
class Service:
    """One process of the stack, and the instants at which it ended by itself."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    crashes: list[float] = field(default_factory=list)

    def start(self, stdout: int | None = None) -> subprocess.Popen[bytes]:
        """Start the process in a session of its own: Ctrl-C does not reach it, `Services.stop` ends it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=log,
                start_new_session=True,
            )
        return self.process

    def last_line(self) -> str:
        """Return the last line of the log, most likely the reason for a crash."""
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "its log is empty"


class Services:
    """The processes of the stack: started one after the other, stopped all at once."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._services: list[Service] = []
        logs.mkdir(exist_ok=True)

    def start(self, name: str, module: str, environment: Mapping[str, str], *arguments: str) -> Service:
        """Start ``python -m module`` and supervise it."""
        service = self.prepared(name, module, environment, *arguments)
        service.start()
        return service

    def prepared(self, name: str, module: str, environment: Mapping[str, str], *arguments: str) -> Service:
        """Return a service that the caller starts; it is supervised all the same."""
        command = [sys.executable, "-P", "-m", module, *arguments]
        service = Service(name, command, environment, self._logs / f"{name}.log")
        self._services.append(service)
        return service

    def check(self, report: Callable[[str], None]) -> None:
        """Restart crashed services. Raises `LocalServerError` for one that keeps crashing."""
        for service in self._services:
            if service.process is None or service.process.poll() is None:
                continue
            now = time.monotonic()
            service.crashes = [at for at in service.crashes if now - at < _CRASH_WINDOW_SECONDS] + [now]
            if len(service.crashes) > _MAX_CRASHES:
                raise LocalServerError(f"{service.name} keeps ending: {service.last_line()} ({service.log})")
            report(f"{service.name} ended with {service.process.returncode}; restarting it")
            service.start()

    def stop(self) -> None:
        """End every process: with SIGTERM, and after the time limit with SIGKILL."""
        running = [one.process for one in self._services if one.process and one.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_SECONDS
        for process in running:
            try:
                process.wait(max(0.05, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
