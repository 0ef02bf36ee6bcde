"""Run the simulated platforms as a process of their own.

Prints one JSON line with the URL of every host once all of them answer, and stops on SIGTERM, on Ctrl-C,
and when the process that started it is gone.
"""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from deploy.simulators.server import Simulators
from deploy.simulators.state import StateFile
from deploy.simulators.world import World

ORPHAN_CHECK_SECONDS = 0.5


def main() -> int:
    """Serve until stopped. Return 0, or 1 after a sentence on stderr when a port is in use."""
    parent = os.getppid()
    options = _options()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    world = World(options.seed, speed=options.speed)
    state_file = StateFile(options.state, world) if options.state else None
    try:
        with Simulators(ports=options.port_base, world=world) as simulators:
            sys.stdout.write(json.dumps(simulators.urls) + "\n")
            sys.stdout.flush()
            while os.getppid() == parent and not stopping.wait(ORPHAN_CHECK_SECONDS):
                pass
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        if state_file is not None:
            state_file.close()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.simulators", description=__doc__)
    parser.add_argument("--state", type=Path, help="directory that keeps accounts, tokens and posts")
    parser.add_argument("--port-base", type=int, default=0, help="first of consecutive ports; 0: free ones")
    parser.add_argument("--seed", type=int, default=0, help="decides every counter")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how much faster counters grow than the clock"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
