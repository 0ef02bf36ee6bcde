"""The operators' page in this process on a real database, and an HTTP client that keeps its session."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection
from starlette.routing import Router

from api_stub.http.middleware import RequestMiddleware
from api_stub.ops.context import OpsContext
from api_stub.ops.routes import routes
from scheduler.summaries.summary_writer import SummaryWriter
from shared import database, redis_client
from shared.settings import Settings
from tests.api_stub.support import Rows

TOKEN = "the operators' token of these tests"


@dataclass
class Ops:
    """A running operators' page and a client of it."""

    rows: Rows
    context: OpsContext
    client: httpx.AsyncClient
    runner: asyncio.Runner
    settings: Settings

    def get(self, path: str = "/ops", **options: Any) -> httpx.Response:
        """Request a page."""
        return self.runner.run(self.client.get(path, **options))

    def post(self, path: str, form: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        """Send a form as it stands."""
        return self.runner.run(self.client.post(path, data=form or {}, **options))

    def sign_in(self, name: str = "Anna", token: str = TOKEN) -> httpx.Response:
        """Log in."""
        return self.post("/ops/login", {"name": name, "token": token})

    def send(self, path: str, **form: str) -> httpx.Response:
        """Send a form with the session's CSRF token, and wait for the background re-syncs."""
        page = self.get("/ops/audit-log").text
        match = re.search(r'name="csrf" value="([^"]+)"', page) or re.search(
            r'name="csrf" value="([^"]+)"', self.get("/ops").text
        )
        assert match, "no form is on the page"
        answer = self.post(path, {"csrf": match[1], **form})
        self.context.resyncs.wait()
        return answer

    def write_summary(self, *, steps: int = 1) -> SummaryWriter:
        """Write the summary once, as a scheduler does."""
        url = self.settings.redis if self.settings.redis_url else "redis://127.0.0.1:1/0"
        writer = SummaryWriter(self.context.engine, redis_client.connect(url))
        with self.context.engine.connect() as connection:
            self._count(writer, connection, steps)
        return writer

    @staticmethod
    def _count(writer: SummaryWriter, connection: Connection, steps: int) -> None:
        for _ in range(steps):
            writer.counter.step(connection)
            connection.rollback()
        writer.write(connection)


@contextmanager
def page(
    database_url: str, peer: str = "203.0.113.7", host: str = "ops.test", **settings: Any
) -> Iterator[Ops]:
    """Run the page for a client at the address ``peer`` that uses the host name ``host``."""
    made = Settings(database_url=SecretStr(database_url), **settings)
    engine = database.connect(database_url, application="tests")
    context = OpsContext(made)
    app = RequestMiddleware(Router(routes(context)), None)
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=(peer, 50_000)), base_url=f"http://{host}", timeout=30
    )
    try:
        with asyncio.Runner() as runner:
            yield Ops(Rows(engine), context, client, runner, made)
            runner.run(client.aclose())
    finally:
        context.close()
        engine.dispose()


@pytest.fixture
def ops(database_url: str) -> Iterator[Ops]:
    """Give a page with a token and an account, and Anna logged in."""
    with page(database_url, ops_token=TOKEN) as running:
        running.rows.account()
        assert running.sign_in().status_code == 303
        yield running
