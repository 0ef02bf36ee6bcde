"""``make bench-ingestion``: ``dravo import publications`` and events over HTTP, on an embedded PostgreSQL.

Prints Markdown. CPU times per row compare between machines and sittings; rates only within one sitting.
"""

import argparse
import http.client
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psutil
import psycopg

from deploy.bench.api.services import api
from deploy.bench.ingestion import files
from deploy.bench.usage import Memory, cpu_seconds, run
from deploy.bench.work_directory import work_directory
from deploy.console import show
from deploy.local.servers.postgres import Postgres
from shared.database import migrate

_SERVER: Final = {"shared_buffers": "512MB", "max_wal_size": "8GB", "fsync": "off"}
_TOKEN: Final = "token-of-the-benchmark"  # noqa: S105 - of a server on loopback that ends with this process
_BATCH: Final = 500
_SENDERS: Final = 4
_HEAD: Final = (
    "| what | rows/s | CPU µs a row: command, PostgreSQL | command's most MB |",
    "|---|---|---|---|",
)
_TABLES: Final = (
    "publications", "post_analytics", "refresh_state", "changes", "publication_counts", "account_timers",
)  # fmt: skip


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m deploy.bench.ingestion", description=__doc__)
    parser.add_argument("--publications", type=int, default=1_000_000)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20, help="how long events are sent")
    parser.add_argument("--report", type=Path, help="append the tables to this file")
    arguments = parser.parse_args()
    number, accounts = arguments.publications, arguments.accounts
    with work_directory() as directory, Postgres(directory / "postgres", _SERVER) as server:
        migrate(server.url)
        with psycopg.connect(server.url.replace("+psycopg", "", 1), autocommit=True) as connection:
            files.make_accounts(connection, accounts)
            file = directory / "publications.jsonl"
            files.write(file, number, accounts)
            new = _import(server, file, f"import of {number:,} new publications")
            connection.execute("VACUUM ANALYZE")
            sizes = _sizes(connection, number)
            again = _import(server, file, "the same file again: nothing changes")
            events = _events(server, number, accounts, arguments.seconds)
    table = "\n".join([*_HEAD, new, again, "", sizes, "", events])
    show(table)
    if arguments.report:
        with arguments.report.open("a") as report:
            report.write(table + "\n")


def _import(server: Postgres, file: Path, what: str) -> str:
    before = cpu_seconds(server.pid)
    command = [str(Path(sys.executable).with_name("dravo")), "import", "publications", str(file), "--json"]
    ended = run(command, {"DRAVO_DATABASE_URL": server.url}, str(file.with_name("result")))
    result = json.loads(ended.output)
    rows = result["accepted"] + result["unchanged"]
    of_server = cpu_seconds(server.pid) - before
    return (
        f"| {what} | {rows / ended.seconds:,.0f} | {ended.cpu_seconds / rows * 1e6:.0f},"
        f" {of_server / rows * 1e6:.0f} | {ended.most_megabytes:.0f} |"
    )


def _sizes(connection: "psycopg.Connection[Any]", publications: int) -> str:
    sizes = {}
    for table in _TABLES:
        row = connection.execute("SELECT pg_total_relation_size(%s)", [table]).fetchone()
        sizes[table] = (row[0] if row else 0) / publications
    parts = ", ".join(f"{table} {size:.0f}" for table, size in sizes.items())
    total = sum(sizes.values())
    return (
        f"Bytes a publication in PostgreSQL, indexes included, without any snapshot: {total:.0f} ({parts})."
    )


def _events(server: Postgres, first: int, accounts: int, seconds: float) -> str:
    """Send batches of new publications over several connections for a while."""
    with api(server.url, DRAVO_INTERNAL_TOKEN=_TOKEN) as address:
        process = next(one for one in psutil.Process().children() if "api_stub" in one.cmdline())
        before_api, before_server = cpu_seconds(process.pid), cpu_seconds(server.pid)
        ends = time.monotonic() + seconds
        sent = [0] * _SENDERS
        with Memory(process.pid) as memory:
            began = time.monotonic()
            senders = [
                threading.Thread(target=_send, args=(address, first, accounts, number, sent, ends))
                for number in range(_SENDERS)
            ]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            took = time.monotonic() - began
        events = sum(sent)
        of_api = (cpu_seconds(process.pid) - before_api) / events * 1e6
        of_server = (cpu_seconds(server.pid) - before_server) / events * 1e6
    return (
        f"`POST /internal/events`, batches of {_BATCH} new publications, {_SENDERS} connections, one process:"
        f" {events / took:,.0f} events/s; CPU µs an event: API {of_api:.0f}, PostgreSQL {of_server:.0f};"
        f" memory of the API {memory.before:.0f} MB before, {memory.most:.0f} MB at most."
    )


def _send(address: str, first: int, accounts: int, number: int, sent: list[int], ends: float) -> None:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    headers = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"}
    batch = number
    while time.monotonic() < ends:
        rows = files.publications(first + batch * _BATCH, _BATCH, accounts)
        events = [
            {"event_id": f"evt_{row['post_id']}", "type": "publication.published", "data": row}
            for row in rows
        ]
        connection.request("POST", "/internal/events", json.dumps(events), headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{answer.status} {body[:200]!r}")
        sent[number] += _BATCH
        batch += _SENDERS
    connection.close()


if __name__ == "__main__":
    main()
