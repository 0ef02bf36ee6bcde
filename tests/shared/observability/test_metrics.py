"""The exporter and the names behind it: scraped over real HTTP, from real processes where it matters."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from api_stub.http import metrics as api_metrics
from shared import database
from shared.accounts.vault import new_key
from shared.observability import exporter, metrics
from shared.observability.exporter import Heartbeat
from shared.settings import Settings, SettingsError

UNITS = ("_seconds", "_ratio", "_connections", "_total", "_info", "_up")
COUNTED = ("_accounts", "_pauses", "_publications", "_endpoints", "_depth", "_alive", "_needed", "_open")
BOUNDED = {"platform", "outcome", "reason", "endpoint", "status", "kind", "lane", "tick", "read", "pool"}
BOUNDED |= {"service", "version", "state", "paused", "route", "method", "result", "type", "class"}


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def samples(text: str) -> dict[str, float]:
    """Return the values of a scrape by series."""
    return {
        sample.name + ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def heartbeat() -> Heartbeat:
    return Heartbeat(timedelta(seconds=1))


@pytest.fixture
def port(heartbeat: Heartbeat) -> Iterator[int]:
    with exporter.exporter("tests", Settings(metrics_port=0), heartbeat) as port:
        assert port is not None
        yield port


def test_exporter_serves_metrics(port: int) -> None:
    metrics.CLAIMS.labels("background").inc(3)
    status, text = get(port, "/metrics")
    scraped = samples(text)
    assert status == 200
    assert scraped["dravo_claims_totallane=background"] >= 3
    assert any(name.startswith("dravo_build_info") and "service=tests" in name for name in scraped)
    assert not any("_created" in name for name in scraped)
    assert get(port, "/")[0] == 404


def test_healthz_reports_a_stuck_main_loop(port: int) -> None:
    assert get(port, "/healthz") == (200, "alive\n")
    stuck = Heartbeat(-exporter.LONGEST_ITERATION)  # whatever it does, its last round took too long
    with exporter.exporter("tests", Settings(metrics_port=0), stuck) as other:
        assert other is not None
        assert get(other, "/healthz") == (503, "stuck\n")


def test_exporter_without_a_port_does_not_listen(heartbeat: Heartbeat) -> None:
    with exporter.exporter("tests", Settings(), heartbeat) as port:
        assert port is None


def test_port_in_use_stops_the_start_with_one_sentence(heartbeat: Heartbeat) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = Settings(metrics_port=listening.getsockname()[1])
        with (
            pytest.raises(SettingsError, match=r"^DRAVO_METRICS_PORT: 127\.0\.0\.1:\d+ cannot be bound: "),
            exporter.exporter("tests", settings, heartbeat),
        ):
            pass


def test_pool_gauges_are_read_at_each_scrape(port: int, database_url: str) -> None:
    engine = database.connect(database_url, application="tests", pool_size=4)
    try:
        metrics.watch_pool("tests", engine)
        with engine.connect(), engine.connect():
            assert samples(get(port, "/metrics")[1])["dravo_pool_in_use_connectionspool=tests"] == 2
        scraped = samples(get(port, "/metrics")[1])
        assert scraped["dravo_pool_in_use_connectionspool=tests"] == 0
        assert scraped["dravo_pool_size_connectionspool=tests"] == 4
    finally:
        metrics.POOL_IN_USE.remove("tests")
        metrics.POOL_SIZE.remove("tests")
        engine.dispose()


def test_names_follow_the_conventions_and_labels_are_bounded() -> None:
    assert api_metrics.REQUESTS
    ours = [family for family in REGISTRY.collect() if family.name.startswith("dravo_")]
    ours += [fact.family() for fact in metrics.FLEET_GAUGES]
    assert len(ours) > 30
    for family in ours:
        name = family.name + ("_total" if family.type == "counter" else "")
        assert re.fullmatch(r"[a-z][a-z0-9_]+", name)
        assert len(family.documentation) > 10, name
        assert family.documentation.endswith("."), name
        if not name.startswith("dravo_api_"):
            assert name.endswith(UNITS + COUNTED), name
        assert {key for sample in family.samples for key in sample.labels} - {"le"} <= BOUNDED, name


def start(module: str, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a service with its exporter on a free port; return it and the port that its log names."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        env=os.environ | environment | {"DRAVO_METRICS_PORT": "0", "DRAVO_LOG_FORMAT": "json"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stderr is not None
    for line in process.stderr:
        if b"exporter_started" in line:
            return process, int(re.findall(rb'"port": (\d+)', line)[0])
    raise AssertionError(f"{module} ended with {process.wait()} before its exporter was up")


@pytest.mark.parametrize("module", ["worker", "scheduler"])
def test_each_service_exports_its_own_metrics(module: str, database_url: str, redis_url: str) -> None:
    environment = {"DRAVO_DATABASE_URL": database_url, "DRAVO_REDIS_URL": redis_url}
    process, port = start(module, environment | {"DRAVO_SECRET_KEYS": new_key()})
    try:
        assert get(port, "/healthz") == (200, "alive\n")
        scraped = samples(get(port, "/metrics")[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert f"dravo_pool_size_connectionspool={module}" in scraped
    assert any(name.startswith("dravo_build_info") and f"service={module}" in name for name in scraped)
