"""The report: how many mutants of each file were caught, and every survivor with its line."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EQUIVALENTS = Path(__file__).with_name("equivalents.toml")


def equivalents() -> dict[tuple[str, str, str], str]:
    """Return the mutants that change nothing anybody can see, with the reason."""
    listed = tomllib.loads(EQUIVALENTS.read_text())["mutant"] if EQUIVALENTS.exists() else []
    return {(one["path"], one["before"], one["after"]): one["reason"] for one in listed}


def report(verdicts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the report as Markdown."""
    head = ["# Mutants", "", "| file | judged | caught | survived | caught % |", "|---|---|---|---|---|"]
    survivors = []
    judged = caught = 0
    for path, found in verdicts.items():
        living = [one for one in found.values() if one["verdict"] == "survived"]
        judged += len(found)
        caught += len(found) - len(living)
        head.append(_row(path, len(found), len(living)))
        if living:
            survivors += ["", f"## {path}", ""]
        for one in sorted(living, key=lambda one: one["line"]):
            survivors += [
                f"{path}:{one['line']} ({one['kind']})",
                f"    {one['before']}",
                f"    {one['after']}",
                "",
            ]
    head.append(_row("**all**", judged, judged - caught))
    return "\n".join([*head, *survivors, ""])


def _row(name: str, judged: int, survived: int) -> str:
    share = 100 * (judged - survived) / judged if judged else 0
    return f"| {name} | {judged} | {judged - survived} | {survived} | {share:.1f} |"
