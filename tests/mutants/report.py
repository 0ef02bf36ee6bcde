"""The report: the number of caught mutants of each file, and every survivor with its line."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EQUIVALENTS = Path(__file__).with_name("equivalents.toml")


def equivalents() -> dict[tuple[str, str, str], str]:
    """Return the mutants without an observable effect, with the reason."""
    listed = tomllib.loads(EQUIVALENTS.read_text())["mutant"] if EQUIVALENTS.exists() else []
    return {(one["path"], one["before"], one["after"]): one["reason"] for one in listed}


def report(verdicts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the report as Markdown."""
    head = ["# Mutants", "", "| file | judged | caught | survived | caught % |", "|---|---|---|---|---|"]
    survivors = []
    tested = caught = 0
    for path, of_file in verdicts.items():
        survivors_of_file = [one for one in of_file.values() if one["verdict"] == "survived"]
        tested += len(of_file)
        caught += len(of_file) - len(survivors_of_file)
        head.append(_row(path, len(of_file), len(survivors_of_file)))
        if survivors_of_file:
            survivors += ["", f"## {path}", ""]
        for one in sorted(survivors_of_file, key=lambda one: one["line"]):
            survivors += [
                f"{path}:{one['line']} ({one['kind']})",
                f"    {one['before']}",
                f"    {one['after']}",
                "",
            ]
    head.append(_row("**all**", tested, tested - caught))
    return "\n".join([*head, *survivors, ""])


def _row(name: str, tested: int, survived: int) -> str:
    share = 100 * (tested - survived) / tested if tested else 0
    return f"| {name} | {tested} | {tested - survived} | {survived} | {share:.1f} |"
