"""Manifests, units and the compose file: existing settings, no privileges, each service's own secrets only.

Checks that need a tool of their own (hadolint, kubeconform, …) are in checked_by_tools.py.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from deploy.cli import app
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted(set((DEPLOY / "kubernetes").glob("*.yaml")) - {DEPLOY / "kubernetes/kustomization.yaml"})


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def test_every_manifest_is_listed() -> None:
    listed = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == [path.name for path in MANIFESTS]


def pods() -> Iterator[Any]:
    for path in MANIFESTS:
        for document in documents(path):
            if document["kind"] == "CronJob":
                document = {
                    "metadata": document["metadata"],
                    **document["spec"]["jobTemplate"],
                    "kind": "Job",
                }
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
    names = {
        name for path in texts for name in re.findall(r"\bDRAVO_([A-Z0-9_]+[A-Z0-9])\b", path.read_text())
    }
    assert len(names) > 8
    assert names <= {name.upper() for name in Settings.model_fields}


SECRETS = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
STORES = {"database_url", "redis_url"}
PLATFORM_SECRETS = {name for name in SECRETS if name.endswith(("_app_secret", "_client_secret", "_bearer"))}
API_SECRETS = {
    "read_database_url",
    "internal_token",
    "ops_token",
    "jwt_secret",
    "meta_verify_token",
    "x_consumer_secret",
}
OWN_SECRETS = {
    "migrate": {"database_url"},
    "scheduler": STORES,
    "worker": STORES | PLATFORM_SECRETS | {"secret_keys"},
    "sender": {"database_url", "secret_keys"},
    "api": STORES | API_SECRETS,
}


def secrets_in(text: str) -> set[str]:
    names = {name.lower() for name in re.findall(r"\bDRAVO_([A-Z0-9_]+[A-Z0-9])\b", text)}
    return names & SECRETS


def assert_own(service: str, names: set[str]) -> None:
    """Fail if a service gets another service's secret, or lacks one that it cannot start without."""
    assert names <= OWN_SECRETS[service], service
    required = OWN_SECRETS[service] & (STORES | {"secret_keys"})
    assert required <= names, service


def test_every_secret_setting_belongs_to_a_service() -> None:
    assert len(PLATFORM_SECRETS) > 3
    assert set().union(*OWN_SECRETS.values()) == SECRETS


@pytest.mark.parametrize("service", OWN_SECRETS)
def test_compose_gives_each_service_only_its_own_secrets(service: str) -> None:
    declared = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())["services"][service]
    own_file = {"worker": ["worker.env"], "api": ["api.env"]}.get(service, [])

    assert_own(service, secrets_in(" ".join(declared["environment"])))
    assert [file["path"] for file in declared["env_file"]] == ["dravo.env", *own_file]
    assert ("DRAVO_SEALING_KEY" in declared["environment"]) == (service == "api")


def test_compose_lets_services_log_in_as_their_own_role() -> None:
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
        "sender": ("dravo_sender", "SENDER_PASSWORD"),
    }
    operator = services["operator"]
    assert operator["profiles"], "only a command starts it"
    assert "//dravo:" in operator["environment"]["DRAVO_DATABASE_URL"]
    assert {"secret_keys", *STORES} <= secrets_in(" ".join(operator["environment"]))
    (script,) = [one for one in services["postgres"]["volumes"] if "roles.sql" in one]
    assert (DEPLOY / "docker" / script.partition(":")[0]).resolve() == DEPLOY / "roles.sql"
    variables = set(re.findall(r"^\\getenv \w+ (\w+)", (DEPLOY / "roles.sql").read_text(), re.MULTILINE))
    passwords = {"SCHEDULER_PASSWORD", "WORKER_PASSWORD", "SENDER_PASSWORD"}
    assert variables == passwords <= services["postgres"]["environment"].keys()


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

    instructions = (DEPLOY / "kubernetes/kustomization.yaml").read_text().replace("\\\n#", "")
    (line,) = re.findall(rf"create secret generic dravo-{service} (.*)", instructions)
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

    instructions = re.sub(r"\n# {10,}", " ", (DEPLOY / "systemd/dravo.target").read_text())
    (line,) = re.findall(rf"/etc/dravo/{service}\.env (.*)", instructions)
    assert_own(service, secrets_in(line))
    assert ("DRAVO_SEALING_KEY" in line) == (service == "api")


LEDGER = "DRAVO_ERASURE_LEDGER"


