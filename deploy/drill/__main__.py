"""Plays each fault that an operator ends on a running local stack: credits spent at 3 a.m. first.

For each fault and each interface (the terminal alone, the operators' page alone) it breaks something, waits
until the interface names the cause, lets others remove it, does what the interface says, and waits for the
recovery. It counts clicks or commands and seconds, writes them to ``deploy/drill/README.md``, and exits 1
when an interface does not lead to recovery in time.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, expect

from deploy.bench.chromium import chromium
from deploy.bench.local_stack import LocalStack, local_stack
from deploy.bench.work_directory import work_directory
from deploy.console import show
from deploy.drill.environment import DrillError, Environment, receiver, wait_for
from deploy.drill.faults import FAULTS, Fault
from deploy.local.servers.server_process import free_port

NAMED_WITHIN: Final = 120.0
"""Seconds until an interface must name a fault: rows come due every ten seconds."""
RECOVERED_WITHIN: Final = 120.0
REPORT: Final = Path(__file__).with_name("README.md")
INTERFACES: Final = ("terminal", "page")
_FRESHNESS: Final = "10s"


@dataclass(frozen=True, slots=True)
class Recovery:
    """How one interface led from the fault to the recovery."""

    fault: str
    interface: str
    named: float
    """Seconds from the fault until the interface named its cause."""
    actions: int
    """Clicks, or commands, from the first look to the recovery."""
    recovered: float
    """Seconds from the removal of the cause until the interface names it no more."""

    @property
    def done(self) -> str:
        """What the operator did."""
        unit = "command" if self.interface == "terminal" else "click"
        return f"{self.actions} {unit}{'' if self.actions == 1 else 's'}"


def main(arguments: Sequence[str]) -> int:
    """Play the faults with both interfaces. Returns 1 when one did not lead to recovery."""
    parser = argparse.ArgumentParser(prog="python -m deploy.drill")
    parser.add_argument(
        "--only", default="", help="play the faults whose name has one of these words, comma-separated"
    )
    only = parser.parse_args(arguments).only
    faults = [fault for fault in FAULTS if any(words in fault.name for words in only.split(","))]
    recoveries, failures = [], 0
    with ExitStack() as stack:
        environment = _environment(stack)
        for fault in faults:
            for interface in INTERFACES:
                try:
                    recovery = _play(environment, fault, interface)
                except (DrillError, AssertionError, PlaywrightError) as error:
                    failures += 1
                    show(f"{fault.name}, by {interface}: {' '.join(str(error).split())[:400]}")
                else:
                    recoveries.append(recovery)
                    show(_line(recovery))
    REPORT.write_text(report(REPORT.read_text("utf-8") if REPORT.exists() else "", recoveries), "utf-8")
    return 1 if failures else 0


def _environment(stack: ExitStack) -> Environment:
    """Start the stack, the browser and a receiver of webhooks, and sign an operator in."""
    directory = stack.enter_context(work_directory())
    running = stack.enter_context(local_stack(directory / "data", free_port(), freshness=_FRESHNESS))
    browser = stack.enter_context(chromium())
    page = browser.new_page(base_url=running.url)
    _sign_in(page, running)
    environment = Environment(running, page, directory)
    stack.callback(environment.clean_up)
    url = stack.enter_context(receiver(environment))
    environment.quietly("webhooks", "add", "--workspace", "ws_north", "--url", url)
    endpoints = environment.json("webhooks", "list")
    environment.webhook_id = next(one["endpoint_id"] for one in endpoints if one["url"] == url)
    return environment


def _sign_in(page: Page, running: LocalStack) -> None:
    page.goto(running.login_link)
    page.get_by_label("Your name").fill("drill")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()


def _play(environment: Environment, fault: Fault, interface: str) -> Recovery:
    wait_for(lambda: not fault.is_named(environment), RECOVERED_WITHIN, "the fault is not there yet")
    environment.begin()
    began = time.monotonic()
    fault.breaks(environment)
    try:
        if interface == "terminal":
            wait_for(lambda: fault.is_named(environment), NAMED_WITHIN, "the cause is named")
        else:
            environment.page.goto("/ops")
            expect(fault.place(environment)).to_be_visible(timeout=NAMED_WITHIN * 1000)
        named = time.monotonic() - began
    finally:
        fault.heals(environment)
    removed = time.monotonic()
    try:
        if interface == "terminal":
            fault.by_terminal(environment)
            wait_for(lambda: not fault.is_named(environment), RECOVERED_WITHIN, "the cause is gone")
        else:
            fault.by_page(environment)
            environment.page.goto("/ops")
            expect(fault.place(environment)).to_have_count(0, timeout=RECOVERED_WITHIN * 1000)
        return Recovery(fault.name, interface, named, environment.actions, time.monotonic() - removed)
    finally:
        environment.clean_up()


def _line(one: Recovery) -> str:
    return (
        f"{one.fault:26} {one.interface:9} named after {one.named:5.1f} s, {one.done:10}"
        f" recovered {one.recovered:5.1f} s after the cause was removed"
    )


def report(before: str, recoveries: Sequence[Recovery]) -> str:
    """Return the page with these recoveries in place of their former ones; others stay."""
    rows = {(cells[0], cells[1]): cells for line in before.splitlines() if len(cells := _cells(line)) == 5}
    for one in recoveries:
        seconds = (f"{one.named:.0f} s", one.done, f"{one.recovered:.0f} s")
        rows[one.fault, one.interface] = [one.fault, one.interface, *seconds]
    known = [(fault.name, interface) for fault in FAULTS for interface in INTERFACES]
    return _HEAD + "".join(f"| {' | '.join(rows[key])} |\n" for key in known if key in rows)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []


_HEAD: Final = """# Drills

`make drill` breaks a running local stack in each way that an operator ends, and recovers from it twice: by
the terminal alone, and by the operators' page alone. It writes this page.

- *named*: from the fault until the interface names its cause; platforms are asked every ten seconds there.
- *done*: commands or clicks from the first look to the recovery.
- *recovered*: from the removal of the cause, by the platform, the account's owner or a supervisor, until the
  interface names it no more.

Outages and limits of platforms are not played: they end without an operator. The page shows that a service
has died, but starts no process: a supervisor does that, or the terminal.

| fault | by | named | done | recovered |
|---|---|---|---|---|
"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
