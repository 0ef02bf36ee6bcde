"""Checks of deployed files with their own tools: `make check-deploy`. A plain pytest run does not collect it.

The tools are promtool and systemd-analyze from the system, the others from deploy/checks.lock. No Docker
engine, no cluster, no network.
"""

import json
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.accounts.vault import new_key
from tests.shared.observability.test_metrics import get, start

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = ROOT / ".venv/tools/bin"
SCRAPE = "15s"


def run(tool: str, *arguments: object, cwd: Path = ROOT) -> str:
    """Run a tool and return its output; fail with it when the tool fails."""
    program = shutil.which(tool, path=f"{TOOLS}:/usr/bin:/usr/local/bin:/bin")
    assert program, f"{tool} is missing: `make check-deploy` installs it"
    done = subprocess.run(
        [program, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def test_dockerfile() -> None:
    assert not run("hadolint", "--failure-threshold", "info", DEPLOY / "docker/Dockerfile")


def test_compose_file() -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "docker/compose.yaml")


@pytest.mark.parametrize("version", ["1.32.0", "1.37.0"])
def test_kubernetes_manifests(version: str) -> None:
    manifests = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    manifests.remove(DEPLOY / "kubernetes/kustomization.yaml")
    said = run("kubernetes-validate", "--strict", "--kubernetes-version", version, *manifests)
    assert said.count("passed") >= len(manifests)


def test_rules_and_their_proofs() -> None:
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", DEPLOY / "prometheus/rules.yaml")
    assert "SUCCESS" in run("promtool", "test", "rules", DEPLOY / "prometheus/rules_test.yaml")


def test_prometheus_configurations(tmp_path: Path) -> None:
    run("promtool", "check", "config", DEPLOY / "prometheus/prometheus.yaml")
    # Debian builds promtool without this discovery: what relabels its targets is checked on a fixed one.
    config = yaml.safe_load((DEPLOY / "prometheus/kubernetes.yaml").read_text())
    (job,) = config["scrape_configs"]
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["dravo"]}}]
    job["static_configs"] = [{"targets": ["127.0.0.1:9464"]}]
    shutil.copy(DEPLOY / "prometheus/rules.yaml", tmp_path)
    (tmp_path / "kubernetes.yaml").write_text(yaml.safe_dump(config))
    run("promtool", "check", "config", tmp_path / "kubernetes.yaml")


def test_every_expression_of_a_dashboard_parses(tmp_path: Path) -> None:
    rules: list[dict[str, str]] = []
    for path in sorted((DEPLOY / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"].replace("$platform", ".*")
                rules.append({"record": f"panel:{len(rules)}", "expr": expr})
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run("promtool", "check", "rules", tmp_path / "panels.yaml")


UNITS = sorted(path for path in (DEPLOY / "systemd").iterdir() if path.suffix == ".service")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_units(unit: Path, tmp_path: Path) -> None:
    for path in (DEPLOY / "systemd").iterdir():
        # A program that exists here stands for ours; systemd looks whether it can be executed.
        text = path.read_text().replace("/opt/dravo/bin/dravo", "/bin/true")
        (tmp_path / path.name.replace("@.", "@1.")).write_text(text)
    name = unit.name.replace("@.", "@1.")
    assert not run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", tmp_path / name)
    run("systemd-analyze", "security", "--offline=true", "--threshold=20", tmp_path / name)


def scrape(port: int, where: str) -> dict[str, float]:
    """Return what Prometheus would store of our own metrics, by series."""
    status, text = get(port, "/metrics")
    assert status == 200, where
    return {
        match[1]: float(match[2])
        for match in re.finditer(r"^(dravo_[a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)
    }


def is_true(expression: str, scrapes: list[dict[str, float]], tmp_path: Path) -> list[Any]:
    """Ask promtool whether an alert's condition is true after these scrapes, 15 seconds apart."""
    series = {name for sample in scrapes for name in sample}
    values = {name: " ".join(str(sample.get(name, "_")) for sample in scrapes) for name in series}
    at = f"{(len(scrapes) - 1) * 15}s"
    test = {
        "interval": SCRAPE,
        "input_series": [{"series": name, "values": sample} for name, sample in sorted(values.items())],
        "promql_expr_test": [{"expr": f"count({expression}) > 0", "eval_time": at, "exp_samples": []}],
    }
    path = tmp_path / "proof.yaml"
    path.write_text(yaml.safe_dump({"evaluation_interval": SCRAPE, "tests": [test]}))
    done = subprocess.run(
        [shutil.which("promtool", path=f"{TOOLS}:/usr/bin") or "promtool", "test", "rules", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return re.findall(r"got:(?!nil).*", done.stdout + done.stderr)


@pytest.fixture
def environment(database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "DRAVO_DATABASE_URL": database_url,
        "DRAVO_REDIS_URL": redis_url,
        "DRAVO_SECRET_KEYS": new_key(),
    }


def until(port: int, series: str, value: float) -> None:
    """Scrape until a series has a value: a look comes every ten seconds, so this ends within two scrapes."""
    resting = threading.Event()
    deadline = time.monotonic() + 2 * 15
    while scrape(port, series).get(series) != value:
        assert time.monotonic() < deadline, f"{series} is not {value} within two scrapes"
        resting.wait(0.2)


def test_stopped_workers_are_an_alert_within_two_scrapes(environment: dict[str, str], tmp_path: Path) -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())["groups"]
    (expression,) = [r["expr"] for g in rules for r in g["rules"] if r["alert"] == "DravoNoWorkers"]
    worker, worker_port = start("worker", environment)
    scheduler, port = start("scheduler", environment)
    try:
        assert get(worker_port, "/healthz")[0] == 200
        until(port, "dravo_workers_alive", 1)
        before = scrape(port, "before")
        assert not is_true(expression, [before, before], tmp_path)
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=15)
        until(port, "dravo_workers_alive", 0)
        assert is_true(expression, [before, before, scrape(port, "after")], tmp_path)
    finally:
        for process in (worker, scheduler):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=15)


def test_what_a_service_exports_passes_the_linter(environment: dict[str, str]) -> None:
    scheduler, port = start("scheduler", environment)
    try:
        until(port, "dravo_workers_alive", 0)
        text = "\n".join(
            line for line in get(port, "/metrics")[1].splitlines() if re.match(r"(# \w+ )?dravo_", line)
        )
    finally:
        scheduler.send_signal(signal.SIGTERM)
        scheduler.communicate(timeout=15)
    promtool = shutil.which("promtool", path=f"{TOOLS}:/usr/bin")
    assert promtool
    linted = subprocess.run(
        [promtool, "check", "metrics"],
        input=text + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
