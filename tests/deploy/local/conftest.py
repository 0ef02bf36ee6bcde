"""Fixtures: directories for the servers of one test, with a STORE of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.servers import unprivileged
from tests.servers import fast_parent, server_directory


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Provide a new directory; what belongs in /var/lib/dravo goes to its `store`."""
    with server_directory(fast_parent()) as path:
        monkeypatch.setattr(unprivileged, "STORE", path / "store")
        yield path


@pytest.fixture
def executable_directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Provide the same on disk: a file system in memory may forbid execution."""
    with server_directory() as path:
        monkeypatch.setattr(unprivileged, "STORE", path / "store")
        yield path
