"""The base class of the embedded PostgreSQL and Valkey: start, recovery after a kill, stop.

A data directory holds `password` and `log` (ours) and the server's own directory, which is in STORE instead
when the server's user cannot enter the data directory, see `unprivileged`.
"""

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from deploy.local.errors import LocalServerError
from deploy.local.lock import DirectoryLock
from deploy.local.private_files import read_or_create_password
from deploy.local.servers.server_process import Step, exit_reason, free_port, fresh_log, stop
from deploy.local.servers.unprivileged import SystemUser, server_home, server_user

_READY_WITHIN = timedelta(seconds=60)  # a start after a crash replays the log first


class EmbeddedServer(ABC):
    """One server for one data directory, on a loopback port that stays the same over restarts."""

    _name: ClassVar[str]
    _ending: ClassVar[Sequence[Step]]

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir.resolve()
        self._locks = ExitStack()
        self._port: int | None = None
        self._password = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Loopback TCP port."""
        if self._port is None:
            raise LocalServerError(f"{self._name} has not been started.")
        return self._port

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._process is None:
            raise LocalServerError(f"{self._name} is not running.")
        return self._process.pid

    def start(self) -> None:
        """Start or restart the server and return when it answers.

        The first start creates its data. A server that a killed launcher left running is stopped first.
        Raises LocalServerError.
        """
        self.stop()
        self._locks.enter_context(DirectoryLock(self._data_dir))
        try:
            self._launch()
        except OSError as error:
            self.stop()
            raise LocalServerError(
                f"{self._name} cannot start in {self._data_dir}: {error.strerror}."
            ) from error
        except BaseException:  # also at Ctrl-C, no process may keep running
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server within 5 seconds, also a frozen one; if none runs, this does nothing."""
        self._halt(self._ending)
        self._locks.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def _program(self, user: SystemUser) -> Path:
        """Return the server's executable at a path where the user may run it."""

    @abstractmethod
    def _prepare(self, program: Path, home: Path, user: SystemUser) -> Path:
        """Create the server's own directory in ``home``, stop a server left running, return the directory."""

    @abstractmethod
    def _spawn(
        self, program: Path, directory: Path, user: SystemUser, log: Path, port: int
    ) -> subprocess.Popen[bytes]:
        """Start the server's process."""

    @abstractmethod
    def _ready(self, directory: Path, pid: int, port: int) -> bool:
        """Return whether the process with this id answers."""

    @abstractmethod
    def _is_transient(self, failure: str) -> bool:
        """Return whether a failed start may succeed on a retry."""

    def _explain(self, failure: str, directory: Path) -> str:
        """Return the reason of a failed start for the error message."""
        del directory
        return failure

    def _launch(self) -> None:
        user = server_user(self._data_dir)
        program = self._program(user)
        home = server_home(self._data_dir, user)
        if home != self._data_dir:  # a copy of the data directory would point to the same home
            self._locks.enter_context(DirectoryLock(home))
        self._password = read_or_create_password(self._data_dir / "password")
        directory = self._prepare(program, home, user)
        log = fresh_log(self._data_dir)
        deadline = time.monotonic() + _READY_WITHIN.total_seconds()
        while (failure := self._try(program, directory, user, log, deadline)) is not None:
            if time.monotonic() > deadline or not self._is_transient(failure):
                reason = self._explain(failure, directory)
                raise LocalServerError(f"{self._name} did not start: {reason} (log: {log}).")
            log.unlink()
            time.sleep(0.1)

    def _try(
        self, program: Path, directory: Path, user: SystemUser, log: Path, deadline: float
    ) -> str | None:
        """Start once. Return None when the server is ready, else the reason it ended."""
        port = self._port or free_port()
        self._process = self._spawn(program, directory, user, log, port)
        while self._process.poll() is None:
            if self._ready(directory, self._process.pid, port):
                self._port = port
                return None
            if time.monotonic() > deadline:
                return f"it was not ready within {_READY_WITHIN.total_seconds():.0f} s"
            time.sleep(0.01)
        return exit_reason(log.read_text(encoding="utf-8", errors="replace"))

    def _halt(self, steps: Sequence[Step]) -> None:
        if self._process is not None:
            stop(self._process.pid, steps)
            self._process.wait()
            self._process = None
