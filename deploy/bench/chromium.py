"""A real Chromium, and its own measurement of when it first paints a page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""They keep the browser from contacting anything but the page's server."""
_FIRST_PAINT: Final = """
new Promise(done => new PerformanceObserver(list => done(list.getEntries()[0].startTime))
    .observe({type: 'paint', buffered: true}))
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium with a profile of its own. Raises `RuntimeError` where there is none."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        raise RuntimeError("no chromium was found: `make chromium` installs Debian's")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_ARGUMENTS))
        yield browser
        browser.close()


def first_paint(page: Page) -> float:
    """Return when the page was first painted, in milliseconds after its navigation began."""
    return float(page.evaluate(_FIRST_PAINT))
