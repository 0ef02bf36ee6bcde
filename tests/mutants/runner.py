"""Runs tests on one mutant after another, in a private copy of the tree, on servers that start once.

Each run is a fork of a process that has imported pytest and the libraries, but no module of this project, so
that its time is the time of the tests.
"""

import gc
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import redis
from psycopg import sql

from deploy.local.servers.postgres import Postgres
from deploy.local.servers.valkey import Valkey
from tests.mutants.change import Mutant
from tests.servers import FASTER, MIGRATED, connect, fast_parent, server_directory

_OURS = ("shared", "worker", "scheduler", "api_stub", "deploy", "tests")
_PRELOADED = (
    "alembic.command",
    "dramatiq.brokers.redis",
    "httpx",
    "hypothesis",
    "pydantic_settings",
    "sqlalchemy",
)
_MORE_PRELOADED = (
    "apscheduler.schedulers.background",
    "cryptography.fernet",
    "prometheus_client",
    "structlog",
)
_PLUGINS_OFF = ("playwright", "base_url")


class Verdict(StrEnum):
    """The result of the tests on a mutant."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    TIMEOUT = "timeout"


class _Servers:
    """A pytest plugin that provides the running servers as the session's fixtures."""

    def __init__(self, postgres: Postgres, valkey: Valkey) -> None:
        self._running = {"postgres_server": postgres, "valkey_server": valkey}

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object], request: Any) -> object:
        server = self._running.get(fixturedef.argname)
        if server is not None:
            fixturedef.cached_result = (server, fixturedef.cache_key(request), None)
        return server


class MutantRunner:
    """A copy of the tree with its servers, as `open_runner` gives it."""

    def __init__(self, tree: Path, postgres: Postgres, valkey: Valkey) -> None:
        self._tree, self._postgres, self._valkey = tree, postgres, valkey

    def seconds(self, tests: Sequence[str], *, time_limit: float = 300) -> float:
        """Return how long the tests take on the unchanged code. Raises `RuntimeError` when they fail."""
        started = time.monotonic()
        if self._run(tests, time_limit) is not Verdict.SURVIVED:
            raise RuntimeError(f"tests fail without a mutant: {' '.join(tests)}\n{self._output()[-3000:]}")
        return time.monotonic() - started

    def verdict_of(self, mutant: Mutant, tests: Sequence[str], time_limit: float) -> Verdict:
        """Run the tests on one mutant."""
        file = self._tree / mutant.path
        original = file.read_bytes()
        mutant.apply(self._tree)
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            compiled.unlink()
        try:
            return self._run(tests, time_limit)
        finally:
            file.write_bytes(original)

    def _run(self, tests: Sequence[str], time_limit: float) -> Verdict:
        child = os.fork()
        if not child:
            os._exit(self._child(tests))
        deadline = time.monotonic() + time_limit
        try:
            while time.monotonic() < deadline:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    return Verdict.SURVIVED if status == 0 else Verdict.CAUGHT
                time.sleep(0.02)
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Verdict.TIMEOUT
        finally:
            self._tidy()

    def _child(self, tests: Sequence[str]) -> int:
        try:
            os.setsid()
            os.chdir(self._tree)
            output = os.open(self._tree / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            for name in [name for name in sys.modules if name.split(".")[0] in _OURS]:
                del sys.modules[name]
            sys.path[:] = [str(self._tree), *(path for path in sys.path if path not in {"", str(Path.cwd())})]
            os.environ["PYTHONPATH"] = str(self._tree)
            off = [word for name in _PLUGINS_OFF for word in ("-p", f"no:{name}")]
            arguments = ["-x", "--tb=short", "--assert=plain", "--rootdir", str(self._tree), *off, *tests]
            return int(pytest.main(arguments, plugins=[_Servers(self._postgres, self._valkey)]))
        except BaseException:  # noqa: BLE001 - after any error the child must not continue as its parent
            traceback.print_exc()
            return 99
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    def _output(self) -> str:
        return (self._tree / "output").read_text(errors="replace")

    def _tidy(self) -> None:
        """Delete the databases and keys that a killed run left."""
        with connect(self._postgres.url_of("postgres")) as connection:
            names = connection.execute(
                "SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%'"
            ).fetchall()
            for (name,) in names:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        with redis.Redis.from_url(self._valkey.url_of(0)) as client:
            client.flushall()


@contextmanager
def open_runner(source: Path) -> Iterator[MutantRunner]:
    """Copy the tree and start the servers; stop and remove them afterwards."""
    for name in (*_PRELOADED, *_MORE_PRELOADED):
        importlib.import_module(name)
    with server_directory(fast_parent()) as directory:
        tree = directory / "tree"
        shutil.copytree(
            source,
            tree,
            ignore=shutil.ignore_patterns(".venv", ".git", "__pycache__", "build", ".*_cache", ".hypothesis"),
        )
        with (
            Postgres(directory / "postgres", FASTER) as postgres,
            Valkey(directory / "valkey", ["databases 16", "appendonly no"]) as valkey,
        ):
            code = "import sys; from shared.database import migrate; migrate(sys.argv[1])"
            subprocess.run([sys.executable, "-c", code, postgres.url_of(MIGRATED)], cwd=tree, check=True)
            gc.freeze()
            yield MutantRunner(tree, postgres, valkey)
