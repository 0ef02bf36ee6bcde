"""Real servers for tests: their directories, their databases, and copies of what is slow to make."""

import fcntl
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
from typing import Final, LiteralString

import psutil
import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from deploy.local.servers.postgres import NAME, Postgres

FASTER: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Settings for tests that do not cut the power: a killed process loses nothing by these."""
MIGRATED: Final = NAME
"""The database that has the project's schema in a copied cluster; the tests' databases are copies of it."""

REDIS_DATABASES: Final = 16
"""Logical databases of a shared Valkey that tests get in turn."""
CONTRACT_REDIS_DATABASE: Final = REDIS_DATABASES
"""One more, for the fleet of `tests.contract`."""

_MEMORY = Path("/dev/shm")  # noqa: S108 - inside it, only directories that mkdtemp makes
_LEAST_FREE = 2 * 1024**3  # bytes; a container's default of 64 MB would be full after some tests
_RUN_DIRECTORY = "TESTS_RUN_DIRECTORY"


def fast_parent() -> Path | None:
    """Return a file system in memory if one has space: it copies databases 20 times faster than a disk."""
    return _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _LEAST_FREE else None


def new_server_directory(parent: Path | None = None) -> Path:
    """Make a directory that the user "nobody" can enter, for tests run as root; tmp_path is private."""
    directory = Path(tempfile.mkdtemp(prefix="dravo-test-", dir=parent))
    directory.chmod(0o711)
    return directory


@contextmanager
def server_directory(parent: Path | None = None) -> Iterator[Path]:
    """Give a new server directory and remove it afterwards."""
    directory = new_server_directory(parent)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def run_directory() -> Iterator[None]:
    """Keep one directory for all processes of a test run, which inherit its path in their environment."""
    if _RUN_DIRECTORY in os.environ:
        yield
        return
    with server_directory(fast_parent()) as directory:
        os.environ[_RUN_DIRECTORY] = str(directory)
        try:
            yield
        finally:
            del os.environ[_RUN_DIRECTORY]


def copy_cluster(data_dir: Path) -> None:
    """Put a copy of the run's PostgreSQL cluster into a new data directory; its database is migrated.

    initdb and the migrations run once in a test run, here, in the first process that needs a cluster.
    """
    shared = Path(os.environ[_RUN_DIRECTORY])
    original = shared / "postgres"
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not original.exists():
            _make_cluster(shared / "new")
            (shared / "new").rename(original)
    # The command, because it keeps the files' owner: as root, servers run as another user.
    subprocess.run(["cp", "-a", str(original), str(data_dir)], check=True)


def _make_cluster(data_dir: Path) -> None:
    from shared.database import migrate  # here, so that broken code fails its tests, not the whole collection

    with Postgres(data_dir, FASTER) as server:
        migrate(server.url)
        # Its password is random, and tests open thousands of connections: each would hash it 4,096 times.
        with connect(server.url) as connection:
            connection.execute("SET scram_iterations = 1")
            password = sql.Literal(make_url(server.url).password)
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(NAME), password))


class Databases:
    """Creates and drops databases on a server that many tests share, over one connection that stays open."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._connection = connect(server.url_of("postgres"))

    @contextmanager
    def fresh(self, name: str, template: str = "template1") -> Iterator[str]:
        """Create a database from a template, give its URL, and drop it afterwards with its connections."""
        # FILE_COPY copies files; the default also writes every page to the write-ahead log.
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
    """Create one database, give its URL, and drop it afterwards."""
    with closing(Databases(server)) as databases, databases.fresh(name, template) as url:
        yield url


def connect(url: str) -> psycopg.Connection:
    """Open a psycopg connection in autocommit mode from an SQLAlchemy URL."""
    return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)


def start_and_die(kind: str, data_dir: Path) -> int:
    """Start a server ("Postgres" or "Valkey") from a launcher that then dies; return the server's pid."""
    code = (
        "import os, pathlib, signal, sys\n"
        f"from deploy.local.servers.{kind.lower()} import {kind}\n"
        f"server = {kind}(pathlib.Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(data_dir)], stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    return int(done.stdout)


def runs(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def private_wheel(distribution: str, directory: Path) -> Iterator[None]:
    """Put a copy of a wheel first on the path that only its owner can read, as umask 077 makes it."""
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
    """Drop root's right to write everywhere for a while; an ordinary user does not have it."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
