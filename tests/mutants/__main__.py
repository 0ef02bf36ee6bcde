"""``python -m tests.mutants [--minutes N] [--only WORD] [--sample N]``: test mutants and write a report."""

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.mutants.catalogue import TARGETS
from tests.mutants.change import Mutant, mutant, numbered
from tests.mutants.python_edits import python_edits
from tests.mutants.report import equivalents, report
from tests.mutants.runner import MutantRunner, Verdict, open_runner
from tests.mutants.sql_edits import lua_edits

ROOT = Path(__file__).parents[2]
STATE = ROOT / "build" / "mutants"
_LEAST_TIME_LIMIT = 40.0
_TIMES_AS_LONG = 8


def mutants_of(path: str) -> list[Mutant]:
    """Return the mutants of a file in a fixed random order, so that any part of them is a sample."""
    source = (ROOT / path).read_bytes()
    edits = lua_edits(source.decode()) if path.endswith(".lua") else python_edits(source)
    made = numbered(mutant(path, source, edit) for edit in edits)
    return sorted(made, key=lambda one: random.Random(one.key).random())


def _state_file(path: str) -> Path:
    return STATE / f"{path.replace('/', '.')}.json"


def _earlier_verdicts(path: str, tests: Iterable[str]) -> dict[str, Any]:
    """Return the earlier verdicts that are still valid: a survivor's verdict until its tests change."""
    file = _state_file(path)
    if not file.exists():
        return {}
    stored = json.loads(file.read_text())
    if stored["tests"] == _digest(tests):
        return dict(stored["verdicts"])
    return {key: one for key, one in stored["verdicts"].items() if one["verdict"] != Verdict.SURVIVED}


def _digest(tests: Iterable[str]) -> str:
    files = [file for test in tests for file in _files(ROOT / test)]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _files(test: Path) -> list[Path]:
    return sorted(test.glob("*.py")) if test.is_dir() else [test]


def _run(path: str, runner: MutantRunner, deadline: float, sample: int | None, kinds: Sequence[str]) -> None:
    tests = [test for test in TARGETS[path] if (ROOT / test).exists()]
    verdicts = _earlier_verdicts(path, tests)
    known_equivalent = equivalents()
    made = [one for one in mutants_of(path) if (path, one.before, one.after) not in known_equivalent]
    wanted = [one for one in made if any(kind in one.kind for kind in kinds)][:sample]
    waiting = [one for one in wanted if one.key not in verdicts]
    if not tests or not waiting or time.monotonic() > deadline:
        return
    time_limit = max(_LEAST_TIME_LIMIT, _TIMES_AS_LONG * runner.seconds(tests))
    for one in waiting:
        if time.monotonic() > deadline:
            break
        verdict = runner.verdict_of(one, tests, time_limit)
        verdicts[one.key] = {"verdict": verdict, "line": one.line, "before": one.before, "after": one.after}
        verdicts[one.key]["kind"] = one.kind
        valid = {key: verdicts[key] for key in verdicts.keys() & {one.key for one in made}}
        _state_file(path).write_text(json.dumps({"tests": _digest(tests), "verdicts": valid}, indent=1))


def _work(queue: Any, deadline: float, sample: int | None, kinds: Sequence[str]) -> None:
    with open_runner(ROOT) as runner:
        while path := queue.get():
            try:
                _run(path, runner, deadline, sample, kinds)
            except RuntimeError as error:
                sys.stderr.write(f"{path}: {error}\n")


def _unmatched() -> str:
    """Return the listed equivalents that match no mutant, because their line has changed."""
    listed = equivalents().keys()
    paths = {path for path, _, _ in listed if (ROOT / path).exists()}
    made = {(path, one.before, one.after) for path in paths for one in mutants_of(path)}
    lines = [f"{path}: {after}" for path, _, after in sorted(listed - made)]
    return "\n".join(["", "## Equivalents that match no mutant", "", *lines, ""]) if lines else ""


def main() -> int:
    """Test mutants until all have a verdict or the time is up; print the path of the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument(
        "--only", default="", help="files whose path holds one of these words, comma-separated"
    )
    parser.add_argument("--sample", type=int, help="the most mutants of each file")
    parser.add_argument(
        "--kinds",
        default="",
        help="mutants of these kinds, comma-separated words; lock,fence for concurrency",
    )
    options = parser.parse_args()
    words = options.only.split(",")
    paths = [path for path in TARGETS if (ROOT / path).exists() and any(word in path for word in words)]
    STATE.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + options.minutes * 60
    workers = min(2 * (os.cpu_count() or 1), len(paths))  # a run waits for half of its time
    queue: Any = multiprocessing.Queue()
    for path in [*paths, *[None] * workers]:
        queue.put(path)
    processes = [
        multiprocessing.Process(
            target=_work, args=(queue, deadline, options.sample, options.kinds.split(","))
        )
        for _ in range(workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    tested = [path for path in TARGETS if _state_file(path).exists()]
    text = report({path: json.loads(_state_file(path).read_text())["verdicts"] for path in tested})
    text += _unmatched()
    (STATE / "report.md").write_text(text)
    sys.stdout.write(text.split("\n## ")[0] + f"\n{STATE / 'report.md'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
