"""The directory lock: one holder at a time, also after a kill."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.errors import LocalServerError
from deploy.local.lock import DirectoryLock
from tests.servers import ordinary_rights


def test_error_of_a_held_lock_names_the_holding_process(tmp_path: Path) -> None:
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


def test_released_lock_can_be_acquired(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        pass
    with DirectoryLock(tmp_path), pytest.raises(LocalServerError, match="already in use"):
        DirectoryLock(tmp_path).acquire()


def test_missing_directory_is_created(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()


def test_missing_write_permission_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with ordinary_rights(), pytest.raises(LocalServerError, match=r"^No permission to write in .*--data-dir"):
        DirectoryLock(tmp_path).acquire()


def test_file_in_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalServerError, match=r"Cannot write in .*file"):
        DirectoryLock(tmp_path / "file").acquire()
