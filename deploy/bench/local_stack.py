"""``dravo up`` as a process in a directory of its own, for benchmarks and pictures."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DRAVO = str(Path(sys.executable).with_name("dravo"))


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A running ``dravo up``."""

    url: str
    """The API's base URL."""
    login_link: str
    """Signs one operator in, once."""
    settings: dict[str, str]
    """What ``dravo up`` writes for other commands: DRAVO_… and ``SIMULATORS_CONTROL``."""
    process_id: int
    """The supervisor of its services."""

    def command(self, *arguments: str) -> None:
        """Run a ``dravo`` command with the stack's settings. Raises `subprocess.CalledProcessError`."""
        subprocess.run(
            [DRAVO, *arguments], env={**os.environ, **self.settings}, check=True, stdout=subprocess.DEVNULL
        )


@contextmanager
def local_stack(data_dir: Path, port: int, *, freshness: str) -> Iterator[LocalStack]:
    """Run ``dravo up`` until the block ends. Raises `RuntimeError` when it ends before it is ready."""
    environment = {**os.environ, "DRAVO_API_PORT": str(port), "DRAVO_FRESHNESS": f"fixed:{freshness}"}
    process = subprocess.Popen(
        [DRAVO, "up", "--data-dir", str(data_dir)], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        login_link = ""
        for line in process.stdout or ():
            login_link = next((word for word in line.split() if "/ops/login?token=" in word), login_link)
            if line.startswith("Ctrl-C stops"):
                break
        else:
            raise RuntimeError("`dravo up` ended before it was ready")
        yield LocalStack(f"http://127.0.0.1:{port}", login_link, _settings(data_dir), process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _settings(data_dir: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in (data_dir / "env").read_text().splitlines())
    return {name: shlex.split(value)[0] if value else "" for name, _, value in lines}
