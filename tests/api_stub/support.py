"""Helpers of the read API's tests: a service in this process on a real database, and rows to serve."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import httpx
from psycopg.types.json import Jsonb
from pydantic import SecretStr
from sqlalchemy import Engine, text

from api_stub.app import create
from api_stub.service import Service
from shared import database
from shared.accounts.api_keys import create_key
from shared.settings import Settings

Result = TypeVar("Result")
CREATED_AT = datetime(2026, 6, 23, 10, 15, 30, tzinfo=UTC)
POSTS = "/v1/analytics/posts"


@dataclass
class Rows:
    """Stores accounts and publications with their analytics rows, as ingestion and worker store them."""

    engine: Engine
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def account(self, account_id: str = "acc_1", workspace: str = "ws_1", **columns: Any) -> str:
        """Store an account."""
        self.insert(
            "accounts",
            {
                "account_id": account_id,
                "workspace_id": workspace,
                "platform": "instagram",
                "platform_account_id": f"pa_{account_id}",
                **columns,
            },
        )
        return account_id

    def publication(
        self,
        account_id: str = "acc_1",
        *,
        state: Mapping[str, Any] | None = None,
        analytics: Mapping[str, Any] | None = None,
        **columns: Any,
    ) -> int:
        """Store a publication of a known account, fresh and synced by default; return its id."""
        number = next(self.numbers)
        workspace, platform = self.execute(
            "SELECT workspace_id, platform FROM accounts WHERE account_id = :id", id=account_id
        )[0]
        row = {
            "workspace_id": workspace,
            "account_id": account_id,
            "platform": platform,
            "post_id": f"post_{number}",
            "platform_post_id": f"1800000000000{number:04}",
            "created_at": CREATED_AT + timedelta(minutes=number),
            **columns,
        }
        publication_id: int = self.insert("publications", row, returning="id")
        now = datetime.now(UTC)
        served = {
            "publication_id": publication_id,
            "sync_status": "synced",
            "metrics": {"views": 1},
            "last_updated_at": now - timedelta(hours=1),
            "stale_after": now + timedelta(hours=5),
            **(analytics or {}),
        }
        self.insert("post_analytics", served)
        next_run_at = served["stale_after"]
        waiting = {"next_run_at": next_run_at, "reason": "stale", **(state or {})}
        self.insert("refresh_state", {"publication_id": publication_id, "account_id": account_id, **waiting})
        return publication_id

    def insert(self, table: str, row: Mapping[str, Any], returning: str | None = None) -> Any:
        """Insert one row; dictionaries are stored as JSON."""
        values = ", ".join(f":{name}" for name in row)
        statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})"
        parameters = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in row.items()}
        if returning is None:
            self.execute(statement, **parameters)
            return None
        return self.execute(f"{statement} RETURNING {returning}", **parameters)[0][0]

    def execute(self, statement: str, **parameters: Any) -> list[Any]:
        """Run one statement and commit; return its rows, if any."""
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result.all()) if result.returns_rows else []

    def key(self, workspace: str = "ws_1") -> str:
        """Make an API key."""
        with self.engine.begin() as connection:
            return create_key(connection, workspace, "tests")[1]

    def state(self, publication_id: int) -> Any:
        """Return the row of `refresh_state` of a publication."""
        return self.execute("SELECT * FROM refresh_state WHERE publication_id = :id", id=publication_id)[0]


@dataclass
class Api:
    """A running service and a client with an API key; each call drives the service's own event loop."""

    rows: Rows
    service: Service
    client: httpx.AsyncClient
    runner: asyncio.Runner

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run something on the service's event loop."""
        return self.runner.run(coroutine)

    def get(self, path: str = POSTS, **options: Any) -> httpx.Response:
        """Send a request with the key of ``ws_1``; ``headers`` replace it."""
        return self.run(self.client.get(path, **options))

    def posts(self, **parameters: Any) -> Any:
        """Return the body of a page."""
        answer = self.get(params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, path: str = POSTS, **options: Any) -> Any:
        """Return the error of a request that is refused, with its status."""
        answer = self.get(path, **options)
        assert answer.status_code >= 400, answer.text
        return {"status": answer.status_code, **answer.json()["error"]}


@contextmanager
def api(database_url: str, **settings: Any) -> Iterator[Api]:
    """Run the service in this process on a migrated database, with an account ``acc_1`` in ``ws_1``."""
    engine = database.connect(database_url, application="tests")
    rows = Rows(engine)
    rows.account()
    service = Service(Settings(database_url=SecretStr(database_url), **settings))
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(create(service)),
        base_url="http://api.test",
        headers={"Authorization": f"Bearer {rows.key()}"},
        timeout=30,
    )
    try:
        with asyncio.Runner() as runner:
            running = service.running()
            runner.run(running.__aenter__())
            try:
                yield Api(rows, service, client, runner)
            finally:
                runner.run(client.aclose())
                runner.run(running.__aexit__(None, None, None))
    finally:
        engine.dispose()
