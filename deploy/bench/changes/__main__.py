"""``make bench-changes``: the figures of the delta feed; each part has an option with its size."""

import argparse
import json

from deploy.bench.changes.cost import measure_cost
from deploy.bench.changes.feed import measure_feed
from deploy.console import show


def main() -> None:
    """Measure and print; with ``--json``, results are also printed as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--publications", type=int, default=20_000, help="rows that are refreshed")
    parser.add_argument("--rounds", type=int, default=6, help="rounds with and without triggers")
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000], help="rows to walk")
    parser.add_argument("--walkers", type=int, default=2, help="walks at once")
    parser.add_argument("--seconds", type=float, default=10, help="length of each measurement")
    parser.add_argument("--json", action="store_true", dest="as_json")
    arguments = parser.parse_args()
    results = []
    if arguments.publications:
        show(f"{arguments.publications} rows refreshed, every one changed:")
        results.append(measure_cost(arguments.publications, arguments.rounds))
    for rows in arguments.rows:
        show(f"The feed at {rows} rows:")
        results.append(measure_feed(rows, arguments.walkers, arguments.seconds))
    if arguments.as_json:
        show(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