def test_schedulers_write_and_apis_read_the_same_ledger_in_containers() -> None:
    services = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())["services"]
    with_ledger = {name: given for name, given in services.items() if LEDGER in given.get("environment", ())}

    assert {name: given["volumes"] for name, given in with_ledger.items()} == {
        "scheduler": ["ledger:/var/lib/dravo"],
        "api": ["ledger:/var/lib/dravo:ro"],
        "operator": ["ledger:/var/lib/dravo"],
    }
    assert {given["environment"][LEDGER] for given in with_ledger.values()} == {
        "/var/lib/dravo/erasures.jsonl"
    }
    assert "--chown=10001:10001 /build/ledger /var/lib/dravo" in (DEPLOY / "docker/Dockerfile").read_text()


def test_schedulers_write_and_apis_read_the_same_ledger_in_kubernetes() -> None:
    (config,) = documents(DEPLOY / "kubernetes/config.yaml")
    (claim,) = documents(DEPLOY / "kubernetes/ledger.yaml")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for service, read_only in (("scheduler", False), ("api", True)):
        (workload,) = [
            d for d in documents(DEPLOY / f"kubernetes/{service}.yaml") if d["kind"] == "Deployment"
        ]
        pod = workload["spec"]["template"]["spec"]
        (volume,) = [one for one in pod["volumes"] if "persistentVolumeClaim" in one]
        (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == volume["name"]]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert mount.get("readOnly", False) is read_only
        assert config["data"][LEDGER].startswith(f"{mount['mountPath']}/")
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_schedulers_write_and_apis_read_the_same_ledger_under_systemd() -> None:
    scheduler, api = (
        (DEPLOY / f"systemd/dravo-{name}.service").read_text().splitlines() for name in ("scheduler", "api")
    )
    (path,) = {line.partition(f"{LEDGER}=")[2] for line in (*scheduler, *api) if LEDGER in line}
    folder = str(Path(path).parent)
    assert f"ReadWritePaths={folder}" in scheduler
    assert not [line for line in api if line.startswith("ReadWritePaths")]
    assert "SupplementaryGroups=dravo-ledger" in set(scheduler) & set(api)
    assert "UMask=0007" in scheduler, "the next user of the unit appends to the same file"
    assert folder in (DEPLOY / "systemd/dravo.target").read_text()


def test_owner_of_the_tables_runs_retention_where_schedulers_log_in_as_their_role() -> None:
    compose = (DEPLOY / "docker/compose.yaml").read_text()
    assert "operator retention run" in compose
    services = yaml.safe_load(compose)["services"]
    assert services["operator"]["environment"]["DRAVO_DATABASE_URL"].startswith("postgresql://dravo:")
    (job,) = documents(DEPLOY / "kubernetes/retention.yaml")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert job["spec"]["suspend"], "an installation removes nothing"
    assert container["args"] == ["retention", "run"]
    assert {"secretRef": {"name": "dravo-migrate"}} in container["envFrom"]
    (config,) = documents(DEPLOY / "kubernetes/config.yaml")
    assert config["data"]["DRAVO_RETENTION"] == ""
    unit = (DEPLOY / "systemd/dravo-retention.service").read_text()
    assert "EnvironmentFile=/etc/dravo/migrate.env" in unit
    assert "dravo retention run" in unit
    assert "dravo-retention" not in (DEPLOY / "systemd/dravo.target").read_text().partition("[Unit]")[2]


@pytest.mark.parametrize("service", ["worker", "api", "sender"])
def test_network_policy_allows_egress_only_where_needed(service: str) -> None:
    """The worker reaches platforms, the API its token issuer; all other egress is DNS and the stores."""
    policies = [d for d in documents(DEPLOY / "kubernetes/network.yaml") if "egress" in d["spec"]]
    ports = {
        port["port"]
        for policy in policies
        if policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/name") == f"dravo-{service}"
        for rule in policy["spec"]["egress"]
        if any(target.get("ipBlock", {}).get("cidr") == "0.0.0.0/0" for target in rule.get("to", ()))
        for port in rule["ports"]
    }
    assert ports == {443}
    named = {
        policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/name") for policy in policies
    }
    assert named == {None, "dravo-worker", "dravo-api", "dravo-sender"}


def test_sender_reaches_names_postgresql_and_port_443_alone() -> None:
    policies = [d for d in documents(DEPLOY / "kubernetes/network.yaml") if "egress" in d["spec"]]
    (own,) = [d for d in policies if d["metadata"]["name"] == "dravo-sender-receivers"]
    (others,) = [d for d in policies if d["metadata"]["name"] == "dravo-names-and-stores"]

    assert {port["port"] for rule in own["spec"]["egress"] for port in rule["ports"]} == {53, 443, 5432}
    (excluded,) = others["spec"]["podSelector"]["matchExpressions"]
    assert (excluded["operator"], excluded["values"]) == ("NotIn", ["dravo-sender"])
