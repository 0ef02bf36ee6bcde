"""The operators' page in Chromium: what its pages and forms do, also for a keyboard and for other sites."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import expect

from shared import redis_client, refresh_queue
from tests.browser.checks import axe, look_at, wait_for_counts
from tests.browser.conftest import PICTURES, Fleet, Open

AT_REST = (
    "/ops",
    "/ops/publications",
    "/ops/accounts",
    "/ops/holds?platform=x",
    "/ops/workers",
    "/ops/webhooks",
)


def test_live_page_updates_and_keeps_unsent_input(visit: Open, fleet: Fleet) -> None:
    page = visit()
    wait_for_counts(page)
    page.evaluate("window.stayed = true")
    page.get_by_text("Add a pause").click()
    page.get_by_label("Why").fill("half a sentence")

    fleet.rows.execute("UPDATE post_analytics SET sync_status = 'failed' WHERE publication_id = 1")
    expect(page.locator(".tiles li", has_text="Failed").locator(".value")).not_to_have_text("2")
    page.get_by_role("heading", name="Overview").click()
    page.get_by_label("Why").blur()

    expect(page.locator(".tiles li", has_text="Failed").locator(".value")).to_have_text("2")
    expect(page.get_by_label("Why")).to_have_value("half a sentence")
    assert page.evaluate("window.stayed")
    expect(page.locator("#signal")).to_have_text("Live")


def test_page_shows_its_age_while_the_server_does_not_answer(visit: Open, console_errors: list[str]) -> None:
    page = visit()
    wait_for_counts(page)
    page.route("**/ops", lambda route: route.fulfill(status=200, body="<main>nothing</main>"))
    with page.expect_response("**/ops"):
        pass
    wait_for_counts(page)
    page.unroute("**/ops")

    page.route("**/ops", lambda route: route.fulfill(status=303, headers={"location": "/ops/login"}))

    expect(page.locator("#signal")).to_contain_text("these figures are that old")
    wait_for_counts(page)
    page.close()
    assert set(console_errors) == {"Failed to load resource: net::ERR_FAILED"}
    console_errors.clear()


@pytest.mark.parametrize("javascript", [True, False])
def test_operator_resyncs_one_publication_and_a_filter(
    visit: Open, fleet: Fleet, *, javascript: bool
) -> None:
    page = visit("/ops/publications", java_script_enabled=javascript)
    page.locator('select[name="status"]').select_option("failed")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name="post_failed").click()

    page.get_by_role("button", name="Re-sync now").click()
    expect(page.get_by_text("The publication is due now")).to_be_visible()

    page.get_by_role("link", name="Publications").click()
    page.locator('select[name="platform"]').select_option("x")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name="Re-sync all of these…").click()
    expect(page.get_by_role("heading", name="Re-sync 12 publications?")).to_be_visible()
    page.get_by_role("button", name="Re-sync").click()

    expect(page.get_by_role("row").nth(1)).to_contain_text("re-synced x")
    due = "SELECT count(*) FROM refresh_state WHERE reason = 'manual' AND next_run_at <= now()"
    page.reload()
    expect(page.get_by_role("row").nth(1)).to_contain_text("12")
    assert fleet.rows.execute(due)[0][0] == 13
    assert fleet.rows.execute("SELECT DISTINCT via FROM operator_acts WHERE act <> 'deploy'")[0][0] == "page"


@pytest.mark.parametrize("javascript", [True, False])
def test_operator_pauses_resumes_and_releases(visit: Open, fleet: Fleet, *, javascript: bool) -> None:
    page = visit("/ops", java_script_enabled=javascript)
    page.get_by_text("Add a pause").click()
    page.get_by_role("combobox", name="Platform", exact=True).select_option("tiktok")
    page.get_by_label("Why").fill("asked by the customer")
    page.get_by_role("button", name="Pause", exact=True).click()

    pause = page.get_by_role("region", name="Pauses").get_by_role("listitem").filter(has_text="TikTok")
    expect(pause).to_contain_text("asked by the customer")
    pause.get_by_role("button", name="Resume").click()
    expect(pause).to_have_count(0)

    page.goto("/ops/publications?reason=quarantined")
    page.get_by_role("link", name="post_poison").click()
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_text("The publication is released from quarantine")).to_be_visible()

    actions = [
        row[0]
        for row in fleet.rows.execute("SELECT act FROM operator_acts WHERE act <> 'deploy' ORDER BY act_id")
    ]
    assert actions == ["pause", "resume", "release"]


def test_fleet_at_rest_is_well(visit: Open, fleet: Fleet, redis_url: str) -> None:
    for statement in (
        "DELETE FROM pauses",
        "DELETE FROM webhook_endpoints WHERE state = 'disabled' OR failing_since IS NOT NULL",
        "UPDATE accounts SET state = 'active', state_reason = NULL",
        "UPDATE refresh_state SET reason = 'stale', next_run_at = now() + interval '1 hour'",
    ):
        fleet.rows.execute(statement)
    refresh_queue.report_alive(redis_client.connect(redis_url), "host:1", 8)
    page = visit()

    expect(page.get_by_role("heading", name="All well")).to_be_visible()
    for path in AT_REST:
        page.goto(path)
        findings = look_at(page, "rest" + path.partition("?")[0].replace("/", "-"))
        assert findings == [], path


def test_stop_is_named_on_top_and_tried_with_one_click(visit: Open, fleet: Fleet) -> None:
    fleet.rows.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason) VALUES"
        " ('tiktok', 'credits', '', now() + interval '1 hour', 'Our credits are used up.')"
    )
    page = visit()
    line = page.locator(".needs li", has_text="TikTok")
    expect(line).to_contain_text("TikTok is stopped: Our credits are used up")
    page.screenshot(path=PICTURES / "stop.png", full_page=True)
    assert axe(page) == []

    line.get_by_role("button", name="Try now").click()

    expect(page.locator(".needs li", has_text="TikTok")).to_contain_text("TikTok is being tried")
    assert fleet.rows.execute("SELECT count(*) FROM refresh_state WHERE reason = 'manual'")[0][0] == 1


def test_chart_is_read_by_arrow_keys(visit: Open) -> None:
    page = visit()
    page.locator("#outcomes-chart [data-chart]").focus()
    page.keyboard.press("End")
    reading = page.locator("#outcomes-chart [data-reading]")
    expect(reading).to_contain_text("synced a minute")
    last = reading.text_content()

    page.keyboard.press("ArrowLeft")

    expect(reading).to_contain_text("synced a minute")
    assert reading.text_content() != last


@contextmanager
def other_site(body: str) -> Iterator[str]:
    """Serve one page from another origin of the same machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_form_of_another_site_is_refused(visit: Open, fleet: Fleet, console_errors: list[str]) -> None:
    page = visit()
    secret = page.locator("input[name=csrf]").first.get_attribute("value")
    assert page.evaluate("document.cookie") == ""
    body = (
        f'<form method="post" action="{fleet.url}/ops/pause"><input name="csrf" value="{secret}">'
        '<input name="all" value="1"><input name="reason" value="owned"></form><button>go</button>'
        "<script>document.querySelector('button').onclick = () => document.forms[0].submit()</script>"
    )
    with other_site(body) as site:
        page.goto(site)
        with page.expect_response("**/ops/pause") as answered:
            page.get_by_role("button", name="go").click()
        assert answered.value.status == 403
        page.close()
    assert all("403 (Forbidden)" in text for text in console_errors)
    console_errors.clear()
    assert fleet.rows.execute("SELECT FROM operator_acts WHERE act <> 'deploy'") == []


def test_skip_link_works_by_keyboard(visit: Open) -> None:
    page = visit()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
