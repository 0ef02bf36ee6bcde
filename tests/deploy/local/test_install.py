"""The installer of ``make up``: it takes its own tool from the lock file, and packages from pip's index."""

from pathlib import Path

import pytest

from deploy.local.install import index_settings, lock_entry

LOCK = """\
urllib3==2.8.0 \\
    --hash=sha256:01
    # via requests
uv==0.13.9 \\
    --hash=sha256:02 \\
    --hash=sha256:03
    # via dravo-analytics-sync (pyproject.toml)
uvicorn==0.54.0 \\
    --hash=sha256:04
"""


def test_entry_of_a_lock_file_is_one_package_with_all_its_hashes() -> None:
    entry = lock_entry(LOCK, "uv")

    assert entry.startswith("uv==0.13.9")
    assert "sha256:02" in entry
    assert "sha256:03" in entry
    assert "urllib3" not in entry
    assert "uvicorn" not in entry
    assert "sha256:04" in lock_entry(LOCK, "uvicorn")


def test_package_that_the_lock_file_lacks_is_an_error() -> None:
    with pytest.raises(ValueError, match="no pip"):
        lock_entry(LOCK, "pip")


def test_index_of_pip_is_used_unless_uv_has_its_own(tmp_path: Path) -> None:
    weak, strong, absent = (tmp_path / name for name in ("weak", "strong", "absent"))
    weak.write_text("[global]\nindex-url = file:///srv/weak/%(folder)s\ntimeout = 9\n")
    strong.write_text("[global]\nindex-url = file:///srv/strong\n")

    assert index_settings({}, [absent]) == {}
    assert index_settings({}, [weak]) == {"UV_DEFAULT_INDEX": "file:///srv/weak/%(folder)s"}
    assert index_settings({}, [weak, strong]) == {"UV_DEFAULT_INDEX": "file:///srv/strong"}
    named = {"PIP_INDEX_URL": "file:///srv/named"}
    assert index_settings(named, [weak]) == {"UV_DEFAULT_INDEX": "file:///srv/named"}
    assert index_settings({**named, "UV_DEFAULT_INDEX": "its own"}, [weak]) == {}
