"""``make bench-throughput``: rows refreshed per second and CPU time per row, by platform.

Starts PostgreSQL, Redis, one scheduler and workers of eight threads, makes all rows of a platform due, and
measures a window while there is still work. In every round, dramatiq drains messages without work, and the
naive design works on the same rows. With ``--against``, the services of another checkout are measured
alternately with this one's, so that both see the same machine.
"""

import argparse
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.bench.throughput import naive, noop
from deploy.bench.throughput.fleet import fleet
from deploy.bench.throughput.measure import Figures, Shape, bytes_per_publication, measure
from deploy.bench.throughput.report import Results
from deploy.bench.throughput.rows import Database, bench_database, load
from deploy.bench.work_directory import SHIPPED, work_directory
from deploy.console import show
from deploy.local.servers.postgres import Postgres
from deploy.local.servers.valkey import Valkey
from shared.accounts.vault import new_key
from shared.redis_client import connect
from shared.vocabulary import Platform

HERE: Final = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class _Servers:
    """What all contenders share."""

    postgres: Postgres
    valkey: Valkey
    key: str
    milliseconds: float

    def settings(self, name: str, number: int) -> Mapping[str, str]:
        """Return the settings of a contender; its Redis database is empty."""
        url = self.valkey.url_of(number)
        with connect(url) as redis:
            redis.flushdb()  # what the last measurement left: jobs, budgets, workers
        return {
            "DRAVO_DATABASE_URL": self.postgres.url_of(f"bench_{name}"),
            "DRAVO_REDIS_URL": url,
            "DRAVO_SECRET_KEYS": self.key,
        }

    @property
    def pids(self) -> tuple[int, int]:
        """The process ids of PostgreSQL and of Redis."""
        return self.postgres.pid, self.valkey.pid


def main() -> int:
    """Measure every platform in every round."""
    given = _arguments()
    platforms = [Platform(name) for name in given.platforms.split(",")]
    subjects = [platforms] if given.mixed else [[platform] for platform in platforms]
    codes: Mapping[str, Path] = {"this": HERE} | ({"other": given.against} if given.against else {})
    results = Results()
    with ExitStack() as stack:
        directory = stack.enter_context(work_directory())
        servers = _Servers(
            stack.enter_context(Postgres(directory / "postgres", SHIPPED)),
            stack.enter_context(Valkey(directory / "valkey")),
            new_key(),
            given.milliseconds,
        )
        databases = {
            name: stack.enter_context(bench_database(servers.postgres, name, code))
            for name, code in codes.items()
        }
        for database in databases.values():
            for platform in platforms:
                load(database, platform, given.rows, given.accounts, servers.key)
        for _ in range(given.rounds):
            for workers in map(int, given.workers.split(",")):
                shape = Shape(workers, given.threads, given.schedulers, given.seconds, given.warm_up)
                _noop(servers, shape, results)
                for subject in subjects:
                    if not given.only_ours and subject[0] in naive.FETCHES and not given.mixed:
                        _naive(servers, databases["this"], subject[0], shape, results)
                    for number, (name, code) in enumerate(codes.items()):
                        with fleet(
                            servers.settings(name, number + 1),
                            code,
                            servers.pids,
                            milliseconds=given.milliseconds,
                        ) as running:
                            figures = measure(running, databases[name], subject, shape)
                        show(f"{name:6} {'+'.join(subject):10} {workers} {figures.line}")
                        results.add(f"{name}: {'+'.join(subject)}", workers, figures)
        sizes = bytes_per_publication(databases["this"])
    tables = "  ".join(f"{name} {size:.0f}" for name, size in sizes.items())
    title = f"Throughput, median of {given.rounds} rounds (spread); a call takes {given.milliseconds:.0f} ms"
    table = results.table(title)
    show(f"{table}\nBytes a publication in PostgreSQL: {sum(sizes.values()):.0f} ({tables})")
    if given.report:
        with given.report.open("a") as file:
            file.write(table + "\n")
    return 0


def _noop(servers: _Servers, shape: Shape, results: Results) -> None:
    per_second, micros = noop.measure(
        servers.valkey.url_of(15), workers=shape.workers, threads=shape.threads, seconds=shape.seconds
    )
    results.add("dramatiq, messages without work", shape.workers, _figures(per_second, micros))


def _naive(servers: _Servers, database: Database, platform: Platform, shape: Shape, results: Results) -> None:
    settings = servers.settings("this", 14)
    with fleet(settings, HERE, servers.pids, milliseconds=servers.milliseconds) as running:
        per_second, micros = naive.measure(
            running, database, platform, workers=shape.workers, threads=shape.threads, seconds=shape.seconds
        )
    results.add(f"naive design: {platform}", shape.workers, _figures(per_second, micros, per_second))


def _figures(per_second: float, micros: float, calls: float = 0) -> Figures:
    return Figures(per_second, calls, 0, {"worker": micros}, {})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--platforms", default=",".join(Platform), help="comma-separated")
    parser.add_argument("--mixed", action="store_true", help="measure them together")
    parser.add_argument("--rows", type=int, default=100_000, help="of each platform")
    parser.add_argument("--accounts", type=int, default=200, help="of each platform")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8, help="the measured window")
    parser.add_argument("--warm-up", type=float, default=2)
    parser.add_argument("--workers", default="2", help="how many; comma-separated: one after the other")
    parser.add_argument("--threads", type=int, default=8, help="of each worker")
    parser.add_argument("--schedulers", type=int, default=1)
    parser.add_argument("--milliseconds", type=float, default=0, help="the time of each platform call")
    parser.add_argument("--only-ours", action="store_true", help="without the naive design")
    parser.add_argument("--report", type=Path, help="append the table to this file")
    parser.add_argument("--against", type=Path, help="another checkout to measure alternately")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
