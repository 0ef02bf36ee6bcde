"""``make bench-throughput``: rows refreshed per second and CPU time per row, by platform.

Starts PostgreSQL, Redis, one scheduler and workers of eight threads, makes all rows of a platform due, and
measures a window while there is still work. With ``--against``, the services of another checkout are measured
alternately with this one's, so that both see the same machine.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psycopg

from deploy.bench.throughput import noop
from deploy.bench.throughput.fleet import fleet
from deploy.bench.throughput.measure import Shape, bytes_per_publication, measure
from deploy.bench.throughput.rows import Database, load
from deploy.bench.work_directory import work_directory
from deploy.console import show
from deploy.local.servers.postgres import Postgres
from deploy.local.servers.valkey import Valkey
from shared.accounts.vault import new_key
from shared.redis_client import connect
from shared.vocabulary import Platform

HERE: Final = Path(__file__).parents[3]


def main() -> int:
    """Measure every platform in every round."""
    given = _arguments()
    shape = Shape(given.workers, given.threads, given.schedulers, given.seconds, given.warm_up)
    platforms = [Platform(name) for name in given.platforms.split(",")]
    subjects = [platforms] if given.mixed else [[platform] for platform in platforms]
    codes: Mapping[str, Path] = {"this": HERE} | ({"other": given.against} if given.against else {})
    key = new_key()
    with ExitStack() as stack:
        directory = stack.enter_context(work_directory())
        postgres = stack.enter_context(Postgres(directory / "postgres"))
        valkey = stack.enter_context(Valkey(directory / "valkey"))
        databases = {
            name: stack.enter_context(_database(postgres, name, code)) for name, code in codes.items()
        }
        for database in databases.values():
            for platform in platforms:
                load(database, platform, given.rows, given.accounts, key)
        for _ in range(given.rounds):
            per_second, micros = noop.measure(
                valkey.url_of(15), workers=shape.workers, threads=shape.threads, seconds=shape.seconds
            )
            show(f"queue  no-ops     {per_second:7.0f} messages/s  µs a message: worker {micros:.0f}")
            for subject in subjects:
                for number, (name, code) in enumerate(codes.items()):
                    settings = {
                        "DRAVO_DATABASE_URL": postgres.url_of(f"bench_{name}"),
                        "DRAVO_REDIS_URL": valkey.url_of(number + 1),
                        "DRAVO_SECRET_KEYS": key,
                    }
                    servers = postgres.pid, valkey.pid
                    with connect(settings["DRAVO_REDIS_URL"]) as redis:
                        redis.flushdb()  # what the last measurement left: jobs, budgets, workers
                    with fleet(settings, code, servers, milliseconds=given.milliseconds) as running:
                        figures = measure(running, databases[name], subject, shape)
                    show(f"{name:6} {'+'.join(subject):10} {figures.line}")
        sizes = bytes_per_publication(databases["this"])
        tables = "  ".join(f"{name} {size:.0f}" for name, size in sizes.items())
        show(f"bytes a publication in PostgreSQL: {sum(sizes.values()):.0f} ({tables})")
    return 0


def _database(postgres: Postgres, name: str, code: Path) -> Database:
    """Make a database with the schema of a checkout, and connect to it."""
    url = postgres.url_of(f"bench_{name}")
    plain = "postgresql+psycopg://", "postgresql://"
    with psycopg.connect(postgres.url.replace(*plain), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE bench_{name}".encode())
    program = "import sys; from shared.database import migrate; migrate(sys.stdin.read())"
    subprocess.run([sys.executable, "-c", program], cwd=code, input=url.encode(), check=True)
    return psycopg.connect(url.replace(*plain), autocommit=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--platforms", default=",".join(Platform), help="comma-separated")
    parser.add_argument("--mixed", action="store_true", help="measure them together")
    parser.add_argument("--rows", type=int, default=100_000, help="of each platform")
    parser.add_argument("--accounts", type=int, default=200, help="of each platform")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8, help="the measured window")
    parser.add_argument("--warm-up", type=float, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=8, help="of each worker")
    parser.add_argument("--schedulers", type=int, default=1)
    parser.add_argument("--milliseconds", type=float, default=0, help="the time of each platform call")
    parser.add_argument("--against", type=Path, help="another checkout to measure alternately")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
