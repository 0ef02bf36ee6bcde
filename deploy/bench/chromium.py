"""A real Chromium, and when it first paints a page, as it says itself."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

_ALONE: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""A browser that talks to nobody but the page."""
_FIRST_PAINT: Final = """
new Promise(done => new PerformanceObserver(list => done(list.getEntries()[0].startTime))
    .observe({type: 'paint', buffered: true}))
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium with a profile of its own. Raises `RuntimeError` where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise RuntimeError("no chromium was found: `make chromium` installs Debian's")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_ALONE))
        yield browser
        browser.close()


def first_paint(page: Page) -> float:
    """Return when the page was first painted, in milliseconds after its navigation began."""
    return float(page.evaluate(_FIRST_PAINT))
