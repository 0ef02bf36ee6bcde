"""Upgrades: the schema changes under a fleet of the version before, which reads, claims and finishes on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, LiteralString

import pytest

from shared.database import migrate
from tests.servers import connect

BEFORE: Final = ("0001", "0010", "0030", "0040", "0150")
TIMEOUT: Final = "500ms"
"""How long a statement may wait for a lock: longer is being blocked."""
ROWS: Final = 20_000
FILL: Final[tuple[LiteralString, ...]] = (
    (
        "INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id)"
        " SELECT 'acc_' || n, 'ws_' || n % 3, 'x', n::text FROM generate_series(0, 49) n"
    ),
    (
        "INSERT INTO publications (workspace_id, post_id, account_id, platform, platform_post_id, created_at)"
        " SELECT a.workspace_id, 'post_' || n, a.account_id, 'x', n::text, now() - n * interval '1 hour'"
        " FROM generate_series(1, 20000) n JOIN accounts a ON a.account_id = 'acc_' || n % 50"
    ),
    "INSERT INTO post_analytics (publication_id) SELECT id FROM publications",
    (
        "INSERT INTO refresh_state (publication_id, account_id, next_run_at, reason)"
        " SELECT id, account_id, now(), 'stale' FROM publications"
    ),
)
WORK: Final[dict[str, LiteralString]] = {
    "read": "SELECT p.id, a.metrics FROM publications p JOIN post_analytics a ON a.publication_id = p.id"
    " WHERE p.workspace_id = 'ws_1' ORDER BY p.created_at DESC, p.id DESC LIMIT 25",
    "claim": "UPDATE refresh_state SET claim_seq = claim_seq + 1, claimed_at = now(), reason = 'claimed',"
    " next_run_at = now() + interval '1 second' WHERE publication_id IN (SELECT publication_id"
    " FROM refresh_state WHERE next_run_at <= now() ORDER BY next_run_at LIMIT 20 FOR UPDATE SKIP LOCKED)",
    "finish": "UPDATE post_analytics SET metrics = '{\"views\": 1}', last_updated_at = now()"
    " WHERE publication_id IN (SELECT id FROM publications ORDER BY random() LIMIT 5)",
}


class Worker(threading.Thread):
    """Does one kind of work over and over, and keeps how often, and what went wrong."""

    def __init__(self, url: str, statement: LiteralString, stopping: threading.Event) -> None:
        super().__init__()
        self.done = 0
        self.error: Exception | None = None
        self._url, self._statement, self._stopping = url, statement, stopping
        self.first = threading.Event()

    def run(self) -> None:
        """Work until `stopping` is set or a statement fails."""
        try:
            with connect(self._url) as connection:
                connection.execute("SELECT set_config('lock_timeout', %s, FALSE)", [TIMEOUT])
                while not self._stopping.is_set():
                    connection.execute(self._statement)
                    self.done += 1
                    self.first.set()
        except Exception as error:  # noqa: BLE001 - the test reports it
            self.error = error
        finally:
            self.first.set()


@contextmanager
def at_work(url: str) -> Iterator[dict[str, Worker]]:
    stopping = threading.Event()
    workers = {name: Worker(url, statement, stopping) for name, statement in WORK.items()}
    for worker in workers.values():
        worker.start()
    try:
        for worker in workers.values():
            worker.first.wait(20)
        yield workers
    finally:
        stopping.set()
        for worker in workers.values():
            worker.join()


@pytest.mark.parametrize("revision", BEFORE)
def test_upgrade_does_not_block_reads_claims_and_finishes(empty_database_url: str, revision: str) -> None:
    migrate(empty_database_url, revision)
    with connect(empty_database_url) as connection:
        for statement in FILL:
            connection.execute(statement)

    with at_work(empty_database_url) as workers:
        before = {name: worker.done for name, worker in workers.items()}
        migrate(empty_database_url)
        after = {name: worker.done for name, worker in workers.items()}

    assert {name: worker.error for name, worker in workers.items()} == dict.fromkeys(WORK)
    assert [name for name in WORK if after[name] <= before[name]] == []


def test_upgrade_counts_existing_rows(empty_database_url: str) -> None:
    migrate(empty_database_url, "0001")
    with connect(empty_database_url) as connection:
        for statement in FILL:
            connection.execute(statement)

    migrate(empty_database_url)

    with connect(empty_database_url) as connection:
        counted = connection.execute(
            "SELECT sum(n) FROM publication_counts WHERE grain = 'month' AND account_id = ''"
        ).fetchone()
    assert counted == (ROWS,)


def test_upgrade_repairs_rows_that_a_reconnect_left_blocked(empty_database_url: str) -> None:
    migrate(empty_database_url, "0050")
    with connect(empty_database_url) as connection:
        connection.execute(
            "INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id, state) VALUES"
            " ('acc_1', 'ws_1', 'x', '1', 'active'), ('acc_2', 'ws_1', 'x', '2', 'disconnected')"
        )
        connection.execute(
            "INSERT INTO publications"
            " (workspace_id, post_id, account_id, platform, platform_post_id, created_at) VALUES"
            " ('ws_1', 'left_out', 'acc_1', 'x', '1', now()), ('ws_1', 'no_id', 'acc_1', 'x', NULL, now()),"
            " ('ws_1', 'gone', 'acc_1', 'x', '3', now()), ('ws_1', 'blocked', 'acc_2', 'x', '4', now())"
        )
        connection.execute(
            "INSERT INTO post_analytics (publication_id, sync_status, error_message) SELECT id,"
            " CASE post_id WHEN 'gone' THEN 'failed' ELSE 'requires_reconnect' END, 'why' FROM publications"
        )
        connection.execute(
            "INSERT INTO refresh_state (publication_id, account_id, reason) SELECT id, account_id,"
            " CASE WHEN post_id IN ('gone', 'no_id') THEN 'stopped' ELSE 'blocked' END FROM publications"
        )

    migrate(empty_database_url)

    with connect(empty_database_url) as connection:
        rows = connection.execute(
            "SELECT p.post_id, r.reason, r.next_run_at <= now(), s.sync_status, s.error_message"
            "  FROM publications p JOIN refresh_state r ON r.publication_id = p.id"
            "  JOIN post_analytics s ON s.publication_id = p.id ORDER BY p.id"
        ).fetchall()
    assert rows == [
        ("left_out", "reconnected", True, "requires_reconnect", "why"),
        ("no_id", "stopped", None, "pending", None),
        ("gone", "stopped", None, "failed", "why"),
        ("blocked", "blocked", None, "requires_reconnect", "why"),
    ]


def test_summary_payload_stays_equal_to_its_former_name_whoever_writes(empty_database_url: str) -> None:
    write: Final[dict[str, LiteralString]] = {
        "told": "INSERT INTO ops_summary (part, told, counted_from, counted_at)"
        " VALUES ('census', %s, now(), now()) ON CONFLICT (part) DO UPDATE SET told = excluded.told",
        "payload": "INSERT INTO ops_summary (part, payload, counted_from, counted_at)"
        " VALUES ('census', %s, now(), now()) ON CONFLICT (part) DO UPDATE SET payload = excluded.payload",
    }
    stored: LiteralString = "SELECT part, payload->'rows', told->'rows' FROM ops_summary ORDER BY part"
    migrate(empty_database_url, "0110")
    with connect(empty_database_url) as connection:
        connection.execute(write["told"], ['{"rows": 1}'])

    migrate(empty_database_url)

    with connect(empty_database_url) as connection:
        assert connection.execute(stored).fetchall() == [("census", 1, 1), ("rows", 1, 1)]
        connection.execute("DELETE FROM ops_summary WHERE part = 'rows'")
        for number, name in enumerate(("told", "payload", "told", "payload")):
            connection.execute(write[name], [f'{{"rows": {number}}}'])
            assert connection.execute(stored).fetchall() == [("census", number, number)]


def test_upgrade_gives_every_account_the_timers_of_its_rows(empty_database_url: str) -> None:
    migrate(empty_database_url, "0150")
    with connect(empty_database_url) as connection:
        for statement in FILL:
            connection.execute(statement)
        connection.execute(
            "UPDATE refresh_state SET priority = 1, next_run_at = now() + interval '1 hour'"
            " WHERE account_id = 'acc_7'"
        )
        connection.execute("UPDATE refresh_state SET next_run_at = NULL WHERE account_id = 'acc_8'")

    migrate(empty_database_url)

    with connect(empty_database_url) as connection:
        timers = connection.execute(
            "SELECT lane, account_id, due_at <= now() FROM account_timers"
            " WHERE account_id IN ('acc_6', 'acc_7', 'acc_8') ORDER BY account_id, lane"
        ).fetchall()
        accounts = connection.execute("SELECT count(DISTINCT account_id) FROM account_timers").fetchone()
    assert timers == [(0, "acc_6", True), (0, "acc_7", False), (1, "acc_7", False)]
    assert accounts == (49,)
