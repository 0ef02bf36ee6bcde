"""Folders, files and functions are small enough to be read at once; an exception has its reason here."""

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


def python_files() -> list[Path]:
    listed = subprocess.check_output(["git", "ls-files", "--", "*.py"], cwd=ROOT, text=True).splitlines()
    return [Path(name) for name in listed if (ROOT / name).is_file()]


def folders_with_more_than(most: int) -> dict[str, int]:
    modules = [path for path in python_files() if path.stem not in {"__init__", "conftest"}]
    numbers = Counter(path.parent.as_posix() for path in modules)
    return {folder: number for folder, number in numbers.items() if number > most}


def test_folder_holds_few_modules() -> None:
    assert set(folders_with_more_than(MODULES)) == set(LARGE_FOLDERS)
