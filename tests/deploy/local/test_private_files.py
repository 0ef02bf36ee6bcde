"""Private files: atomic, created once, readable by their owner alone."""

import stat
from pathlib import Path

from deploy.local import private_files


def test_partial_file_of_a_killed_start_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    (tmp_path / "key.new").write_text("ha")

    assert private_files.read_or_create(path, lambda: "whole") == "whole"

    assert [one.name for one in tmp_path.iterdir()] == ["key"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_file_is_created_once_and_write_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "key"

    assert private_files.read_or_create(path, lambda: "first") == "first"
    assert private_files.read_or_create(path, lambda: "second") == "first"

    private_files.write(path, "third")
    assert path.read_text() == "third"
