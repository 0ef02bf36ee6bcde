"""Where a benchmark's servers live: gone with the run, however that ends."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def work_directory() -> Iterator[Path]:
    """Lend a directory. SIGTERM ends the run through here, and with it everything that was started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    roomy = "/var/tmp" if os.geteuid() == 0 else None  # noqa: S108 - it is made for us alone
    with tempfile.TemporaryDirectory(prefix="dravo-bench-", dir=roomy) as name:
        directory = Path(name)
        directory.chmod(0o711)  # as root, servers run as another user, who must get in
        yield directory
