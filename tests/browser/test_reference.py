"""The API reference in Chromium: no other host is asked, its samples run, and it sends requests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, ViewportSize, expect

from api_stub.docs.operations import PATHS
from api_stub.docs.samples import LIST_CHANGES, LIST_HISTORY, LIST_POSTS, RECEIVE_EVENTS
from shared.accounts.api_keys import create_key
from tests.api_stub.support import CREATED_AT
from tests.browser.checks import SCHEMES, axe
from tests.browser.conftest import INTERNAL_TOKEN, PHONE, PICTURES, Fleet, Open

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
            # The lesser findings are in the markup of Scalar, which the package vendors as it is.
            findings += [f"{scheme} {device} {one}" for one in axe(reference, serious=True)]
    assert findings == []


def test_names_are_not_broken(reference: Page) -> None:
    heights = reference.evaluate(
        "[...document.querySelectorAll('.markdown code')].filter(one => one.checkVisibility())"
        ".map(one => one.getClientRects().length)"
    )

    assert len(heights) > 40
    assert set(heights) == {1}


def test_every_curl_sample_runs(reference: Page, fleet: Fleet) -> None:
    store_example(fleet)
    reference.get_by_placeholder("Token").first.fill(new_key(fleet))
    for picker in reference.get_by_test_id("client-picker").locator("visible=true").all():
        picker.click()
        reference.get_by_role("option", name="Curl").click()
    blocks = reference.locator(".scalar-code-block").filter(has_text=fleet.url)
    expect(blocks).to_have_count(sum(map(len, PATHS.values())))

    for sample in blocks.all_inner_texts():
        command = sample.replace("YOUR_SECRET_TOKEN", INTERNAL_TOKEN)  # the credential of one operation only
        assert not run(["bash", "-c", command], fleet).startswith('{"error"'), sample


@pytest.mark.parametrize("sample", [LIST_POSTS, LIST_HISTORY, LIST_CHANGES, RECEIVE_EVENTS])
def test_every_python_sample_runs(fleet: Fleet, sample: dict[str, Any]) -> None:
    store_example(fleet)

    (python,) = sample["x-codeSamples"]

    printed = run([sys.executable, "-c", python["source"]], fleet)
    assert printed or sample is LIST_CHANGES  # no scheduler has filled in the rows that were there before


def store_example(fleet: Fleet) -> None:
    """Store the account and the publication that the samples name."""
    fleet.rows.account("acc_8f2c1d", "ws_north")
    publication = fleet.rows.publication(
        "acc_8f2c1d", post_id="post_2a7f93", platform_post_id="18000000000000000", created_at=CREATED_AT
    )
    row = {"publication_id": publication, "taken_at": CREATED_AT, "last_seen_at": CREATED_AT, "claim_seq": 1}
    fleet.rows.insert("snapshots", {**row, "sync_status": "synced", "metrics": {"views": 1}})


def run(command: list[str], fleet: Fleet) -> str:
    """Run a sample and return its output; one that fails fails the test."""
    settings = {
        "DRAVO_URL": fleet.url,
        "DRAVO_API_KEY": new_key(fleet),
        "DRAVO_INTERNAL_TOKEN": INTERNAL_TOKEN,
    }
    return subprocess.run(
        command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True, timeout=30, check=True
    ).stdout


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
