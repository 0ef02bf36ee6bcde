"""The report of a throughput benchmark: medians over the rounds, with their spread."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from deploy.bench.throughput.measure import Figures

_HEAD: Final = (
    "contender",
    "workers",
    "rows a second",
    "calls a second",
    "µs a row: worker",
    "PostgreSQL",
    "scheduler",
    "CPU share of the platforms",
    "MB of a worker",
)


@dataclass
class Results:
    """The figures of every round, by contender and number of workers."""

    figures: dict[tuple[str, int], list[Figures]] = field(default_factory=dict)

    def add(self, contender: str, workers: int, figures: Figures) -> None:
        """Add the figures of one round."""
        self.figures.setdefault((contender, workers), []).append(figures)

    def table(self, title: str) -> str:
        """Return the table in Markdown."""
        lines = [f"## {title}", "", f"{os.cpu_count()} cores, Python {platform.python_version()}.", ""]
        lines += ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
        for (contender, workers), rounds in self.figures.items():
            cells = [contender, str(workers), *_cells(rounds)]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join([*lines, ""])


def _cells(rounds: Sequence[Figures]) -> list[str]:
    return [
        _spread([one.rows_per_second for one in rounds]),
        _spread([one.calls_per_second for one in rounds]),
        *(
            _spread([one.cpu.get(name, 0) for one in rounds])
            for name in ("worker", "postgresql", "scheduler")
        ),
        f"{100 * median(_share(one.cpu) for one in rounds):.0f} %",
        _spread([one.memory.get("worker", 0) for one in rounds]),
    ]


def _share(cpu: Mapping[str, float]) -> float:
    return cpu.get("platforms", 0) / max(sum(cpu.values()), 1e-9)


def _spread(values: Sequence[float]) -> str:
    if not any(values):
        return ""
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"
