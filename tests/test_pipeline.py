"""The main path with real components: scheduler → queue → worker → simulated platform → tables."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from deploy.simulators.server import Simulators
from deploy.simulators.world import Account, Post
from shared import database
from shared.accounts.vault import Vault, new_key
from shared.ingestion.importer import import_accounts, import_publications
from shared.refresh_state.notifications import REFRESHED_CHANNEL

TIMEOUT = 30.0
POSTS = 5


class Fleet:
    """Scheduler and worker as processes, with one account of a simulated X."""

    def __init__(self, stack: ExitStack, database_url: str, redis_url: str, logs: Path) -> None:
        self._stack = stack
        self._logs = logs
        self._database_url = database_url
        self.simulators = stack.enter_context(Simulators(seed=3))
        key = new_key()
        self.environment = {
            **os.environ,
            "DRAVO_DATABASE_URL": database_url,
            "DRAVO_REDIS_URL": redis_url,
            "DRAVO_SECRET_KEYS": key,
            "DRAVO_X_API_URL": self.simulators.urls["x"],
            "DRAVO_TICK_SECONDS": "0.2",
        }
        self.engine = database.connect(database_url, application="tests")
        stack.callback(self.engine.dispose)
        created_at = datetime.now(UTC) - timedelta(days=40)
        token = "simulated-user-token"
        self.simulators.world.add_accounts(
            [Account("x", "55", token, scopes=frozenset({"tweet.read", "users.read"}))]
        )
        self.simulators.world.add_posts(
            Post("x", str(1990 + n), "55", created_at, counters={"impression_count": n}) for n in range(POSTS)
        )
        account = {
            "account_id": "acc_1",
            "workspace_id": "ws_1",
            "platform": "x",
            "platform_account_id": "55",
            "access_token": token,
            "scopes": ["tweet.read", "users.read"],
        }
        publications = [
            {
                "post_id": f"post_{n}",
                "account_id": "acc_1",
                "platform_post_id": str(1990 + n),
                "created_at": created_at.isoformat(),
            }
            for n in range(POSTS)
        ]
        with self.engine.begin() as connection:
            assert import_accounts(connection, Vault([SecretStr(key)]), [account]).accepted == 1
            assert import_publications(connection, publications, priority=1).accepted == POSTS

    def start(self, module: str) -> subprocess.Popen[bytes]:
        """Start one service; the test stops it at its end."""
        log = self._stack.enter_context((self._logs / f"{module}.log").open("wb"))
        process = subprocess.Popen([sys.executable, "-m", module], env=self.environment, stderr=log)
        self._stack.callback(_end, process)
        return process

    def refreshed(self, number: int) -> set[int]:
        """Wait for ``number`` finished interactive refreshes, as the API does."""
        url = make_url(self._database_url).set(drivername="postgresql")
        seen: set[int] = set()
        with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as listener:
            listener.execute(f"LISTEN {REFRESHED_CHANNEL}")
            done = listener.execute("SELECT publication_id FROM post_analytics WHERE version > 0").fetchall()
            seen |= {row[0] for row in done}
            while len(seen) < number:
                notices = list(listener.notifies(timeout=TIMEOUT, stop_after=1))
                assert notices, f"{len(seen)} of {number} within {TIMEOUT} s"
                seen |= {int(one) for notice in notices for one in notice.payload.split(",")}
        return seen


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(stack, database_url, redis_url, tmp_path)


def test_due_publications_are_fetched_in_one_call_and_services_exit_with_0_on_sigterm(
    fleet: Fleet, tmp_path: Path
) -> None:
    services = [fleet.start(module) for module in ("worker", "scheduler")]

    fleet.refreshed(POSTS)

    with fleet.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT platform_post_id, sync_status, metrics ->> 'impression_count' FROM post_analytics"
            " JOIN publications ON id = publication_id ORDER BY 1"
        ).all()
    assert [tuple(row) for row in rows] == [(str(1990 + n), "synced", str(n)) for n in range(POSTS)]
    assert fleet.simulators.request_log.requests("x") == 1
    assert "simulated-user-token" not in (tmp_path / "worker.log").read_text()
    for service in services:
        service.send_signal(signal.SIGTERM)
        assert service.wait(TIMEOUT) == 0


@pytest.mark.parametrize("module", ["worker", "scheduler"])
def test_unreachable_database_is_reported_in_one_sentence_and_exit_code_1(
    module: str, redis_url: str, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "DRAVO_DATABASE_URL": f"postgresql://nobody:hunter2@127.0.0.1:1/{tmp_path.name}",
        "DRAVO_REDIS_URL": redis_url,
        "DRAVO_SECRET_KEYS": new_key(),
    }

    ended = subprocess.run(
        [sys.executable, "-m", module],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "DRAVO_DATABASE_URL" in ended.stderr
    assert "hunter2" not in ended.stderr


@pytest.mark.parametrize("module", ["worker", "scheduler"])
def test_missing_settings_are_reported_together(module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", module],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert ended.returncode == 1
    assert "DRAVO_DATABASE_URL: is required and not set" in ended.stderr.splitlines()
    assert "DRAVO_REDIS_URL: is required and not set" in ended.stderr.splitlines()
