"""What a running `dravo up` leaves for other commands: settings and addresses, in private files."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.local import private_files

DIRECTORY: Final = ".dravo"
CONTROL: Final = "SIMULATORS_CONTROL"
"""The address of the simulated platforms' control host."""
API_URL: Final = "LOCAL_API_URL"
_ENV, _GREETING = "env", "greeting"


def write_environment(data_dir: Path, environment: Mapping[str, str], **more: str) -> None:
    """Write the settings of this run, and ``more`` that is no setting, for other commands to use."""
    values = {name: value for name, value in environment.items() if name.startswith("DRAVO_")} | more
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in sorted(values.items())]
    private_files.write(data_dir / _ENV, "".join(lines))


def find_environment(start: Path) -> Path | None:
    """Return the nearest ``.dravo/env``, from a directory upwards; files of other users are ignored."""
    for directory in (start, *start.parents):
        path = directory / DIRECTORY / _ENV
        try:
            if path.is_file() and path.stat().st_uid == os.geteuid():
                return path
        except OSError:  # a directory that this user may not read
            continue
    return None


def read_environment(path: Path) -> dict[str, str]:
    """Return the values that `write_environment` wrote."""
    assignments = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name: "".join(shlex.split(value)) for name, _, value in assignments}


def write_greeting(data_dir: Path, text: str) -> None:
    """Keep what this run printed when it was ready; empty while it is not."""
    private_files.write(data_dir / _GREETING, text)


def read_greeting(data_dir: Path) -> str:
    """Return what a running `dravo up` printed, or an empty string."""
    try:
        return (data_dir / _GREETING).read_text()
    except OSError:
        return ""


def program() -> str:
    """Return the command that starts this program when it is pasted into a shell in the current directory."""
    started = Path(sys.argv[0])
    on_path = shutil.which("dravo")
    if started.name != "dravo" or (on_path and Path(on_path).resolve() == started.resolve()):
        return "dravo"
    absolute = started.absolute()
    here = Path.cwd()
    return shlex.quote(str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute))
