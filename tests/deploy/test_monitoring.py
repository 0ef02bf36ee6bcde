"""Alerts, runbook pages and dashboards name only metrics, settings and commands that exist.

Checks that need a tool of their own (promtool, …) are in checked_by_tools.py.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml
from prometheus_client import REGISTRY

import api_stub.http.metrics as _of_the_api  # registers its metrics
from deploy.cli import app
from shared.observability import metrics, webhook_metrics
from shared.settings import Settings
from worker import announce as _of_the_worker  # the same

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
PAGES = sorted((DEPLOY / "runbook").glob("Dravo*.md"))
"""The pages of alerts; the others describe procedures."""

LABELS = {"instance", "job", "le"}
"""Labels that Prometheus and histograms add."""


def exported_series() -> dict[str, set[str]]:
    """Return the series that our services export, with their labels."""
    assert _of_the_api and _of_the_worker and webhook_metrics  # noqa: PT018 - they register their metrics
    series: dict[str, set[str]] = {}
    for collector in set(REGISTRY._names_to_collectors.values()):
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            ends = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
            series |= {family.name + end: labels for end in ends}
    return series | {fact.name: set(fact.labels) for fact in metrics.FLEET_GAUGES}


def metrics_in(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the metrics of an expression, each with the labels of its matchers."""
    for name, labels in re.findall(r"\b(dravo_[a-z0-9_]+)(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"([a-z_]+)\s*[=!]", labels))


def assert_exists(expression: str, where: str) -> None:
    """Fail unless every metric, and every label of a matcher or grouping, exists."""
    names = list(metrics_in(expression))
    assert names or "up{" in expression, where
    grouped = {label for by in re.findall(r"\bby \(([^)]*)\)", expression) for label in by.split(", ")} - {""}
    available: set[str] = set(LABELS)
    for name, labels in names:
        assert name in exported_series(), f"{where}: there is no metric {name}"
        assert labels <= exported_series()[name] | LABELS, f"{where}: {name} has no such label"
        available |= exported_series()[name]
    assert grouped <= available, f"{where}: {grouped - available} is no label of these metrics"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alert_uses_existing_metrics_and_names_its_runbook_page(alert: dict[str, Any]) -> None:
    assert_exists(alert["expr"], alert["alert"])
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert (ROOT / alert["annotations"]["runbook"]).stem == alert["alert"]
    assert (ROOT / alert["annotations"]["runbook"]).is_file()


def test_every_alert_has_tests_that_fire_and_do_not_fire() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus/rules_test.yaml").read_text())["tests"]
    tested: dict[str, set[bool]] = {}
    for one in (rule for test in tests for rule in test["alert_rule_test"]):
        tested.setdefault(one["alertname"], set()).add(bool(one["exp_alerts"]))
    assert tested == {alert["alert"]: {True, False} for alert in ALERTS}


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the `dravo` commands of a page, split into words."""
    for text in re.findall(r"^dravo [^#\n]*|`(dravo [a-z][^`]*)`", page.read_text(), re.MULTILINE):
        if text:
            yield text.split()
    for line in re.findall(r"^(dravo [^#\n]*)", page.read_text(), re.MULTILINE):
        yield line.split()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_runbook_page_has_an_alert_and_existing_commands(page: Path) -> None:
    text = page.read_text()
    assert page.stem in {alert["alert"] for alert in ALERTS}
    assert re.findall(r"^#+ (.*)", text, re.MULTILINE) == [
        page.stem,
        "What it means",
        "What users see",
        "Diagnose",
        "Fix",
    ]
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (page.parent / link).is_file(), link
    for variable in re.findall(r"DRAVO_([A-Z0-9_]+[A-Z0-9])\b", text):
        assert variable.lower() in Settings.model_fields, variable
    for _, *words in commands(page):
        command: Any = typer.main.get_command(app)
        while words and words[0][:2] != "--" and isinstance(command, click.Group | typer.core.TyperGroup):
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= options, words


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboard_uses_existing_metrics(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels(dashboard):
        assert panel["description"], panel["title"]
        for target in panel["targets"]:
            assert_exists(target["expr"], f"{path.stem}: {panel['title']}")
        for alert in re.findall(r"\bDravo[A-Z]\w+", panel["description"]):
            assert (DEPLOY / f"runbook/{alert}.md").is_file(), alert
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


def test_every_metric_is_on_a_dashboard() -> None:
    shown = {
        name
        for path in DASHBOARDS
        for panel in panels(json.loads(path.read_text()))
        for target in panel["targets"]
        for name, _ in metrics_in(target["expr"])
    }
    families = {
        re.sub(r"_(bucket|count|sum)$", "", name) for name in exported_series() if name.startswith("dravo_")
    }
    missing = families - {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown}
    assert missing == {"dravo_build_info", "dravo_tick_ended_timestamp_seconds"}
