"""What a drill plays on: a running local stack, its simulated platforms, a terminal and a browser."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Locator, Page
from sqlalchemy import text

from deploy.bench.local_stack import DRAVO, LocalStack
from shared.database import connect

_POLL_SECONDS: Final = 0.5
_CLICK_MS: Final = 60_000


class DrillError(Exception):
    """A recovery did not go as it should; the message says where it ended."""


@dataclass(slots=True)
class Environment:
    """The stack, and what was done on it: commands and clicks are counted."""

    stack: LocalStack
    page: Page
    directory: Path
    webhook_id: str = ""
    """The endpoint whose receiver is `receiver`."""
    receiver_status: int = 204
    """What that receiver answers."""
    actions: int = 0
    """Commands, or clicks, since the last `begin`."""
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _halted: list[int] = field(default_factory=list)

    def begin(self) -> None:
        """Begin to count anew."""
        self.actions = 0

    # The terminal

    def command(self, line: str) -> str:
        """Run a command as an operator does and return its output. Raises `DrillError` if it fails."""
        self.actions += 1
        done = self._dravo(*line.split())
        if done.returncode:
            raise DrillError(f"`dravo {line}`: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(self, service: str) -> None:
        """Start a service as an operator does; `clean_up` ends it."""
        self.actions += 1
        process = subprocess.Popen(
            [DRAVO, service],
            env=self._variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._started.append(process)

    def json(self, *arguments: str) -> Any:
        """Return the document of a command that does not count."""
        return json.loads(self._dravo(*arguments, "--json").stdout)

    def quietly(self, *arguments: str) -> None:
        """Run a command that somebody else gives, so that it does not count."""
        done = self._dravo(*arguments)
        if done.returncode:
            raise DrillError(f"`dravo {' '.join(arguments)}`: {done.stderr.strip()}")

    def need(self, words: str) -> dict[str, Any] | None:
        """Return the line of `dravo status` whose cause has these words."""
        needs: list[dict[str, Any]] = self.json("status")["needs_you"]
        return next((one for one in needs if words in one["cause"]), None)

    def _dravo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [DRAVO, *arguments], env=self._variables, check=False, capture_output=True, text=True
        )

    @property
    def _variables(self) -> dict[str, str]:
        return {**os.environ, **self.stack.settings}

    # The browser

    def click(self, target: Locator) -> None:
        """Click as an operator does."""
        self.actions += 1
        target.click(timeout=_CLICK_MS)

    def line(self, words: str) -> Locator:
        """Return the line on top of the page whose cause has these words."""
        return self.page.locator(".needs li", has_text=words)

    # What goes wrong, and what others repair

    def behave(self, platform: str, conditions: Mapping[str, Any]) -> None:
        """Replace the conditions of a simulated platform."""
        self.control("PUT", f"/behaviour/{platform}", conditions)

    def control(self, method: str, path: str, body: Any) -> None:
        """Change the simulated platforms."""
        url = self.stack.settings["SIMULATORS_CONTROL"] + path
        httpx.request(method, url, json=body, timeout=10).raise_for_status()

    def send_event(self, event: Mapping[str, Any]) -> None:
        """Send an event to the pipeline, as the rest of Dravo does."""
        token = self.stack.settings["DRAVO_INTERNAL_TOKEN"]
        headers = {"authorization": f"Bearer {token}"}
        httpx.post(f"{self.stack.url}/internal/events", json=event, headers=headers).raise_for_status()

    def execute(self, statement: str, **bound: object) -> None:
        """Change the database, for what takes too long to wait for."""
        engine = connect(self.stack.settings["DRAVO_DATABASE_URL"], application="drill", pool_size=1)
        with engine.begin() as connection:
            connection.execute(text(statement), bound)
        engine.dispose()

    def kill(self, module: str) -> None:
        """Kill a service of the stack, and keep its supervisor from starting it again until `clean_up`."""
        supervisor = self.stack.process_id
        os.kill(supervisor, signal.SIGSTOP)
        self._halted.append(supervisor)
        for process_id in _children(supervisor):
            if _arguments(process_id)[-1:] == [module]:
                os.kill(process_id, signal.SIGKILL)

    def restart(self) -> None:
        """Let the supervisor start again what was killed."""
        while self._halted:
            os.kill(self._halted.pop(), signal.SIGCONT)

    def clean_up(self) -> None:
        """End what this drill has started, and let the supervisor go on."""
        self.restart()
        while self._started:
            process = self._started.pop()
            process.terminate()
            process.wait(30)


def wait_for(condition: Callable[[], bool], within_seconds: float, what: str) -> None:
    """Wait until a condition holds. Raises `DrillError`."""
    until = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > until:
            raise DrillError(f"not within {within_seconds:g} s: {what}")
        time.sleep(_POLL_SECONDS)


@contextmanager
def receiver(environment: Environment) -> Iterator[str]:
    """Run a receiver of webhooks that answers with its status; provide its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(environment.receiver_status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _children(process_id: int) -> list[int]:
    tasks = Path(f"/proc/{process_id}/task").iterdir()
    return [int(one) for task in tasks for one in (task / "children").read_text().split()]


def _arguments(process_id: int) -> list[str]:
    return Path(f"/proc/{process_id}/cmdline").read_text().split("\0")[:-1]
