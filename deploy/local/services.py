"""The services of one machine: started by command, started again when they fall, stopped together."""

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
_MOST_FALLS = 5
_FALLS_WITHIN_SECONDS = 60.0


@dataclass
class Service:
    """One process of the stack, and when it fell."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    falls: list[float] = field(default_factory=list)

    def start(self, stdout: int | None = None) -> subprocess.Popen[bytes]:
        """Start the process, out of reach of the terminal's Ctrl-C: we stop it ourselves, in order."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own package, our own arguments
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=log,
                start_new_session=True,
            )
        return self.process

    def last_line(self) -> str:
        """Return the last line of the log: why it fell, most likely."""
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it left no word"


class Services:
    """The stack's own processes, in the order in which they start; stopped all at once."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._services: list[Service] = []
        logs.mkdir(exist_ok=True)

    def start(self, name: str, module: str, environment: Mapping[str, str], *arguments: str) -> Service:
        """Start ``python -m module`` and look after it from now on."""
        service = self.prepared(name, module, environment, *arguments)
        service.start()
        return service

    def prepared(self, name: str, module: str, environment: Mapping[str, str], *arguments: str) -> Service:
        """Return a service that the caller starts; it is looked after all the same."""
        command = [sys.executable, "-P", "-m", module, *arguments]
        service = Service(name, command, environment, self._logs / f"{name}.log")
        self._services.append(service)
        return service

    def check(self, tell: Callable[[str], None]) -> None:
        """Start again what has fallen. Raises `LocalServerError` for one that keeps falling."""
        for service in self._services:
            if service.process is None or service.process.poll() is None:
                continue
            now = time.monotonic()
            service.falls = [fall for fall in service.falls if now - fall < _FALLS_WITHIN_SECONDS] + [now]
            if len(service.falls) > _MOST_FALLS:
                raise LocalServerError(f"{service.name} keeps ending: {service.last_line()} ({service.log})")
            tell(f"{service.name} ended with {service.process.returncode}; starting it again")
            service.start()

    def stop(self) -> None:
        """End every process: politely, then, past the time limit, for certain."""
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
