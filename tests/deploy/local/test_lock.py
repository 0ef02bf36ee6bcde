"""One holder a directory, whatever happens to it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.errors import LocalServerError
from deploy.local.lock import DirectoryLock
from tests.servers import ordinary_rights


def test_a_second_holder_is_told_in_one_sentence_who_is_first(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "from deploy.local.lock import DirectoryLock\n"
        "with DirectoryLock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(
            LocalServerError, match=rf"^{tmp_path} is already in use .*process {first.pid}.*$"
        ):
            DirectoryLock(tmp_path).acquire()
        first.send_signal(signal.SIGKILL)
        first.wait()
    with DirectoryLock(tmp_path):
        pass


def test_a_released_lock_can_be_taken(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        pass
    with DirectoryLock(tmp_path), pytest.raises(LocalServerError, match="already in use"):
        DirectoryLock(tmp_path).acquire()


def test_the_directory_is_made(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()


def test_without_permission_to_write_one_sentence_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with ordinary_rights(), pytest.raises(LocalServerError, match=r"^No permission to write in .*--data-dir"):
        DirectoryLock(tmp_path).acquire()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalServerError, match=r"Cannot write in .*file"):
        DirectoryLock(tmp_path / "file").acquire()
