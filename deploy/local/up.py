"""``dravo up``: runs the whole system on this machine, as the same separate processes as in production.

A database, Redis and platform credentials that the environment names are used. What it does not name is
started here: embedded servers, simulated platforms, demo accounts and posts.
"""

import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, TypeVar

import httpx
from sqlalchemy import Engine, text

from deploy import console
from deploy.local import demo, private_files, running, simulated, webhooks
from deploy.local.errors import LocalServerError
from deploy.local.lock import DirectoryInUseError, DirectoryLock
from deploy.local.servers.postgres import Postgres
from deploy.local.servers.valkey import Valkey
from deploy.local.services import Service, Services
from shared import database
from shared.accounts import api_keys
from shared.accounts.vault import Vault, new_key
from shared.erasure.ledger import LedgerError, ledger_of
from shared.erasure.replay import replay
from shared.ingestion import importer
from shared.settings import Settings, load
from shared.vocabulary import Platform

Result = TypeVar("Result")

_READY_WITHIN_SECONDS = 30.0
_WATCH_SECONDS = 0.5

_WORKSPACE = "ws_north"
"""The workspace of the demo that gets an API key and a webhook endpoint."""

_DEFAULTS = {
    # A demo shows in minutes what takes days in production. The simulated numbers grow 120 times as fast as
    # the clock, so the rule's half-lives are of no use: each row's own growth decides, from 5 s to a minute.
    "DRAVO_FRESHNESS_PRIORS": ",".join(f"{platform}=30d/5s/1m" for platform in Platform),
    "DRAVO_MISSING_CONFIRM_SECONDS": "10",
    "DRAVO_RETRY_SECONDS": "2",
    "DRAVO_WEBHOOK_ALLOW_NETWORKS": webhooks.LOOPBACK,
}


def run(*, data_dir: Path) -> int:
    """Run everything until Ctrl-C or SIGTERM. Returns 0, or 1 after one sentence on stderr.

    Where another one runs already, print its addresses.
    """
    data_dir = data_dir.absolute()
    # SIGINT, too: a shell's background job inherits that it is ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    settings = load()
    try:
        with ExitStack() as stack:
            _run(stack, settings, data_dir)
    except KeyboardInterrupt:
        console.show("Everything is stopped; the data is kept.")
        return 0
    except DirectoryInUseError as error:
        console.complain(f"dravo: {error}")
        if greeting := running.read_greeting(data_dir):
            console.show(greeting)
        return 1
    except (LocalServerError, LedgerError) as error:
        console.complain(f"dravo: {error}")
        return 1
    return 0


def _run(stack: ExitStack, settings: Settings, data_dir: Path) -> None:
    began = time.monotonic()
    stack.enter_context(DirectoryLock(data_dir))
    running.write_greeting(data_dir, "")
    _check_port(settings)
    environment = {**_DEFAULTS, **os.environ, "DRAVO_DATA_DIR": str(data_dir)}
    environment.setdefault(
        "DRAVO_SECRET_KEYS", private_files.read_or_create(data_dir / "secret-key", new_key)
    )
    environment.setdefault("DRAVO_OPS_TOKEN", private_files.read_or_create_password(data_dir / "ops-token"))
    login = token_urlsafe(24)
    private_files.write(data_dir / "ops-login", login)
    environment.setdefault("DRAVO_ERASURE_LOGS", ",".join(_logs(data_dir)))
    environment["DRAVO_OPS_LOGIN_FILE"] = str(data_dir / "ops-login")
    environment.setdefault(
        "DRAVO_INTERNAL_TOKEN", private_files.read_or_create_password(data_dir / "internal-token")
    )
    postgres: Postgres | None = None
    if not settings.database_url:
        postgres = _step("PostgreSQL", lambda: stack.enter_context(Postgres(data_dir / "postgres")))
        environment["DRAVO_DATABASE_URL"] = postgres.url
        environment.setdefault("DRAVO_ERASURE_LEDGER", str(data_dir / "erasures.jsonl"))
    if not settings.redis_url:
        valkey = _step("Valkey", lambda: stack.enter_context(Valkey(data_dir / "valkey")))
        environment["DRAVO_REDIS_URL"] = valkey.url
    os.environ.update(environment)  # this process uses the same settings as the services
    settings = load("database_url", "redis_url", "secret_keys")
    services = stack.enter_context(Services(data_dir / "logs"))
    control = _step("Simulated platforms", lambda: simulated.start(services, data_dir, environment))
    url = f"http://{settings.api_host}:{settings.api_port}"
    running.write_environment(data_dir, environment, **{running.CONTROL: control, running.API_URL: url})
    _step("Schema", lambda: database.migrate(settings.database))
    engine = database.connect(settings.database, application="dravo-up", pool_size=1)
    stack.callback(engine.dispose)
    if postgres and (ledger := ledger_of(settings)):
        replay(engine, ledger)  # an earlier copy of the database may lie in the directory, or a new one
    _step("Demo data", lambda: _demo(engine, settings, data_dir, control))
    api_key = _api_key(engine, data_dir)
    for name in ("scheduler", "worker"):
        services.start(name, name, environment)
    receiver = webhooks.start(services, engine, settings, environment, data_dir, _WORKSPACE)
    api = services.start("api", "api_stub", environment)
    _step("API", lambda: _wait_until_ready(api, url))
    greeting = _greeting(url, api_key, login, receiver, data_dir)
    console.show(
        "", f"Dravo is up after {time.monotonic() - began:.1f} s.", greeting, "Ctrl-C stops everything.", ""
    )
    running.write_greeting(data_dir, greeting)
    _watch(services, engine, began)


