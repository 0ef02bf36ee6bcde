"""Plays each fault that an operator must end on a running local stack: credits spent at 3 a.m. first.

For each fault and each road (the terminal alone, the operators' page alone) it breaks a simulated platform,
waits for the alert's condition, reads the cause, removes it, lets one call try, and waits for the recovery.
It counts clicks or commands and seconds, and exits 1 when a road does not lead to recovery in time.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from playwright.sync_api import Page, expect

from deploy.bench.chromium import chromium
from deploy.bench.local_stack import DRAVO, LocalStack, local_stack
from deploy.bench.work_directory import work_directory
from deploy.console import show
from deploy.local.servers.server_process import free_port

SEEN_WITHIN: Final = 120.0
"""Seconds until a fault must be on top of `dravo status` and of the page: rows come due every half minute."""
RECOVERED_WITHIN: Final = 60.0
_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that only an operator can end."""

    name: str
    platform: str
    conditions: Mapping[str, Any]
    """What the simulated platform does (`deploy.simulators.behaviour.Conditions`)."""
    cause: str
    """Words of the line that names it."""


FAULTS: Final = (
    Fault("credits spent", "x", {"credits_depleted": True}, "credits at X are used up"),
    Fault("application blocked", "facebook", {"application_blocked": "blocked"}, "refuses our application"),
    Fault(
        "API version ended", "linkedin", {"sunset_versions": ["202609"]}, "no longer serves the API version"
    ),
)


@dataclass(frozen=True, slots=True)
class Recovery:
    """How one road led from the alert to the recovery."""

    fault: str
    road: str
    seen: float
    """Seconds from the fault until the road named its cause."""
    actions: int
    """Clicks, or commands, from the first look to the recovery."""
    recovered: float
    """Seconds from the removal of the cause until everything started again."""


def main() -> int:
    """Play every fault on both roads. Returns 1 when one did not lead to recovery."""
    with (
        work_directory() as directory,
        local_stack(directory / "data", free_port(), freshness="30s") as stack,
        chromium() as browser,
    ):
        page = browser.new_page(base_url=stack.url)
        page.goto(stack.login_link)
        page.get_by_label("Your name").fill("drill")
        page.get_by_role("button", name="Sign in").click()
        recoveries = []
        for fault in FAULTS:
            recoveries += [_by_terminal(stack, fault), _by_page(stack, fault, page)]
    for one in recoveries:
        unit = "commands" if one.road == "terminal" else "clicks"
        show(
            f"{one.fault:22} {one.road:9} cause named after {one.seen:5.1f} s, {one.actions} {unit},"
            f" recovered {one.recovered:5.1f} s after the cause was removed"
        )
    return 0


def _by_terminal(stack: LocalStack, fault: Fault) -> Recovery:
    seen = _break(stack, fault)
    need = next(one for one in _status(stack)["needs_you"] if fault.cause in one["cause"])
    command = need["to_do"].split("`")[1].split()[1:]
    _heal(stack, fault)
    removed = time.monotonic()
    tried = _dravo(stack, *command)
    if tried.returncode and _needs(stack, fault):
        raise RuntimeError(f"`dravo {' '.join(command)}`: {tried.stderr.strip()}")
    _await(lambda: not _needs(stack, fault), RECOVERED_WITHIN, f"the stop of {fault.name} is gone")
    return Recovery(fault.name, "terminal", seen, 2, time.monotonic() - removed)


def _by_page(stack: LocalStack, fault: Fault, page: Page) -> Recovery:
    seen = _break(stack, fault)
    page.goto("/ops")
    line = page.locator(".needs li", has_text=fault.cause)
    expect(line).to_be_visible(timeout=SEEN_WITHIN * 1000)
    _heal(stack, fault)
    removed = time.monotonic()
    line.get_by_role("button", name="Try now").click()
    expect(line).to_have_count(0, timeout=RECOVERED_WITHIN * 1000)
    return Recovery(fault.name, "page", seen, 1, time.monotonic() - removed)


def _break(stack: LocalStack, fault: Fault) -> float:
    """Make the platform fail; return after how many seconds the fault is on top of `dravo status`."""
    began = time.monotonic()
    _behave(stack, fault.platform, fault.conditions)
    _await(lambda: _needs(stack, fault), SEEN_WITHIN, f"{fault.name} is named")
    return time.monotonic() - began


def _heal(stack: LocalStack, fault: Fault) -> None:
    _behave(stack, fault.platform, {})


def _behave(stack: LocalStack, platform: str, conditions: Mapping[str, Any]) -> None:
    address = f"{stack.settings['SIMULATORS_CONTROL']}/behaviour/{platform}"
    httpx.put(address, json=dict(conditions), timeout=10).raise_for_status()


def _needs(stack: LocalStack, fault: Fault) -> bool:
    return any(fault.cause in need["cause"] for need in _status(stack)["needs_you"])


def _status(stack: LocalStack) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(_dravo(stack, "status", "--json").stdout)
    return status


def _dravo(stack: LocalStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DRAVO, *arguments],
        env={**os.environ, **stack.settings},
        check=False,
        capture_output=True,
        text=True,
    )


def _await(condition: Callable[[], bool], within_seconds: float, what: str) -> None:
    until = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError(f"not within {within_seconds:g} s: {what}")
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
