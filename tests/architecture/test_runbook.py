"""The runbook names log events that the services write, and panels that the dashboards have."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "deploy/runbook").glob("*.md"))
SERVICES = ("shared", "worker", "scheduler", "api_stub")
LEVELS_AND_FIELDS = {"level", "error", "critical", "outcome", "retry", "failed", "REQUEST_ID"}


def source_of_services() -> str:
    names = subprocess.check_output(["git", "ls-files", *SERVICES], cwd=ROOT, text=True).splitlines()
    return "\n".join((ROOT / name).read_text() for name in names if name.endswith(".py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_log_events_that_a_page_searches_for_are_written(page: Path) -> None:
    patterns = re.findall(r"--grep (?:'([^']*)'|(\w+))", page.read_text())
    events = {word for pattern in patterns for word in re.findall(r"\w+", "".join(pattern))}
    source = source_of_services()

    assert {event for event in events - LEVELS_AND_FIELDS if event not in source} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_panels_that_a_page_names_exist(page: Path) -> None:
    named = set(re.findall(r'panel "([^"]+)"', page.read_text()))
    titles = {
        panel["title"]
        for path in (ROOT / "deploy/grafana").glob("*.json")
        for panel in json.loads(path.read_text())["panels"]
    }

    assert {name for name in named if not any(title.startswith(name) for title in titles)} == set()
