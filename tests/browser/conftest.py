"""A real Chromium and the API as a process. Collected only by ``make test-browser``: it needs a browser."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from deploy.bench.chromium import chromium
from scheduler.summaries.summary_writer import SummaryWriter
from shared import database, redis_client
from tests.api_stub.support import Rows
from tests.faults.harness.waiting import wait_until

collect_ignore_glob = [] if os.environ.get("BROWSER_TESTS") else ["test_*.py"]

expect.set_options(timeout=20_000)  # a page asks again every five seconds
TOKEN = "the operators' token of these tests"
INTERNAL_TOKEN = "the-internal-token-of-these-tests"
PICTURES = Path(__file__).parents[2] / "build" / "browser"
PHONE, DESK = ViewportSize(width=390, height=844), ViewportSize(width=1440, height=900)

Open = Callable[..., Page]


@dataclass
class Fleet:
    """A running API with rows behind it."""

    url: str
    rows: Rows
    failed: int
    """A publication that failed."""
    rich: int
    """A publication with a long history."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the system's Chromium with a profile of its own."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with chromium() as started:
        yield started


@pytest.fixture
def fleet(database_url: str, redis_url: str) -> Iterator[Fleet]:
    """Run the API as a process, with rows of every kind."""
    engine = database.connect(database_url, application="tests")
    writer = SummaryWriter(engine, redis_client.connect(redis_url))
    writer.start()
    rows = Rows(engine)
    failed, rich = _store(rows)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DRAVO_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "api_stub"],
        env={
            **clean,
            "DRAVO_API_PORT": "0",
            "DRAVO_LOG_FORMAT": "json",
            "DRAVO_DATABASE_URL": database_url,
            "DRAVO_REDIS_URL": redis_url,
            "DRAVO_OPS_TOKEN": TOKEN,
            "DRAVO_INTERNAL_TOKEN": INTERNAL_TOKEN,
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    try:
        url = next((json.loads(line)["url"] for line in process.stderr if "api_listening" in line), None)
        assert url, "the API did not start"
        counted = "SELECT FROM ops_summary WHERE part = 'rows'"
        wait_until(lambda: rows.execute(counted), within=30, what="every row is counted")
        yield Fleet(url, rows, failed, rich)
    finally:
        process.terminate()
        process.communicate(timeout=20)
        writer.close()
        engine.dispose()


@pytest.fixture
def console_errors() -> list[str]:
    """Collect the errors of the browser's console. A test that provokes some clears them."""
    return []


@pytest.fixture
def visit(browser: Browser, fleet: Fleet, console_errors: list[str]) -> Iterator[Open]:
    """Open pages as an operator who is logged in; an error in the browser's console fails the test."""
    contexts: list[BrowserContext] = []

    def opened(path: str = "/ops", *, signed_in: bool = True, **options: Any) -> Page:
        # Without motion: a colour in a transition would fail the check of contrasts.
        still = {"viewport": DESK, "base_url": fleet.url, "reduced_motion": "reduce"}
        context = browser.new_context(**{**still, **options})
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: console_errors.append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: console_errors.append(str(error)))
        if signed_in:
            sign_in(page)
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert console_errors == []


def sign_in(page: Page) -> None:
    """Log in."""
    page.goto("/ops/login")
    page.get_by_label("Your name").fill("Anna")
    page.get_by_label("Operators' token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()


def _store(rows: Rows) -> tuple[int, int]:
    now = datetime.now(UTC)
    for platform in ("instagram", "facebook", "x", "linkedin", "tiktok"):
        rows.account(f"acc_{platform}", "ws_north", platform=platform, name=f"North {platform}")
        for number in range(12):
            rows.publication(
                f"acc_{platform}",
                post_id=f"post_{platform}_{number:02}",
                text="Shipping Dravo: a post with some words in it",
                analytics={"attempted_at": now, "outcome": "synced"},
            )
    rows.account(
        "acc_locked",
        "ws_south",
        platform="x",
        name="South x",
        state="requires_reconnect",
        state_reason="X no longer accepts this account's authorization: reconnect the account.",
    )
    failed = rows.publication(
        "acc_instagram",
        post_id="post_failed",
        analytics={
            "sync_status": "failed",
            "outcome": "failed",
            "outcome_detail": "Instagram did not answer within 15 s.",
            "error_message": "5 attempts in a row did not succeed.",
            "attempted_at": now - timedelta(minutes=3),
        },
        state={"reason": "retry", "next_run_at": now + timedelta(hours=1), "attempts": 5},
    )
    rows.publication(
        "acc_facebook", post_id="post_poison", state={"next_run_at": None, "reason": "quarantined"}
    )
    for minutes in (4, 26):
        rows.publication(
            "acc_linkedin",
            post_id=f"post_overdue_{minutes}",
            state={"next_run_at": now - timedelta(minutes=minutes)},
        )
    _store_endpoints(rows, now)
    rich = rows.publication(
        "acc_tiktok", post_id="post_rich", analytics={"metrics": {"view_count": 90_000, "like_count": 4_200}}
    )
    _store_history(rows, rich, now)
    return failed, rich


def _store_endpoints(rows: Rows, now: datetime) -> None:
    """Store a webhook endpoint in each state."""
    states: list[dict[str, Any]] = [
        {},
        {"failing_since": now - timedelta(hours=3), "failure": "status 503"},
        {"state": "disabled", "state_reason": "The receiver answered 410 Gone."},
    ]
    for number, columns in enumerate(states):
        url = f"https://hooks-{number}.example.com/a-rather-long-path/of-a-receiver"
        endpoint = {"endpoint_id": f"whe_{number:016}", "workspace_id": "ws_north", "url": url}
        rows.insert("webhook_endpoints", {**endpoint, "host": "h", "sealed_secret": "sealed", **columns})


def _store_history(rows: Rows, rich: int, now: datetime) -> None:
    """Store a curve of numbers, a day of the fleet's figures, and two pauses."""
    for hour in range(60):
        taken_at = now - timedelta(hours=60 - hour)
        metrics = {"view_count": int(90_000 * (1 - 0.93**hour)), "like_count": hour * 70}
        rows.insert(
            "snapshots",
            {
                "publication_id": rich,
                "taken_at": taken_at,
                "last_seen_at": taken_at + timedelta(minutes=30),
                "claim_seq": hour + 1,
                "sync_status": "synced",
                "metrics": metrics,
            },
        )
    rows.execute(
        "INSERT INTO ops_history (at, platform, polled, fresh, oldest_overdue_seconds, outcomes)"
        " SELECT now() - make_interval(mins => 10 * n), platform, 1000,"
        " CASE WHEN n BETWEEN 50 AND 60 THEN 400 + 30 * abs(n - 55) ELSE 985 + n % 12 END, 5,"
        " jsonb_build_object('synced', 160 + n % 23, 'retry', n % 7, 'failed',"
        " CASE WHEN n BETWEEN 50 AND 60 THEN 60 ELSE n % 3 END)"
        " FROM generate_series(1, 143) n, unnest(ARRAY['instagram', 'facebook', 'x', 'linkedin', 'tiktok'])"
        " platform"
    )
    rows.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason, refusals) VALUES"
        " ('linkedin', 'app', '', now() + interval '5 hours', 'LinkedIn: the day''s calls are used up.', 3),"
        " ('x', 'operator_platform', '', '9999-01-01', 'Billing dispute; Anna talks to them.', 1)"
    )
