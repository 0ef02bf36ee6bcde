"""Folders, files and functions are small enough to be read at once; an exception has its reason here."""

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[2]
MODULES: Final = 14
"""Modules that a folder holds at most. Files of the name ``__init__`` or ``conftest`` do not count."""
LARGE_FOLDERS: Final = {
    "shared/migrations/versions": "Alembic reads all revisions from one folder",
}

LINES: Final = 300
"""Lines that a file has at most."""
LARGE_FILES: Final = {
    "shared/tables.py": "one schema, read from top to bottom; migrations are compared with it",
    "tests/api_stub/signals/test_signals.py": "every kind of signal at one service",
    "deploy/simulators/world.py": "accounts, posts and their indexes change together under one lock",
}
DEFINITION: Final = re.compile(r"( *)(?:async def|def|class) ")
BODY: Final = 50
"""Lines of a function's body at most: options of commands and docstrings do not count."""
LARGE_FUNCTIONS: Final = {
    "test_start_uses_up_valid_claims_and_returns_their_rows": "one job with a row of each kind",
    "test_outcome_writes_its_fields_and_keeps_the_others": "one transaction with an outcome of each kind",
}


def python_files() -> list[Path]:
    listed = subprocess.check_output(["git", "ls-files", "--", "*.py"], cwd=ROOT, text=True).splitlines()
    return [Path(name) for name in listed if (ROOT / name).is_file()]


def folders_with_more_than(most: int) -> dict[str, int]:
    modules = [path for path in python_files() if path.stem not in {"__init__", "conftest"}]
    numbers = Counter(path.parent.as_posix() for path in modules)
    return {folder: number for folder, number in numbers.items() if number > most}


def test_folder_holds_few_modules() -> None:
    assert set(folders_with_more_than(MODULES)) == set(LARGE_FOLDERS)


def test_file_has_few_lines() -> None:
    lines = {path.as_posix(): len((ROOT / path).read_text().splitlines()) for path in python_files()}

    assert {path for path, number in lines.items() if number > LINES} == set(LARGE_FILES)


def may_be_large(source: str) -> bool:
    """Whether a definition is far from the next one outside it; parsing every file takes long."""
    lines = source.splitlines()
    starts = [(at, len(match[1])) for at, line in enumerate(lines) if (match := DEFINITION.match(line))]
    ends = [*starts, (len(lines), 0)]
    return any(
        next(later for later, outer in ends[number + 1 :] if outer <= indent) - at > BODY
        for number, (at, indent) in enumerate(starts)
    )


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    has_docstring = ast.get_docstring(function) is not None and len(function.body) > 1
    first = function.body[1 if has_docstring else 0]
    return (function.end_lineno or 0) - first.lineno + 1


def test_function_has_few_lines() -> None:
    sources = (source for path in python_files() if may_be_large(source := (ROOT / path).read_text()))
    functions = (
        node
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )

    assert {one.name for one in functions if body_lines(one) > BODY} == set(LARGE_FUNCTIONS)
