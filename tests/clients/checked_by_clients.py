"""The wheel runs `dravo up` in an empty directory, and clients made by two generators read its API.

Run by ``make check-clients``: it installs the wheel with pip, and the generators elsewhere.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.faults.harness.waiting import wait_until

ROOT = Path(__file__).parents[2]
GENERATORS = ROOT / ".venv/clients/bin"


@dataclass(frozen=True)
class Stack:
    """A running `dravo up` of the wheel."""

    directory: Path
    dravo: Path
    url: str
    key: str

    def run(self, *arguments: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of the wheel in its directory."""
        return subprocess.run(
            [self.dravo, *arguments],
            cwd=directory or self.directory,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def clean_environment(**more: str) -> dict[str, str]:
    """Return the environment without Dravo's settings, and with ``more``."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DRAVO_")} | more


def call(*command: object, **options: object) -> None:
    """Run a command; its output is shown when it fails."""
    subprocess.run([str(one) for one in command], check=True, **options)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Build and install the wheel, and run `dravo up` in an empty directory."""
    # Not pytest's directory: the servers run as another user, who may not enter it.
    with tempfile.TemporaryDirectory(prefix="dravo-wheel-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        call(
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "--target",
            "wheel",
            "--directory",
            directory,
            cwd=ROOT,
        )
        (wheel,) = directory.glob("*.whl")
        call(sys.executable, "-m", "venv", "--without-pip", directory / "venv")
        pip = [sys.executable, "-m", "pip", "--python", directory / "venv/bin/python", "install", "--quiet"]
        call(*pip, "--require-hashes", "--requirement", ROOT / "requirements-run.lock")
        call(*pip, "--no-index", f"dravo-analytics-sync[local] @ {wheel.as_uri()}")
        yield from run_up(directory, directory / "venv/bin/dravo")


def run_up(directory: Path, dravo: Path) -> Iterator[Stack]:
    """Run `dravo up` in an empty directory until the tests are done."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    work = directory / "empty"
    work.mkdir()
    environment = clean_environment(DRAVO_API_PORT=str(port))
    process = subprocess.Popen([dravo, "up"], cwd=work, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        greeting = work / ".dravo/greeting"
        wait_until(
            lambda: process.poll() is not None or (greeting.exists() and greeting.read_text()),
            within=60,
            what="dravo up is ready",
        )
        (key,) = re.findall(r"API key  (dra_\S+)", greeting.read_text())
        yield Stack(work, dravo, f"http://127.0.0.1:{port}", key)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_wheel_runs_the_whole_system(stack: Stack) -> None:
    headers = {"Authorization": f"Bearer {stack.key}"}

    def synced() -> int:
        page = httpx.get(f"{stack.url}/v1/analytics/posts", params={"limit": 100}, headers=headers).json()
        return sum(item["sync_status"] == "synced" for item in page["items"])

    wait_until(lambda: synced() > 20, within=60, what="rows are synced")
    for path in ("/", "/docs", "/llms.txt", "/ops/login"):
        assert httpx.get(stack.url + path).status_code == 200
    below = stack.directory / "below"
    below.mkdir()
    status = stack.run("status", "--json", directory=below)
    assert (status.returncode, json.loads(status.stdout)["redis_error"]) == (0, None)
    second = stack.run("up")
    assert (second.returncode, stack.url in second.stdout) == (1, True)


@pytest.fixture(scope="module")
def document(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store the document that the running API serves."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(httpx.get(f"{stack.url}/openapi.json").text)
    return path


OPENAPI_PYTHON_CLIENT = """
import sys
from client import AuthenticatedClient, Client
from client.api.analytics import list_changes, list_history, list_posts
from client.models import Error, ListPostsPlatform, Page

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)
page = list_posts.sync(client=client, platform=ListPostsPlatform.X, limit=5)
assert isinstance(page, Page) and len(page.items) == 5 and page.items[0].created_at.tzinfo, page
history = list_history.sync(client=client, post_id=page.items[0].post_id)
assert history.publications[0].publication_id == page.items[0].publication_id, history
assert list_changes.sync(client=client, cursor="now").changes == []
refusal = list_posts.sync(client=AuthenticatedClient(base_url=url, token="dra_wrong"))
assert isinstance(refusal, Error) and refusal.error.code == "unauthorized", refusal
"""


def test_client_of_openapi_python_client_reads_the_api(stack: Stack, document: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("package_name_override: client\nproject_name_override: client\npost_hooks: []\n")
    generator = [GENERATORS / "openapi-python-client", "generate", "--meta", "none", "--fail-on-warning"]
    call(
        *generator, "--path", document, "--config", config, "--output-path", tmp_path / "client", cwd=tmp_path
    )

    call(GENERATORS / "python", "-c", OPENAPI_PYTHON_CLIENT, stack.url, stack.key, cwd=tmp_path)


DATAMODEL_CODE_GENERATOR = """
import sys
import httpx
from models import Changes, Error, History, Page

url, key = sys.argv[1:]
client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"})
body = client.get("/v1/analytics/posts", params={"limit": 100}).json()
page = Page.model_validate(body)
assert page.items[0].platform.value and page.total >= len(page.items)
body["items"][0]["field_of_tomorrow"] = body["field_of_tomorrow"] = 1
body["items"][0]["warnings"] = ["code_of_tomorrow: A sentence."]
Page.model_validate(body)
History.model_validate(client.get(f"/v1/analytics/posts/{page.items[0].post_id}/history").json())
Changes.model_validate(client.get("/v1/analytics/changes").json())
Error.model_validate(client.get("/v1/analytics/posts?limit=0").json())
"""


def test_models_of_datamodel_code_generator_read_the_api(
    stack: Stack, document: Path, tmp_path: Path
) -> None:
    generator = [GENERATORS / "datamodel-codegen", "--input", document, "--input-file-type", "openapi"]
    options = ["--output-model-type", "pydantic_v2.BaseModel", "--output", tmp_path / "models.py"]
    call(*generator, *options)

    call(GENERATORS / "python", "-c", DATAMODEL_CODE_GENERATOR, stack.url, stack.key, cwd=tmp_path)
