"""``python -m tests.faults``: the long run, which prints a table and writes a report in Markdown."""

import argparse
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from tests.faults import long_run
from tests.faults.judge import report
from tests.faults.matrix import Result


def main() -> int:
    """Run the selected faults. Returns 1 when an invariant was broken, 2 when no fault is selected."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the servers stop too
    console, began = Console(), time.monotonic()
    faults = long_run.chosen(options.only)
    if not faults:
        console.print(f"No fault has {' or '.join(options.only)} in its name.")
        return 2
    if options.list:
        console.print("\n".join(fault.name for fault in faults))
        return 0

    def show(result: Result) -> None:
        mark = "failed" if result.breaches else "passed"
        console.print(f"{mark:>6}  {result.recovery.total_seconds():5.2f} s  {result.fault} ({result.seed})")
        for breach in result.breaches:
            console.print(f"        {breach}", style="red", highlight=False)

    results = long_run.run(faults, timedelta(minutes=options.minutes), options.seed, show)
    lasted = timedelta(seconds=time.monotonic() - began)
    report.show(results, console)
    report.write(results, options.report, options.seed, lasted)
    console.print(f"Report: {options.report}")
    return int(any(result.breaches for result in results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="start no round after this time")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="seed of the order and of random details"
    )
    parser.add_argument(
        "--only",
        nargs="*",
        default=[],
        metavar="WORD",
        help="only faults whose names contain one of these words",
    )
    parser.add_argument("--list", action="store_true", help="list the faults and exit")
    parser.add_argument("--report", type=Path, default=Path("build/faults/report.md"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
