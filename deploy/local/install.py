"""Installs the packages of a lock file and this project into an environment: `make up` and `make install`.

It runs on the Python of the machine before any package is there, so it imports only the standard library.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_QUIET = ("--quiet", "--disable-pip-version-check")


def main(environment: Path, lock: Path) -> int:
    """Create the environment and fill it, with one line of progress on stderr. Returns an exit code."""
    number = len(re.findall(r"^[a-z0-9][^ ]*==", lock.read_text(), re.MULTILINE))
    with _Progress(f"Installing {number} packages into {environment}"):
        _call([sys.executable, "-m", "venv", "--without-pip", str(environment)])
        python = environment / "bin/python"
        try:
            with tempfile.TemporaryDirectory() as folder:
                _install_with_uv(python, lock, Path(folder))
        except subprocess.CalledProcessError:
            pip = _pip(python)  # slower, and it knows every setting of pip for mirrors and proxies
            _call([*pip, "install", *_QUIET, "--require-hashes", "--requirement", str(lock)], show=True)
            _call([*pip, "install", *_QUIET, *_PROJECT], show=True)
    return 0


_PROJECT = ("--no-deps", "--no-build-isolation", "--editable", str(_ROOT))


def _install_with_uv(python: Path, lock: Path, folder: Path) -> None:
    """Install with uv, which is not kept: pip needs ten times as long. Raises `CalledProcessError`."""
    entry = folder / "uv.lock"
    entry.write_text(lock_entry((_ROOT / "requirements.lock").read_text(), "uv"))
    pip = _pip(python)
    target = ("--target", str(folder / "uv"), "--requirement", str(entry), "--require-hashes", "--no-deps")
    _call([*pip, "install", *_QUIET, "--no-compile", *target])
    uv = [str(folder / "uv/bin/uv"), "pip", "install", "--quiet", "--python", str(python)]
    command = [*pip, "config", "get", "global.index-url"]
    index = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    settings = {**os.environ, **({"UV_DEFAULT_INDEX": index} if index else {})}
    _call([*uv, "--require-hashes", "--requirement", str(lock)], settings)
    _call([*uv, *_PROJECT], settings)


def lock_entry(lock: str, name: str) -> str:
    """Return the lines of one package: its version and its hashes."""
    match = re.search(rf"^{name}==(.*\n)+?(?=[a-z0-9]|\Z)", lock, re.MULTILINE)
    if match is None:
        raise ValueError(f"the lock file has no {name}")
    return match[0]


def _pip(python: Path) -> list[str]:
    """Return pip's command line: the machine's own pip if it has one, since a new one takes seconds."""
    own = [sys.executable, "-m", "pip", "--python", str(python)]
    try:
        _call([*own, "--version"])
    except subprocess.CalledProcessError:
        _call([str(python), "-m", "ensurepip"])
        return [str(python), "-m", "pip"]
    return own


def _call(command: Sequence[str], settings: Mapping[str, str] | None = None, *, show: bool = False) -> None:
    output = None if show else subprocess.DEVNULL
    subprocess.run(command, env=settings, stdout=output, stderr=output, check=True)


class _Progress:
    """One line on stderr: what is done and, on a terminal, for how long already."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._count)

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._write(self._text + " …")
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()
        self._write(f"{self._again()} {time.monotonic() - self._began:.0f} s\n")

    def _count(self) -> None:
        while not self._done.wait(1) and sys.stderr.isatty():
            self._write(f"{self._again()} {time.monotonic() - self._began:.0f} s")

    def _again(self) -> str:
        return f"\r{self._text} …" if sys.stderr.isatty() else ""

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
    except subprocess.CalledProcessError as failure:
        sys.exit(f"The installation failed in `{shlex.join(failure.cmd)}`.")