def _logs(data_dir: Path) -> list[str]:
    """Return where the logs of the services and of the embedded servers are."""
    servers = [
        data_dir / server / log for server in ("postgres", "valkey") for log in ("log", "log.previous")
    ]
    return [str(one) for one in (data_dir / "logs", *servers)]


def _step(name: str, action: Callable[[], Result]) -> Result:
    began = time.monotonic()
    result = action()
    console.show(f"  {name:<20} ready after {time.monotonic() - began:5.2f} s")
    return result


def _check_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.api_host, settings.api_port))
        except OSError as error:
            raise LocalServerError(
                f"{settings.api_host}:{settings.api_port} cannot be used for the API ({error.strerror}):"
                " stop the process that uses it, or set DRAVO_API_PORT."
            ) from None


def _demo(engine: Engine, settings: Settings, data_dir: Path, control: str) -> None:
    """Add the demo data to the simulated platforms and import it, unless publications exist already."""
    with engine.connect() as connection:
        if connection.execute(text("SELECT EXISTS (SELECT 1 FROM publications)")).scalar_one():
            return
    data = demo.build(private_files.read_or_create_password(data_dir / "demo-secret"), datetime.now(UTC))
    with httpx.Client(base_url=control, timeout=30, trust_env=False) as client:

        def post(path: str, body: object) -> None:
            answer = client.post(path, json=body)
            if answer.is_error:
                raise LocalServerError(f"the simulated platforms refused the demo data: {answer.text[:200]}")

        post("/accounts?if_absent=1", data.platform_accounts)
        post("/posts?if_absent=1", data.platform_posts)
        for platform, account in data.revoked:
            post(f"/accounts/{platform}/{account}/revoke", {})
    vault = Vault(settings.secret_keys)
    with engine.begin() as connection:
        result = [importer.import_accounts(connection, vault, data.account_rows)]
        result.append(importer.import_publications(connection, data.publication_rows))
    refused = [refusal.message for part in result for refusal in part.refused]
    if refused:
        raise LocalServerError(f"the import refused the demo data: {refused[0]}")


def _api_key(engine: Engine, data_dir: Path) -> str:
    """Return the demo's API key, kept for the next run in a private file."""
    path = data_dir / "api-key"
    if path.exists():
        key = path.read_text()
        with engine.connect() as connection:
            if connection.execute(
                text("SELECT 1 FROM api_keys WHERE key_hash = :hash AND revoked_at IS NULL"),
                {"hash": api_keys.hash_key(key)},
            ).one_or_none():
                return key
    with engine.begin() as connection:
        _, key = api_keys.create_key(connection, _WORKSPACE, "dravo up")
        private_files.write(path, key)
    return key


def _wait_until_ready(api: Service, url: str) -> None:
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    with httpx.Client(base_url=url, timeout=2, trust_env=False) as client:
        while time.monotonic() < deadline:
            if api.process is not None and api.process.poll() is not None:
                raise LocalServerError(f"the API did not start: {api.last_line()}")
            try:
                if client.get("/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass  # it is not listening yet
            time.sleep(0.05)
    raise LocalServerError(f"the API was not ready within {_READY_WITHIN_SECONDS:.0f} s: {api.last_line()}")


def _greeting(url: str, api_key: str, login: str, receiver: str, data_dir: Path) -> str:
    command = running.program()
    if running.find_environment(Path.cwd()) != data_dir / "env":
        command = f"set -a; . {shlex.quote(str(data_dir / 'env'))}; set +a; {command}"
    return f"""
  API      {url}/v1/analytics/posts
  Docs     {url}/docs
  Ops      {url}/ops/login?token={login}   (the operators' page; valid for one login)
  Webhooks {receiver}   (what the receiver of workspace {_WORKSPACE} gets)
  API key  {api_key}   (workspace {_WORKSPACE})

  curl -s -H 'Authorization: Bearer {api_key}' '{url}/v1/analytics/posts?limit=3'

Commands, in another terminal:

  {command} status --watch
  {command} demo audit                  (what rows promise their readers, and what is true)
  {command} demo break x --credits      (X refuses every call; `demo heal` ends it)
"""


def _watch(services: Services, engine: Engine, began: float) -> None:
    """Supervise the processes, and report once when all rows of the demo have been synced."""
    reported = False
    while True:
        services.check(console.complain)
        if not reported and _waiting(engine) == 0:
            console.show(
                f"Every demo row has been synced once, {time.monotonic() - began:.1f} s after the start."
            )
            reported = True
        time.sleep(_WATCH_SECONDS)


def _waiting(engine: Engine) -> int:
    with engine.connect() as connection:
        waiting: Any = connection.execute(
            text("SELECT count(*) FROM refresh_state WHERE reason IN ('new', 'claimed') AND claim_seq < 3")
        )
        return int(waiting.scalar_one())


if __name__ == "__main__":
    sys.exit(run(data_dir=Path(".dravo")))
