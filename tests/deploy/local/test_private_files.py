"""Files for our eyes alone: whole, kept, and nobody else's."""

import stat
from pathlib import Path

from deploy.local import private_files


def test_what_a_killed_start_left_half_written_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    (tmp_path / "key.new").write_text("ha")

    assert private_files.kept(path, lambda: "whole") == "whole"

    assert [one.name for one in tmp_path.iterdir()] == ["key"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_kept_is_not_made_again_and_a_new_one_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "key"

    assert private_files.kept(path, lambda: "first") == "first"
    assert private_files.kept(path, lambda: "second") == "first"

    private_files.write(path, "third")
    assert path.read_text() == "third"
