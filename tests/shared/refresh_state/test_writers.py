"""Every statement that writes the table of refresh states is in its package."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
WRITES: Final = re.compile(
    r"(INSERT\s+INTO|UPDATE(\s+ONLY)?|DELETE\s+FROM|MERGE\s+INTO|COPY)\s+refresh_state\b"
)


def test_no_module_outside_the_package_writes_the_table() -> None:
    modules: Sequence[Path] = [
        path
        for package in ("shared", "scheduler", "worker", "api_stub", "deploy")
        for path in sorted((ROOT / package).rglob("*.py"))
    ]
    writers = {path.relative_to(ROOT).parent for path in modules if WRITES.search(path.read_text())}

    # Migrations repair rows of former versions; benchmarks and rehearsals fill their own databases; a drill
    # breaks rows.
    allowed = {Path("shared/refresh_state"), Path("shared/migrations/versions"), Path("deploy/drill")}
    allowed |= {Path("deploy/rehearsal")}
    others = {writer for writer in writers if not writer.is_relative_to("deploy/bench")}
    assert others - allowed == set()
    assert Path("shared/refresh_state") in writers
