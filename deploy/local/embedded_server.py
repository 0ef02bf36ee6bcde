"""What PostgreSQL and Valkey from wheels have in common: how they are started, found again and stopped.

Layout of a data directory: `password` and `log` (ours), and the server's own directory, which is in STORE
instead when the user it runs as cannot come here, see `unprivileged`.
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
from deploy.local.private_files import kept_password
from deploy.local.server_process import Step, free_port, fresh_log, last_words, stop
from deploy.local.unprivileged import SystemUser, server_home, server_user

_READY_WITHIN = timedelta(seconds=60)  # a start after a crash replays what was logged first


class EmbeddedServer(ABC):
    """One server for one data directory, on a loopback port that stays the same for this object."""

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
        """Start the server (again, if it runs or was killed) and return when it answers.

        A first start makes its data. A server that a killed launcher left behind is stopped first. Raises
        LocalServerError.
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
        except BaseException:  # Ctrl-C included: nothing may stay behind
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server within 5 seconds, frozen or not; harmless when it is not running."""
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
        """Return the server's executable, where the user may run it."""

    @abstractmethod
    def _prepare(self, program: Path, home: Path, user: SystemUser) -> Path:
        """Make the server's own directory in ``home``, clear what a killed launcher left, and return it."""

    @abstractmethod
    def _spawn(
        self, program: Path, directory: Path, user: SystemUser, log: Path, port: int
    ) -> subprocess.Popen[bytes]:
        """Start the server's process."""

    @abstractmethod
    def _ready(self, directory: Path, pid: int, port: int) -> bool:
        """Tell whether this very process answers by now."""

    @abstractmethod
    def _passes(self, refusal: str) -> bool:
        """Tell whether a refusal to start passes by itself."""

    def _explained(self, refusal: str, directory: Path) -> str:
        """Return a refusal as it is told."""
        del directory
        return refusal

    def _launch(self) -> None:
        user = server_user(self._data_dir)
        program = self._program(user)
        home = server_home(self._data_dir, user)
        if home != self._data_dir:  # a copy of our data directory would point to the same home
            self._locks.enter_context(DirectoryLock(home))
        self._password = kept_password(self._data_dir / "password")
        directory = self._prepare(program, home, user)
        log = fresh_log(self._data_dir)
        deadline = time.monotonic() + _READY_WITHIN.total_seconds()
        while (refusal := self._try(program, directory, user, log, deadline)) is not None:
            if time.monotonic() > deadline or not self._passes(refusal):
                reason = self._explained(refusal, directory)
                raise LocalServerError(f"{self._name} did not start: {reason} (log: {log}).")
            log.unlink()
            time.sleep(0.1)

    def _try(
        self, program: Path, directory: Path, user: SystemUser, log: Path, deadline: float
    ) -> str | None:
        """Start once. Return None when the server is ready, else its last words."""
        port = self._port or free_port()
        self._process = self._spawn(program, directory, user, log, port)
        while self._process.poll() is None:
            if self._ready(directory, self._process.pid, port):
                self._port = port
                return None
            if time.monotonic() > deadline:
                return f"it was not ready within {_READY_WITHIN.total_seconds():.0f} s"
            time.sleep(0.01)
        return last_words(log.read_text(encoding="utf-8", errors="replace"))

    def _halt(self, steps: Sequence[Step]) -> None:
        if self._process is not None:
            stop(self._process.pid, steps)
            self._process.wait()
            self._process = None
