"""Directories for the servers of one test, and a store of its own in place of the machine's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import unprivileged
from tests.servers import fast_parent, server_directory


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a new directory; what would go to /var/lib/dravo goes to its `store`."""
    with server_directory(fast_parent()) as made:
        monkeypatch.setattr(unprivileged, "STORE", made / "store")
        yield made


@pytest.fixture
def executable_directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the same on disk: what is in memory may be barred from execution."""
    with server_directory() as made:
        monkeypatch.setattr(unprivileged, "STORE", made / "store")
        yield made
