"""The API reference in Chromium: no other host is asked, its samples run, and it sends requests."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, ViewportSize, expect

from api_stub.docs.operations import PATHS
from shared.accounts.api_keys import create_key
from tests.browser.conftest import INTERNAL_TOKEN, PHONE, PICTURES, Fleet, Open
from tests.browser.test_ops import SCHEMES, axe

WIDE = ViewportSize(width=1440, height=900)


@pytest.fixture
def reference(visit: Open, fleet: Fleet) -> Iterator[Page]:
    """Open the reference with every other host blocked; a request to one fails the test."""
    page = visit("/", signed_in=False, viewport=WIDE)
    foreign: list[str] = []

    def block(route: Route) -> None:
        foreign.append(route.request.url)
        route.abort()

    page.context.route(lambda url: not url.startswith(fleet.url) and not url.startswith("data:"), block)
    page.goto("/docs")
    expect(page.get_by_role("heading", name="List posts")).to_be_visible()
    yield page
    page.wait_for_load_state("networkidle")
    assert foreign == []


def test_reference_fits_the_screen_in_every_scheme_and_has_no_serious_violation(reference: Page) -> None:
    findings: list[str] = []
    for scheme in SCHEMES:
        reference.emulate_media(color_scheme=scheme)
        reference.reload()
        expect(reference.get_by_role("heading", name="List posts")).to_be_visible()
        for device, size in (("wide", WIDE), ("phone", PHONE)):
            reference.set_viewport_size(size)
            reference.screenshot(path=PICTURES / f"reference-{scheme}-{device}.png")
            assert reference.evaluate("document.documentElement.scrollWidth <= innerWidth"), device
            findings += [f"{scheme} {device} {one}" for one in axe(reference)]
    assert findings == []


def test_names_are_not_broken(reference: Page) -> None:
    heights = reference.evaluate(
        "[...document.querySelectorAll('.markdown code')].filter(one => one.checkVisibility())"
        ".map(one => one.getClientRects().length)"
    )

    assert len(heights) > 40
    assert set(heights) == {1}


@pytest.mark.parametrize(
    ("client", "command"), [("Curl", ["bash", "-c"]), ("http.client", [sys.executable, "-c"])]
)
def test_every_sample_runs(reference: Page, fleet: Fleet, client: str, command: list[str]) -> None:
    fleet.rows.account("acc_8f2c1d", "ws_north")
    fleet.rows.publication("acc_8f2c1d", post_id="post_2a7f93")
    reference.get_by_placeholder("Token").first.fill(new_key(fleet))
    reference.get_by_test_id("client-picker").locator("visible=true").first.click()
    reference.get_by_role("option", name=client).click()
    port = fleet.url.rpartition(":")[2]
    blocks = reference.locator(".scalar-code-block")
    expect(blocks.filter(has_text=port)).to_have_count(sum(map(len, PATHS.values())))

    for sample in blocks.filter(has_text=port).all_inner_texts():
        runnable = sample.replace(
            "YOUR_SECRET_TOKEN", INTERNAL_TOKEN
        )  # of the one that needs another credential
        done = subprocess.run([*command, runnable], capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, '"error"' in done.stdout) == (0, False), (
            f"{sample}: {done.stdout}{done.stderr}"
        )


def test_request_is_sent_with_the_key(reference: Page, fleet: Fleet) -> None:
    reference.get_by_placeholder("Token").first.fill(new_key(fleet))
    reference.get_by_role("button", name="Test Request").first.click()
    reference.get_by_role("button", name="Send").first.click()

    expect(reference.get_by_text("200 OK").first).to_be_visible()
    reference.screenshot(path=PICTURES / "reference-sent.png")
    stored = reference.evaluate("JSON.stringify({...localStorage})")
    assert "dra_" not in stored


def new_key(fleet: Fleet) -> str:
    """Store a new API key of a workspace with rows and return it."""
    with fleet.rows.engine.begin() as connection:
        return create_key(connection, "ws_north", "reference")[1]
