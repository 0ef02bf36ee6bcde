"""``make interleavings``: search every combination in parallel, within a time limit, and resume later.

The state file holds the results for the current code; after a change of the code the search starts again.
With a larger ``--most`` it searches again only what a smaller one cut short. Ctrl-C ends it with its report.
"""

import argparse
import hashlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import indent

from tests.interleavings.model.combinations import combinations
from tests.interleavings.processes import Entry, databases, searched

BUILD = Path("build/interleavings")
MOST = 400
"""The most schedules of one combination; the report marks a combination that has more."""
_CODE = ("shared", "worker", "scheduler", "api_stub", "tests/interleavings")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 when a schedule breaks an invariant."""
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--only", default="", help="search combinations whose names contain these words")
    parser.add_argument("--most", type=int, default=MOST)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--fail-fast", action="store_true", help="stop at the first schedule that fails")
    chosen = parser.parse_args(arguments)
    BUILD.mkdir(parents=True, exist_ok=True)
    state = State(BUILD / "state.jsonl", fingerprint())
    words = chosen.only.split()
    wanted = [one for one in combinations() if all(word in one.name for word in words)]
    left = [one for one in wanted if not state.searched(one.name, chosen.most)]
    deadline = time.monotonic() + chosen.minutes * 60
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job would ignore SIGINT
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), databases(chosen.processes) as urls:
        for result in searched(urls, left, chosen.most):
            state.add(result)
            sys.stdout.write(description(result))
            sys.stdout.flush()
            if time.monotonic() > deadline or (chosen.fail_fast and result["failing"]):
                break
    results = [state.done[one.name] for one in wanted if one.name in state.done]
    failing = [one for one in results if one["failing"]]
    summary = (
        f"{len(results)} of {len(wanted)} combinations, {sum(one['runs'] for one in results)} schedules,"
        f" {len([one for one in results if not one['whole']])} combinations cut short,"
        f" {len(failing)} combinations break an invariant\n"
    )
    (BUILD / "report.txt").write_text(summary + "\n" + "\n".join(map(description, results)))
    sys.stdout.write(summary)
    return 1 if failing else 0


class State:
    """The results so far, in a file with a line for each."""

    def __init__(self, path: Path, code: str) -> None:
        self._path = path
        self._code = code
        self.done: dict[str, Entry] = {}
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines:
            entry = json.loads(line)
            if entry["code"] == code:
                self.done[entry["name"]] = entry
        if not self.done:
            path.write_text("")

    def searched(self, name: str, most: int) -> bool:
        """Return whether a combination was searched whole, or up to ``most`` schedules."""
        entry = self.done.get(name)
        return entry is not None and (entry["whole"] or entry["runs"] >= most)

    def add(self, entry: Entry) -> None:
        """Store a result."""
        self.done[entry["name"]] = entry
        with self._path.open("a") as file:
            file.write(json.dumps({**entry, "code": self._code}) + "\n")


def description(entry: Entry) -> str:
    """Return a result as text."""
    cut = "" if entry["whole"] else " (cut short)"
    line = f"{entry['name']}: {entry['runs']} schedules{cut}\n"
    if not entry["failing"]:
        return line
    by_schedule: dict[str, list[str]] = {}
    for breach, schedule in entry["schedules"].items():
        by_schedule.setdefault(schedule, []).append(breach)
    shown = [
        "".join(f"  {breach}\n" for breach in breaches) + indent(schedule, "      ") + "\n"
        for schedule, breaches in by_schedule.items()
    ]
    return f"{line}  {entry['failing']} of them break an invariant; the shortest that does:\n{''.join(shown)}"


def fingerprint() -> str:
    """Return a hash of the code."""
    digest = hashlib.sha256()
    for root in _CODE:
        for path in sorted(Path(root).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
