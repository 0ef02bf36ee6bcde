"""``make bench-freshness``: compares freshness policies in worlds whose true numbers are known.

It runs the very functions that production runs (`shared.freshness`), is deterministic, and takes less than
two minutes on two cores. It prints a report of this one run and writes it, with a plot, beside this file.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

from deploy.bench.freshness import curves, promises, studies
from deploy.bench.freshness.report import plot, table
from deploy.bench.freshness.requests import free_slots
from deploy.freshness.simulation.bound import Knows
from deploy.freshness.simulation.policies import OURS, families, fixed, refitted
from deploy.freshness.simulation.runs import (
    FIXED_CALLS,
    FIXED_HOURS,
    Result,
    at_budget,
    at_error,
    best,
    bests,
    run,
)
from deploy.freshness.simulation.worlds import REPORTED, TUNED, Post, Spec, make
from shared.freshness.priors import PRIORS
from shared.freshness.rule import Prior
from shared.vocabulary import Platform

SHARES: Final = (0.04, 0.10, 0.25)
"""Budgets, as parts of the calls of the fixed interval of 6 hours."""
_POSTS: Final = 300
_PAST: Final = 1_000
"""Posts of the same world, before those that are compared, to which half-lives and readers were fitted."""
_SEED: Final = 2
_PLOTTED: Final = (0.02, 0.04, 0.10, 0.25, 0.5)
_REACHED: Final = 0.05
"""A policy whose calls differ by more from the budget cannot be brought to it: no figure."""
QUESTIONS: Final[tuple[tuple[Callable[..., str], *tuple[Any, ...]], ...]] = (
    (studies.budget,),
    (studies.money,),
    (studies.wrong_prior, 11.0),
    (studies.wrong_prior, 1 / 11),
    *((studies.signals, precision) for precision in (0.9, 0.6, 0.3, 0.0)),
    (studies.at_full_budget,),
    (free_slots,),
)
"""Functions with their arguments."""
_REPORT: Final = Path(__file__).with_name("README.md")
_PICTURE: Final = Path(__file__).with_name("error-by-calls.svg")


def main() -> int:
    """Run everything, print it and write it."""
    started = time.monotonic()
    parts = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for part in _parts(pool):
            sys.stdout.write(f"{part}\n\n")
            sys.stdout.flush()
            parts.append(part)
    _REPORT.write_text("\n\n".join((INTRODUCTION, *parts, "")), encoding="utf-8")
    seconds = time.monotonic() - started
    sys.stdout.write(f"{seconds:.0f} s; written to {_REPORT.name} and {_PICTURE.name} in {_REPORT.parent}\n")
    return 0


def _parts(pool: ProcessPoolExecutor) -> Iterator[str]:
    """Yield the parts of the report, as Markdown."""
    worlds = [(spec, pool.submit(compare, spec)) for spec in (*TUNED, *REPORTED)]
    real = pool.submit(compare_curves)
    lines = {name: pool.submit(line, name) for name in ("bound", *families())}
    answers = [pool.submit(question, *arguments) for question, *arguments in QUESTIONS]
    audits = [pool.submit(promises.audit, spec) for spec in (*TUNED, *REPORTED)]
    for spec, compared in worlds:
        tuned = ". The rule's constants were chosen on this world, with other posts" if spec in TUNED else ""
        yield f"## {spec.name.capitalize()}\n\n{spec.about.capitalize()}{tuned}.\n\n{compared.result()}"
    yield f"## Real curves\n\n{curves.ABOUT}\n\n{real.result()}"
    yield "## Beside the comparison\n\n" + "\n".join(f"- {answer.result()}" for answer in answers)
    yield f"## The promise\n\n{promises.ABOUT}\n\n" + "\n".join(f"- {one.result()}" for one in audits)
    title = f"{TUNED[0].name}: mean error of a read"
    plot(_PICTURE, title, {name: one.result() for name, one in lines.items()})
    yield f"![Error of a read by calls for each policy, in the first world]({_PICTURE.name})"


INTRODUCTION: Final = f"""# Freshness policies compared

`make bench-freshness` writes this report. Each table compares policies at an equal number of calls: a part
of those that a fixed interval of {FIXED_HOURS:.0f} hours makes in 30 days, with {_POSTS} posts. An error is
that of a read, `|true - served| / (true + 20)`. "x bound" is the error as a multiple of a clairvoyant
schedule that knows when each single count comes; "x rates", of one that knows all rates of growth and reading
and all later bursts, and no single counts. A dash: the policy cannot make so few calls. Half-lives and
readers are fitted to {_PAST:,} other posts of the same world, as an installation fits them to its own posts
each day."""


def compare(spec: Spec) -> str:
    """Return the table of one synthetic world."""
    return _table(make(spec, _POSTS, _SEED), refitted(make(spec, _PAST, _SEED + 1), PRIORS))


def compare_curves() -> str:
    """Return the table of the real curves, fitted to the other half of them."""
    halves = curves.load()
    return _table(halves["held out"], refitted(halves["fitted"], PRIORS))


def _table(posts: list[Post], priors: Mapping[Platform, Prior]) -> str:
    budgets = [FIXED_CALLS * share for share in SHARES]
    steps, rates = bests(posts, budgets), bests(posts, budgets, Knows.RATES)
    plain = run(posts, fixed, FIXED_HOURS)
    rows = [
        [f"fixed {FIXED_HOURS:.0f} h (100 %)", f"{plain.error:.1%}", "", "", f"{plain.within:.0%}", *[""] * 8]
    ]

    def add(name: str, results: list[Result]) -> None:
        cells = (cell for one in zip(results, steps, rates, strict=True) for cell in _cells(*one))
        rows.append([name, *cells])

    for name, family in families(priors).items():
        add(name, [at_budget(posts, family, budget) for budget in budgets])
    add("all rates", rates)
    add("each step", steps)
    equal = at_error(posts, families(priors)[OURS], plain.error)
    columns = ("error", "x bound", "x rates", "within 5 %")
    head = ["calls", *(cell for share in SHARES for cell in (f"{share:.0%}: {columns[0]}", *columns[1:]))]
    fewer = f"At the error of fixed 6 h this policy makes {plain.calls / equal.calls:.0f} times fewer calls."
    return f"```\n{table(head, rows)}\n```\n\n{fewer}"


def _cells(result: Result, steps: Result, rates: Result) -> tuple[str, str, str, str]:
    if abs(result.calls / steps.calls - 1) > _REACHED:
        return "-", "-", "-", "-"
    times = f"{result.error / steps.error:.2f}", f"{result.error / rates.error:.2f}"
    return f"{result.error:.1%}", *times, f"{result.within:.0%}"


def line(name: str) -> list[tuple[float, float]]:
    """Return calls and errors of one policy for the plot."""
    posts = make(TUNED[0], _POSTS // 2, _SEED)
    results = [
        best(posts, FIXED_CALLS * share)
        if name == "bound"
        else at_budget(posts, families()[name], FIXED_CALLS * share)
        for share in _PLOTTED
    ]
    return [(result.calls, result.error) for result in results]


if __name__ == "__main__":
    sys.exit(main())
