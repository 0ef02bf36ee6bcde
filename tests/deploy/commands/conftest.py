"""Fixtures that run `dravo` commands in the test's process, as `main` does."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from deploy.cli import run
from shared.accounts.vault import new_key
from shared.database import connect
from tests.deploy.commands.documents import check_document


@dataclass(frozen=True)
class Result:
    """The output and exit code of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Dravo = Callable[..., Result]


@pytest.fixture
def dravo(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dravo:
    """Run commands without any setting, out of reach of a local stack of the developer.

    What they print with --json is checked against the published schemas.
    """
    monkeypatch.chdir(tmp_path)

    def execute(*arguments: str) -> Result:
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        check_document(arguments, captured.out)
        return Result(code, captured.out, captured.err)

    return execute


@pytest.fixture
def operator(dravo: Dravo, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Dravo:
    """Run commands with a migrated database, a Redis and a secret key."""
    monkeypatch.setenv("DRAVO_DATABASE_URL", database_url)
    monkeypatch.setenv("DRAVO_REDIS_URL", redis_url)
    monkeypatch.setenv("DRAVO_SECRET_KEYS", new_key())
    return dravo


@pytest.fixture
def sql(database_url: str) -> Iterator[Callable[..., list[Any]]]:
    """Run statements on the test's database, each in a transaction of its own."""
    engine: Engine = connect(database_url, application="tests", pool_size=2)

    def execute(statement: str, **parameters: object) -> list[Any]:
        with engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result.all()) if result.returns_rows else []

    yield execute
    engine.dispose()


@pytest.fixture
def fleet(operator: Dravo, tmp_path: Path) -> Dravo:
    """Run commands with two workspaces, an account on each platform and 7 publications imported."""
    platforms = ("instagram", "facebook", "x", "linkedin", "tiktok")
    write_lines(
        tmp_path / "accounts.jsonl",
        [
            {
                "account_id": f"acc_{platform}",
                "workspace_id": "ws_2" if platform == "tiktok" else "ws_1",
                "platform": platform,
                "platform_account_id": f"there_{platform}",
                "access_token": f"token-of-{platform}",
            }
            for platform in platforms
        ],
    )
    write_lines(
        tmp_path / "publications.jsonl",
        [
            {
                "post_id": f"post_{number}",
                "account_id": f"acc_{platform}",
                "platform_post_id": f"there_{number}",
                "created_at": f"2026-06-{20 + number}T10:15:30Z",
            }
            for number, platform in enumerate((*platforms, "x", "x"), start=1)
        ],
    )
    assert operator("import", "accounts", str(tmp_path / "accounts.jsonl")).code == 0
    assert operator("import", "publications", str(tmp_path / "publications.jsonl")).code == 0
    return operator


def write_lines(path: Path, rows: Sequence[object]) -> Path:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
