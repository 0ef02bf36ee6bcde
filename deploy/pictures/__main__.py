"""``make pictures``: takes the README's pictures of the operators' page and of ``dravo status --watch``.

Starts ``dravo up`` in a fresh directory (simulated platforms, demo data), lets it run until the page's charts
cover a few minutes, and takes screenshots in light and dark. All figures are those of that run.
"""

import argparse
import os
import pty
import re
import subprocess
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Final, Literal

import psycopg
from playwright.sync_api import Browser, ViewportSize
from rich.console import Console
from rich.text import Text

from deploy.bench.chromium import chromium
from deploy.bench.local_stack import DRAVO, LocalStack, local_stack
from deploy.bench.work_directory import work_directory
from deploy.local.servers.server_process import free_port

_DIRECTORY: Final = Path(__file__).parent
_SIZE: Final = ViewportSize(width=1440, height=900)
_SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
_MAX_BYTES: Final = 300_000
_COLUMNS: Final = 100
_HISTORY: Final = "SELECT count(DISTINCT at) FROM ops_history"
_PAUSE: Final = (
    "--account",
    "acc_south_tiktok",
    "--for",
    "2h",
    "--reason",
    "The customer asked for it.",
)
_FONT_DOWNLOAD: Final = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def main() -> None:
    """Make the three pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=int, default=6, help="minutes of history that the charts show")
    minutes = parser.parse_args().minutes
    with (
        work_directory() as directory,
        local_stack(directory / "data", free_port(), freshness="2m") as stack,
        chromium() as browser,
    ):
        stack.command("resync", "--all", "--rate", "5/s")  # spreads the rows' next runs over two minutes
        _wait(lambda: _minutes_of_history(stack) >= minutes - 1, within_seconds=60 * (minutes + 2))
        stack.command("pause", *_PAUSE)
        _wait(lambda: _minutes_of_history(stack) >= minutes, within_seconds=60 * (minutes + 3))
        _picture_page(browser, stack)
        _picture_status(stack)


def _minutes_of_history(stack: LocalStack) -> int:
    url = stack.settings["DRAVO_DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url) as connection:
        row = connection.execute(_HISTORY).fetchone()
    return int(row[0]) if row else 0


def _wait(condition: Callable[[], bool], *, within_seconds: float) -> None:
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the operators' page has no history to show")
        time.sleep(1)


def _picture_page(browser: Browser, stack: LocalStack) -> None:
    page = browser.new_page(viewport=_SIZE, reduced_motion="reduce")
    page.goto(stack.login_link)
    page.locator("input[name=name]").fill("Anna")
    page.locator("input[name=name]").press("Enter")
    page.get_by_role("heading", name="Overview").wait_for()
    for scheme in _SCHEMES:
        page.emulate_media(color_scheme=scheme)
        path = _DIRECTORY / f"ops-{scheme}.png"
        page.screenshot(path=path)
        if path.stat().st_size > _MAX_BYTES:
            raise RuntimeError(f"{path.name} is larger than {_MAX_BYTES:,} bytes")


def _picture_status(stack: LocalStack) -> None:
    """Draw one screen of ``dravo status --watch``, as the command prints it to a terminal."""
    screen = Console(record=True, width=_COLUMNS, file=StringIO(), force_terminal=True)
    screen.print(Text.from_ansi(_terminal_output(stack, "status")))
    drawing = screen.export_svg(title="dravo status --watch", unique_id="dravo-status")
    # The reader's own monospace font does: a picture fetches nothing from elsewhere.
    (_DIRECTORY / "status.svg").write_text(_FONT_DOWNLOAD.sub("", drawing))


def _terminal_output(stack: LocalStack, *arguments: str) -> str:
    """Return what a command writes to a terminal, with its colours."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, **stack.settings, "COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"}
    with subprocess.Popen([DRAVO, *arguments], env=environment, stdout=theirs) as process:
        os.close(theirs)
        output = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    if process.returncode:
        raise RuntimeError(f"`dravo {' '.join(arguments)}` failed")
    return output.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux reports the end of a terminal's output as an error
        return b""


if __name__ == "__main__":
    main()
