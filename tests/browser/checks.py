"""Checks of a page in Chromium: accessibility, and a picture in both schemes."""

from importlib import metadata
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, expect

from tests.browser.conftest import DESK, PHONE, PICTURES

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def wait_for_counts(page: Page) -> None:
    """Wait until every row was counted."""
    expect(page.get_by_text("of 65 publications")).to_be_visible()


def axe(page: Page, *, serious: bool = False) -> list[str]:
    """Return the violations that axe finds, with their elements; ``serious`` leaves out the lesser ones."""
    if not page.evaluate("typeof window.axe !== 'undefined'"):
        page.evaluate(_axe_source())
    results = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html']}"
        for one in results["violations"]
        if not serious or one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


def _axe_source() -> str:
    files = metadata.files("axe-playwright-python") or []
    return Path(str(next(file for file in files if file.name == "axe.min.js").locate())).read_text("utf-8")


def look_at(page: Page, name: str) -> list[str]:
    """Keep pictures of a page in every scheme and size; return what axe finds, and where it does not fit."""
    findings = []
    for scheme in SCHEMES:
        for device, size in (("desk", DESK), ("phone", PHONE)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(size)
            page.screenshot(path=PICTURES / f"{name}-{scheme}-{device}.png", full_page=True)
            if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
                findings.append(f"{scheme} {device} scrolls sideways")
            findings += [f"{scheme} {device} {one}" for one in axe(page)]
    return findings
