"""`python -m worker.account_check`: the report on one account, read from a simulated platform."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from deploy.simulators.environment import environment
from deploy.simulators.server import Simulators
from deploy.simulators.world import Account, Post
from shared import database
from shared.accounts.vault import Vault, new_key
from shared.ingestion import importer
from worker.account_check.__main__ import UNKNOWN_ACCOUNT, main

TOKEN = "x" + "0a1b2c3d" * 8
NOW = datetime.now(UTC)
PAUSE = (
    "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
    " VALUES ('x', 'app', '', now() + interval '1 hour', 'The app limit is reached.')"
)
SCOPES = ("tweet.read", "users.read", "offline.access")


@dataclass
class World:
    """An X account with one post, at the simulated platform and imported."""

    simulators: Simulators
    engine: Engine
    capsys: pytest.CaptureFixture[str]

    def check(self) -> Any:
        """Return the report; no token may be in it."""
        assert main("acc_1") == 0
        captured = self.capsys.readouterr()
        assert TOKEN not in captured.out + captured.err
        return json.loads(captured.out.splitlines()[-1])  # logs come before it

    def execute(self, statement: str) -> list[Any]:
        """Run one statement and commit; return its rows, if any."""
        with self.engine.begin() as connection:
            result = connection.execute(text(statement))
            return list(result.all()) if result.returns_rows else []


@pytest.fixture
def world(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    key = new_key()
    engine = database.connect(database_url, application="tests")
    with Simulators() as simulators:
        simulators.world.add_accounts([Account("x", "77", TOKEN, scopes=frozenset(SCOPES), minted_at=NOW)])
        simulators.world.add_posts([Post("x", "1001", "77", NOW - timedelta(days=1))])
        account = {
            "account_id": "acc_1",
            "workspace_id": "ws_1",
            "platform": "x",
            "platform_account_id": "77",
            "access_token": TOKEN,
            "scopes": list(SCOPES),
        }
        post = {"post_id": "post_1", "account_id": "acc_1", "platform_post_id": "1001"}
        post["created_at"] = (NOW - timedelta(days=1)).isoformat()
        with engine.begin() as connection:
            importer.import_accounts(connection, Vault([SecretStr(key)]), [account])
            importer.import_publications(
                connection, [{**post, "created_at": f"{NOW - timedelta(days=1):%FT%TZ}"}]
            )
        settings = {
            **environment(simulators.urls),
            "DRAVO_DATABASE_URL": database_url,
            "DRAVO_REDIS_URL": redis_url,
            "DRAVO_SECRET_KEYS": key,
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield World(simulators, engine, capsys)
    engine.dispose()


def test_report_has_identity_scopes_limits_and_the_read_and_nothing_is_stored(world: World) -> None:
    report = world.check()

    assert (report["ok"], report["problem"], report["answer"]) == (True, None, "read")
    assert (report["platform_account_id"], report["scopes"]) == ("77", sorted(SCOPES))
    assert "like_count" in report["metrics"]
    assert report["calls"] >= 1
    (limit,) = [one for one in report["limits"] if one["kind"] == "account"][:1]
    assert limit["remaining"] < limit["limit"]
    assert world.execute("SELECT count(*) FROM snapshots") == [(0,)]
    assert world.execute("SELECT reads, reserved FROM post_reads") == [(1, 0)]


def test_refused_token_names_what_to_do(world: World) -> None:
    world.simulators.world.revoke("x", "77", None)

    report = world.check()

    assert not report["ok"]
    assert "Connect the account again" in report["to_do"]


def test_foreign_or_deleted_post_points_at_the_identity(world: World) -> None:
    world.simulators.world.delete_post("x", "1001")

    assert "another account's" in world.check()["to_do"]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "UPDATE accounts SET state = 'disconnected', state_reason = 'removed by its owner'",
            "removed by its owner",
        ),
        ("UPDATE accounts SET sealed_access_token = decode('00', 'hex')", "cannot be opened"),
        ("DELETE FROM publications", "nothing to read"),
        (PAUSE, "paused: The app limit is reached."),
    ],
)
def test_obstacle_is_reported_without_a_call(world: World, statement: str, problem: str) -> None:
    world.execute(statement)

    report = world.check()

    assert (report["ok"], report["calls"]) == (False, 0)
    assert problem in report["problem"]
    assert world.simulators.request_log.summary() == []


def test_unknown_account_has_an_exit_code_of_its_own(world: World) -> None:
    del world
    assert main("acc_nobody") == UNKNOWN_ACCOUNT
