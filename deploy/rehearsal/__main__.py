"""``python -m deploy.rehearsal``: restores a dump, and a base backup up to an instant, and times each step.

Both times, accounts that were erased after the backup come back, and the replay of the ledger erases them
again. Exits 1 if something is not as it should be afterwards.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
from psycopg.errors import DuplicateObject
from sqlalchemy import text

from deploy.bench.work_directory import work_directory
from deploy.console import show, table
from deploy.local.servers.postgres import Postgres
from deploy.local.servers.valkey import Valkey
from deploy.rehearsal.servers import archiving, end_segment, plain, recovering, tool
from shared import database, redis_client
from shared.erasure import requests, subject
from shared.erasure.ledger import Ledger, missing
from shared.erasure.replay import replay
from shared.erasure.run import step
from shared.redis_client import RedisClient

_FILL: Final = (
    """
    INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id)
    SELECT 'acc_' || n, 'ws_1', 'tiktok', 'page_' || n FROM generate_series(1, {accounts}) n
    """,
    """
    INSERT INTO publications (workspace_id, post_id, account_id, platform, platform_post_id, text, created_at)
    SELECT 'ws_1', 'post_' || n, 'acc_' || 1 + n % {accounts}, 'tiktok', n::text, repeat('word ', 20), now()
      FROM generate_series(1, {publications}) n
    """,
    "INSERT INTO post_analytics (publication_id) SELECT id FROM publications",
    """
    INSERT INTO refresh_state (publication_id, account_id, next_run_at, reason)
    SELECT id, account_id, now() + interval '1 day', 'stale' FROM publications
    """,
    "SELECT make_snapshot_partition((now() - n * interval '1 month')::date) FROM generate_series(0, 12) n",
    """
    INSERT INTO snapshots
    SELECT id, now() - n * interval '1 day', now() - n * interval '1 day', 1, 1, 'synced',
           jsonb_build_object('view_count', 4000 - n, 'like_count', n, 'comment_count', n)
      FROM publications, generate_series(1, {readings}) n
    """,
)
_LATE: Final = "INSERT INTO events_seen (event_id) VALUES ('evt_after_the_backup') RETURNING 1"
_MISTAKE: Final = "DELETE FROM publications WHERE account_id = 'acc_2' RETURNING 1"
_ERASED: Final = "acc_1"
_TIMEOUT: Final = 60.0


@dataclass
class _Rehearsal:
    client: RedisClient
    ledger: Ledger
    directory: Path
    size: str = ""
    seconds: list[tuple[str, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note how long a step takes."""
        began = time.monotonic()
        yield
        self.seconds.append((name, time.monotonic() - began))

    def expect(self, sentence: str, *, holds: bool) -> None:
        """Note what is not as it should be."""
        if not holds:
            self.wrong.append(sentence)


def main() -> int:
    """Rehearse, print."""
    parser = argparse.ArgumentParser(prog="python -m deploy.rehearsal", description=__doc__)
    parser.add_argument("--publications", type=int, default=20_000)
    parser.add_argument("--readings", type=int, default=100, help="of each publication")
    arguments = parser.parse_args()
    with work_directory() as directory, Valkey(directory / "valkey") as valkey:
        ledger = Ledger(directory / "erasures.jsonl")
        rehearsal = _Rehearsal(redis_client.connect(valkey.url), ledger, directory)
        _run(rehearsal, arguments.publications, arguments.readings)
    show(f"{arguments.publications} publications, {arguments.readings} readings each: {rehearsal.size}")
    rows = [[name, f"{seconds:.1f}"] for name, seconds in rehearsal.seconds]
    show(table(["step", "seconds"], rows, right=["seconds"]))
    for sentence in rehearsal.wrong:
        show(f"WRONG: {sentence}")
    return int(bool(rehearsal.wrong))


