"""A harness for tests of scheduler and worker: rows in a real database, an adapter that follows a script."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx
from pydantic import SecretStr
from sqlalchemy import Engine, text

from shared import database
from shared.accounts.vault import Vault, new_key
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.http.in_process import InProcess
from tests.worker.quota.unlimited import unlimited_budgets
from worker.adapters.contract import Upstream
from worker.clock import DatabaseClock
from worker.context import WorkerContext
from worker.errors import RefreshError
from worker.http.client import Client
from worker.readings import Account, Answer, Publication, Reading, Tokens

Script = Callable[[Account, Publication], Reading | RefreshError]


def reads(**metrics: int) -> Script:
    """Answer every publication with these numbers."""
    return lambda _account, publication: Reading(publication.id, Answer.READ, metrics)


@dataclass
class ScriptedAdapter:
    """An adapter that answers by a script and records every request."""

    script: Script = field(default_factory=lambda: reads(views=1))
    renewal_endpoint: str | None = "oauth/token"
    requested: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    renewals: list[str] = field(default_factory=list)
    renewal: Tokens | RefreshError | None = None

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Answer publication by publication; an error ends the fetch, as it does in a real adapter."""
        del upstream
        self.requested.append((account.account_id, tuple(publication.id for publication in publications)))
        for publication in publications:
            answer = self.script(account, publication)
            if isinstance(answer, RefreshError):
                raise answer
            yield answer

    def renew(self, upstream: Upstream, account: Account) -> Tokens:
        """Return the scripted tokens, or raise the scripted error."""
        del upstream
        self.renewals.append(account.account_id)
        if isinstance(self.renewal, RefreshError):
            raise self.renewal
        assert self.renewal is not None
        return self.renewal


@dataclass
class Harness:
    """A migrated database, a worker's context, and the scripted adapter that it uses for every platform."""

    engine: Engine
    """Has every right; the context's engine has the worker's role, and ``scheduler`` the scheduler's."""
    context: WorkerContext
    adapter: ScriptedAdapter
    scheduler: Engine

    def account(self, account_id: str, platform: Platform = Platform.INSTAGRAM, **columns: Any) -> str:
        """Store an account and return its id."""
        seal = self.context.vault.seal
        row = {
            "account_id": account_id,
            "workspace_id": "ws_1",
            "platform": platform.value,
            "platform_account_id": f"pa_{account_id}",
            "sealed_access_token": seal(SecretStr(f"token-of-{account_id}")),
            **columns,
        }
        self.execute(_insert("accounts", row), **row)
        return account_id

    def publications(self, account_id: str, number: int = 1, **state: Any) -> list[int]:
        """Store due publications of an account and return their ids."""
        ids = self.execute(
            """
            INSERT INTO publications
                   (workspace_id, post_id, account_id, platform, platform_post_id, created_at)
            SELECT workspace_id, 'post_' || account_id || n, account_id, platform,
                   account_id || '_' || n, :created
              FROM accounts, generate_series(1, :number) n WHERE account_id = :account_id
            RETURNING id
            """,
            account_id=account_id,
            number=number,
            created=datetime.now(UTC) - timedelta(days=1),
        )
        stored = [publication_id for (publication_id,) in ids]
        due = {"next_run_at": datetime.now(UTC) - timedelta(minutes=1)}
        rows = [
            {"publication_id": one, "account_id": account_id, "reason": "new", **due, **state}
            for one in stored
        ]
        if rows:
            with self.engine.begin() as connection:
                connection.execute(text(_insert("refresh_state", rows[0])), rows)
                connection.execute(
                    text("INSERT INTO post_analytics (publication_id) SELECT unnest(CAST(:ids AS bigint[]))"),
                    {"ids": stored},
                )
        return stored

    def execute(self, statement: str, **parameters: Any) -> list[Any]:
        """Run one statement and commit; return its rows, if any."""
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result.all()) if result.returns_rows else []

    def state(self, publication_id: int) -> Any:
        """Return a publication's refresh state and analytics row."""
        return self.execute(
            "SELECT r.*, a.*, r.next_run_at - now() AS wait FROM refresh_state r"
            " JOIN post_analytics a USING (publication_id) WHERE publication_id = :id",
            id=publication_id,
        )[0]


def _insert(table: str, row: dict[str, Any]) -> str:
    values = ", ".join(f":{name}" for name in row)
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})"


@cache
def _default_settings() -> Settings:
    """Return the defaults, once: to read the environment takes as long as a small test."""
    return Settings()


def _no_platform(request: httpx.Request) -> httpx.Response:
    """Fail: only the scripted adapter answers. A real transport would also load every CA certificate."""
    raise AssertionError(f"a scripted adapter called {request.url.host}")


@contextmanager
def open_harness(database_url: str, **settings: Any) -> Iterator[Harness]:
    """Open a harness on a migrated database; ``settings`` are fields of `Settings`."""
    engine, worker, scheduler = (
        database.connect(database_url, application="tests", role=role)
        for role in (None, "dravo_worker", "dravo_scheduler")
    )
    key = SecretStr(new_key())
    adapter = ScriptedAdapter()
    clock = DatabaseClock()
    try:
        with Client(now=clock.now, transport=InProcess(_no_platform)) as client:
            context = WorkerContext(
                settings=Settings(**settings) if settings else _default_settings(),
                engine=worker,
                vault=Vault([key]),
                client=client,
                clock=clock,
                adapters=dict.fromkeys(Platform, adapter),
                budgets=unlimited_budgets(),
            )
            yield Harness(engine, context, adapter, scheduler)
    finally:
        for each in (engine, worker, scheduler):
            each.dispose()
