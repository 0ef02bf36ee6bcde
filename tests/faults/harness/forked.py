"""Services that are forked from a process which has imported the libraries already.

A start takes a fraction of the CPU time of a new interpreter, and the short matrix starts dozens of services.
New interpreters are started by `tests.faults.test_shutdown`, `tests.contract` and ``make faults``.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

_LIBRARIES = (
    *("apscheduler.schedulers.background", "cryptography.fernet", "dramatiq.brokers.redis", "httpx", "jwt"),
    *("opentelemetry.trace", "prometheus_client", "psycopg_pool", "pydantic_settings", "redis.asyncio"),
    *(
        "sqlalchemy.dialects.postgresql.psycopg",
        "starlette.applications",
        "structlog.stdlib",
        "uvicorn.server",
    ),
    *("uvicorn.protocols.http.httptools_impl", "uvloop"),
)
"""Not the product's modules: some of them read the environment when they are imported."""


class ForkedProcess:
    """``python -m module`` in a forked process, with the methods of `subprocess.Popen` that a fleet uses."""

    def __init__(self, module: str, environment: Mapping[str, str], log: Path, root: Path) -> None:
        log.touch()  # it is read before the process opens it
        self._process = _context().Process(target=_run, args=(module, dict(environment), log, root))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative after a signal; ``None`` while the process runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code. Raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal if the process runs."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL if the process runs."""
        self._process.kill()


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_LIBRARIES))
    return context


def _run(module: str, environment: Mapping[str, str], log: Path, root: Path) -> None:
    """Become the service."""
    os.setsid()
    os.chdir(root)
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    sys.path.insert(0, str(root))
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
