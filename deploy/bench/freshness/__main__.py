"""``make bench-freshness``: compares freshness policies in worlds whose true numbers are known.

It runs the very functions that production runs (`shared.freshness`), is deterministic, and takes less than
two minutes on two cores. It prints tables and writes ``deploy/bench/freshness/error-by-calls.svg``.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

from deploy.bench.freshness import curves, studies
from deploy.bench.freshness.policies import OURS, families, fixed, refitted
from deploy.bench.freshness.report import plot, table
from deploy.bench.freshness.simulation import FIXED_CALLS, FIXED_HOURS, Result, at_budget, at_error, best, run
from deploy.bench.freshness.worlds import REPORTED, TUNED, Post, Spec, make
from shared.freshness.priors import PRIORS
from shared.freshness.rule import Prior
from shared.vocabulary import Platform

SHARES: Final = (0.04, 0.10, 0.25)
"""Budgets, as parts of the calls of the fixed interval of 6 hours."""
_POSTS: Final = 240
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
    *((studies.promise, TUNED[0], pressure) for pressure in (0.2, 1.0, 3.0)),
    *(
        (studies.promise, spec, 1.0)
        for spec in REPORTED
        if spec.name in {"alike posts", "bursts", "flat reading"}
    ),
)
"""Functions of `studies` with their arguments."""
_PICTURE: Final = Path(__file__).with_name("error-by-calls.svg")


def main() -> int:
    """Run everything and print it."""
    started = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        worlds = [(spec, pool.submit(compare, spec)) for spec in (*TUNED, *REPORTED)]
        lines = {name: pool.submit(line, name) for name in ("bound", *families())}
        real = pool.submit(compare_curves)
        answers = [pool.submit(question, *arguments) for question, *arguments in QUESTIONS]
        for spec, compared in worlds:
            _print(f"\n{spec.name}: {spec.about}" + (" (tuned on)" if spec in TUNED else ""))
            _print(compared.result())
        _print("\nreal curves that were not tuned on (News Popularity, Moniz and Torgo 2018, CC BY 4.0)")
        _print(real.result())
        _print("\nbeside the comparison")
        for answer in answers:
            _print(f"- {answer.result()}")
        plot(
            _PICTURE,
            f"{TUNED[0].name}: mean error of a read",
            {name: one.result() for name, one in lines.items()},
        )
    _print(f"\n{time.monotonic() - started:.0f} s; the plot is {_PICTURE.relative_to(Path.cwd())}")
    return 0


def compare(spec: Spec) -> str:
    """Return the table of one synthetic world."""
    return _table(make(spec, _POSTS, _SEED))


def compare_curves() -> str:
    """Return the table of the real curves, with half-lives fitted to the other half of them."""
    halves = curves.load()
    return _table(halves["held out"], refitted(halves["fitted"], PRIORS))


def _table(posts: list[Post], priors: Mapping[Platform, Prior] = PRIORS) -> str:
    bounds = {share: best(posts, FIXED_CALLS * share) for share in SHARES}
    plain = run(posts, fixed, FIXED_HOURS)
    rows = [
        [f"fixed {FIXED_HOURS:.0f} h (100 %)", f"{plain.error:.1%}", "", f"{plain.within:.0%}", *[""] * 6]
    ]
    for name, family in families(priors).items():
        results = {share: at_budget(posts, family, FIXED_CALLS * share) for share in SHARES}
        rows.append([name, *(cell for share in SHARES for cell in _cells(results[share], bounds[share]))])
    rows.append(
        ["clairvoyant bound", *(cell for share in SHARES for cell in _cells(bounds[share], bounds[share]))]
    )
    equal = at_error(posts, families(priors)[OURS], plain.error)
    head = ["calls", *(cell for share in SHARES for cell in (f"{share:.0%}: error", "x bound", "within 5 %"))]
    fewer = f"At the error of fixed 6 h this policy makes {plain.calls / equal.calls:.0f} times fewer calls."
    return f"{table(head, rows)}\n{fewer}"


def _cells(result: Result, bound: Result) -> tuple[str, str, str]:
    if abs(result.calls / bound.calls - 1) > _REACHED:
        return "-", "-", "-"
    return f"{result.error:.1%}", f"{result.error / bound.error:.2f}", f"{result.within:.0%}"


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


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
