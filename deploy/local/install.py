"""Installs the packages of a lock file and this project into an environment: `make up` and `make install`.

It runs on the Python of the machine before any package is there, so it imports only the standard library.
"""

import configparser
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
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
            _install_with_uv(python, lock)
        except (subprocess.CalledProcessError, OSError):
            pip = _pip(python)  # slower, and it knows every setting of pip for mirrors and proxies
            _call([*pip, "install", *_QUIET, "--require-hashes", "--requirement", str(lock)], show=True)
            _call([*pip, "install", *_QUIET, *_PROJECT], show=True)
    return 0


_PROJECT = ("--no-deps", "--no-build-isolation", "--editable", str(_ROOT))


def _install_with_uv(python: Path, lock: Path) -> None:
    """Install with uv: pip needs ten times as long. Raises `CalledProcessError` or `OSError`."""
    uv = [str(_uv(python)), "pip", "install", "--quiet", "--python", str(python)]
    settings = {**os.environ, **index_settings(os.environ, _pip_files())}
    _call([*uv, "--require-hashes", "--requirement", str(lock)], settings)
    _call([*uv, *_PROJECT], settings)


def _uv(python: Path) -> Path:
    """Return the machine's own uv or, kept in the user's cache for the next time, that of the lock file."""
    if own := shutil.which("uv"):
        return Path(own)
    entry = lock_entry((_ROOT / "requirements.lock").read_text(), "uv")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dravo"
    stored = cache / entry.split()[0].replace("==", "-")
    if not (stored / "bin/uv").exists():
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            requirement, target = Path(folder, "uv.lock"), Path(folder, "uv")
            requirement.write_text(entry)
            options = ("--require-hashes", "--no-deps", "--no-compile", "--target", str(target))
            _call([*_pip(python), "install", *_QUIET, *options, "--requirement", str(requirement)])
            with suppress(OSError):  # another installation was faster
                target.rename(stored)
    return stored / "bin/uv"


def _pip_files() -> list[Path]:
    """Return the files in which pip keeps its settings, the weakest first."""
    named = [Path(os.environ["PIP_CONFIG_FILE"])] if os.environ.get("PIP_CONFIG_FILE") else []
    return [
        Path("/etc/pip.conf"),
        Path.home() / ".pip/pip.conf",
        Path.home() / ".config/pip/pip.conf",
        *named,
    ]


def index_settings(environment: Mapping[str, str], files: Iterable[Path]) -> dict[str, str]:
    """Return the settings that make uv ask the package index that pip asks, which uv does not do itself."""
    if environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL"):
        return {}
    settings = configparser.RawConfigParser()
    settings.read(files)
    index = environment.get("PIP_INDEX_URL") or settings.get("global", "index-url", fallback="")
    return {"UV_DEFAULT_INDEX": index} if index else {}


def lock_entry(lock: str, name: str) -> str:
    """Return the lines of one package: its version and its hashes."""
    match = re.search(rf"^{name}==(.*\n)+?(?=[a-z0-9]|\Z)", lock, re.MULTILINE)
    if match is None:
        raise ValueError(f"the lock file has no {name}")
    return match[0]


def _pip(python: Path) -> list[str]:
    """Return pip's command line: the machine's own pip if it has one, since a new one takes seconds."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", str(python)]
    _call([str(python), "-m", "ensurepip"])
    return [str(python), "-m", "pip"]


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
