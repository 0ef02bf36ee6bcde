"""A temporary directory for a benchmark's servers, removed however the run ends."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SHIPPED: Final[Mapping[str, str]] = {"shared_buffers": "512MB"}
"""PostgreSQL's settings in `deploy/docker/compose.yaml`, where a benchmark needs no others."""


@contextmanager
def work_directory() -> Iterator[Path]:
    """Provide a directory. SIGTERM then raises `SystemExit`, so that all that was started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parent = "/var/tmp" if os.geteuid() == 0 else None  # noqa: S108 - the directory in it is private
    with tempfile.TemporaryDirectory(prefix="dravo-bench-", dir=parent) as name:
        directory = Path(name)
        directory.chmod(0o711)  # as root, servers run as another user, who must enter it
        yield directory
