"""``make bench-changes``: the figures of the delta feed; each part has an option with its size."""

import argparse
import json

from deploy.bench.changes.cost import measure_cost
from deploy.bench.changes.deliveries import measure_deliveries
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
    parser.add_argument("--endpoints", type=int, default=1_000, help="webhook endpoints; 0: no deliveries")
    parser.add_argument("--changes", type=int, default=500, help="changes a second while they are delivered")
    parser.add_argument("--senders", type=int, default=2, help="senders; the most of one is measured apart")
    parser.add_argument("--json", action="store_true", dest="as_json")
    arguments = parser.parse_args()
    results = []
    if arguments.publications:
        show(f"{arguments.publications} rows refreshed, every one changed:")
        results.append(measure_cost(arguments.publications, arguments.rounds))
    for rows in arguments.rows:
        show(f"The feed at {rows} rows:")
        results.append(measure_feed(rows, arguments.walkers, arguments.seconds))
    if arguments.endpoints:
        show(f"Deliveries to {arguments.endpoints} endpoints:")
        results.append(
            measure_deliveries(arguments.endpoints, arguments.changes, arguments.senders, arguments.seconds)
        )
    if arguments.as_json:
        show(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
