"""Runs the parts of the benchmark, each bounded, and prints or writes their tables in Markdown."""

import argparse
from pathlib import Path

from deploy.bench.claims import hostility, schedulers, sizes
from deploy.bench.work_directory import work_directory
from deploy.console import show
from deploy.local.servers.postgres import Postgres

_SERVER = {"shared_buffers": "512MB", "fsync": "off"}
_PARTS = ("sizes", "schedulers", "fairness", "statistics", "snapshot", "churn")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m deploy.bench.claims", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument("--accounts", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--schedulers", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000, help="due rows of the one large account")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--report", type=Path, help="append the tables to this file")
    arguments = parser.parse_args()
    parts = {
        "sizes": lambda server: sizes.report(server, arguments.accounts, arguments.rounds),
        "schedulers": lambda server: schedulers.report(server, arguments.schedulers, arguments.seconds),
        "fairness": lambda server: schedulers.fairness(server, arguments.tenants, arguments.seconds),
        "statistics": lambda server: hostility.statistics(
            server, arguments.tenants, arguments.large, 4 * arguments.rounds
        ),
        "snapshot": lambda server: hostility.snapshot(server, arguments.seconds),
        "churn": lambda server: hostility.churn(server, arguments.seconds),
    }
    with work_directory() as directory, Postgres(directory / "postgres", _SERVER) as server:
        for name in arguments.parts:
            measured = parts[name](server)
            show(measured)
            if arguments.report:
                with arguments.report.open("a") as file:
                    file.write(measured + "\n")


if __name__ == "__main__":
    main()
