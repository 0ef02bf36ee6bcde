"""What the fixtures in conftest.py are made of: real servers in a directory of their own."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import LiteralString

import psutil  # type: ignore[import-untyped]  # psutil publishes no types
import psycopg
from psycopg import sql

from deploy.local.postgres import Postgres

FASTER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests that ask nothing about lost power: a killed process loses nothing by these."""


_MEMORY = Path("/dev/shm")  # noqa: S108 - inside it, only directories that mkdtemp makes
_ROOM = 2 * 1024**3  # bytes; a container's default of 64 MB would be full after some tests


def fast_parent() -> Path | None:
    """Return a file system in memory if there is one with room: databases are copied 20 times faster."""
    return _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM else None


@contextmanager
def server_directory(parent: Path | None = None) -> Iterator[Path]:
    """Give a new directory that "nobody" can enter, for tests run as root; tmp_path is private."""
    directory = Path(tempfile.mkdtemp(prefix="dravo-test-", dir=parent))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


class Databases:
    """Makes and drops databases on a server that many tests share, over one connection that stays open."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._connection = connect(server.url_of("postgres"))

    @contextmanager
    def fresh(self, name: str, template: str = "template1") -> Iterator[str]:
        """Make a database from a template, give its URL, drop it (and whoever is still connected) after."""
        # FILE_COPY copies files; the default writes every page to the write-ahead log as well.
        self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
        try:
            yield self._server.url_of(name)
        finally:
            self._run("DROP DATABASE {} WITH (FORCE)", name)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _run(self, statement: LiteralString, *names: str) -> None:
        self._connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def fresh_database(server: Postgres, name: str, template: str = "template1") -> Iterator[str]:
    """Make one database, give its URL, drop it afterwards."""
    with closing(Databases(server)) as databases, databases.fresh(name, template) as url:
        yield url


def connect(url: str) -> psycopg.Connection:
    """Open a psycopg connection in autocommit mode from an SQLAlchemy URL."""
    return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)


def start_and_die(kind: str, data_dir: Path) -> int:
    """Start a server ("Postgres" or "Valkey") from a launcher that then dies; return the server's id."""
    code = (
        "import os, pathlib, signal, sys\n"
        f"from deploy.local.{kind.lower()} import {kind}\n"
        f"server = {kind}(pathlib.Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(data_dir)], stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    return int(done.stdout)


def runs(pid: int) -> bool:
    """Tell whether a process runs; one that ended and waits for its parent to notice does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def private_wheel(distribution: str, directory: Path) -> Iterator[None]:
    """Install a wheel in front of the real one as root with umask 077 would: open to its owner alone."""
    wheel = metadata.distribution(distribution)
    private = directory / "private"
    private.mkdir(mode=0o700)
    for name in {file.parts[0] for file in wheel.files or []} - {".."}:
        shutil.copytree(str(wheel.locate_file(name)), private / name)
    for path in private.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
    sys.path.insert(0, str(private))
    try:
        yield
    finally:
        sys.path.remove(str(private))


@contextmanager
def ordinary_rights() -> Iterator[None]:
    """Give up root's rights to write everywhere; an ordinary user has none to give up."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