def _run(rehearsal: _Rehearsal, publications: int, readings: int) -> None:
    directory = rehearsal.directory
    dump, roles, base = directory / "dump", directory / "roles", directory / "base"
    primary, archive = archiving(directory)
    with primary:
        _fill(primary.url, publications, readings)
        rehearsal.size = str(_value(primary.url, "SELECT pg_size_pretty(pg_database_size('dravo'))"))
        with rehearsal.timed("pg_dump"):
            tool(primary.url, "pg_dump", "--format=custom", f"--file={dump}")
            tool(primary.url, "pg_dumpall", "--roles-only", "--no-role-passwords", f"--file={roles}")
        with rehearsal.timed("pg_basebackup"):
            tool(primary.url, "pg_basebackup", f"--pgdata={base}", "--checkpoint=fast")
        _erase(rehearsal, primary.url)
        _value(primary.url, _LATE)
        until = str(_value(primary.url, "SELECT clock_timestamp()"))
        _value(primary.url, _MISTAKE)
        _await(Path(end_segment(primary.url, archive)).exists, "the archive's newest segment")
    with rehearsal.timed("dump: restore (pg_restore --jobs=2)"):
        restored = Postgres(directory / "restored")
        restored.start()
        _make_roles(restored.url, roles)
        tool(restored.url, "pg_restore", "--exit-on-error", "--jobs=2", "--dbname=dravo", str(dump))
    try:
        with rehearsal.timed("dump: vacuumdb --analyze-only"):
            tool(restored.url, "vacuumdb", "--analyze-only", "--quiet", "--dbname=dravo")
        _serve_again(rehearsal, restored.url, "dump")
        rehearsal.expect("the dump has no later event", holds=not _late_events(restored.url))
    finally:
        restored.stop()
    with rehearsal.timed("base backup: start, replay the archive up to an instant"):
        recovered = recovering(directory, base, archive, until)
        recovered.start()
        _await(lambda: not _value(recovered.url, "SELECT pg_is_in_recovery()"), "the end of the recovery")
    try:
        ended = "SELECT count(*) FROM erasures WHERE ended_at IS NOT NULL"
        rehearsal.expect("the erasure before the instant is there", holds=_value(recovered.url, ended) == 1)
        _serve_again(rehearsal, recovered.url, "base backup", erased_already=True)
        rehearsal.expect("what came after the backup is there", holds=_late_events(recovered.url) == 1)
        mistaken = "SELECT count(*) FROM publications WHERE account_id = 'acc_2'"
        rehearsal.expect("the mistake is undone", holds=bool(_value(recovered.url, mistaken)))
    finally:
        recovered.stop()


def _fill(url: str, publications: int, readings: int) -> None:
    database.migrate(url)
    values = {"accounts": 10, "publications": publications, "readings": readings}
    with psycopg.connect(plain(url), autocommit=True) as connection:
        for statement in _FILL:
            connection.execute(statement.format(**values).encode())
        connection.execute("VACUUM ANALYZE")


def _make_roles(url: str, roles: Path) -> None:
    """Make the roles that the dump's rights name; the server's own user is there already."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        for line in roles.read_text().splitlines():
            with suppress(DuplicateObject):
                if line.startswith(("CREATE ROLE", "ALTER ROLE", "GRANT")):
                    connection.execute(line.encode())


def _erase(rehearsal: _Rehearsal, url: str) -> None:
    """Erase an account after the backup."""
    engine = database.connect(url, application="rehearsal", pool_size=2)
    with engine.begin() as connection:
        named = subject.account(connection, _ERASED)
        if named is None:
            raise LookupError(_ERASED)
        requests.request(connection, named, "command")
    while step(engine, rehearsal.client, rehearsal.ledger) is not None:
        pass
    engine.dispose()


def _serve_again(rehearsal: _Rehearsal, url: str, name: str, *, erased_already: bool = False) -> None:
    """Migrate, and replay the ledger: what was erased after the backup goes again."""
    with rehearsal.timed(f"{name}: dravo migrate"):
        database.migrate(url)
    engine = database.connect(url, application="rehearsal", pool_size=2)
    with engine.connect() as connection:
        unknown = missing(connection, rehearsal.ledger.entries())
    rehearsal.expect(f"{name}: the ledger knows more", holds=bool(unknown) is not erased_already)
    with rehearsal.timed(f"{name}: dravo erase replay"):
        replay(engine, rehearsal.ledger)
        while step(engine, rehearsal.client, rehearsal.ledger) is not None:
            pass
    with engine.connect() as connection:
        left = connection.execute(
            text("SELECT count(*) FROM accounts WHERE account_id = :id"), {"id": _ERASED}
        ).scalar_one()
        unknown = missing(connection, rehearsal.ledger.entries())
    rehearsal.expect(f"{name}: the erased account is gone", holds=not left and not unknown)
    engine.dispose()


def _late_events(url: str) -> int:
    return int(str(_value(url, "SELECT count(*) FROM events_seen")))


def _value(url: str, statement: str) -> object:
    with psycopg.connect(plain(url), autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()[0][0]


def _await(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {_TIMEOUT:.0f} s")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
