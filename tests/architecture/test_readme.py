"""Settings, commands, paths, links and make targets that the documents name exist."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from deploy.cli import app
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
README_LINES = 120
FOLDERS = "shared|scheduler|worker|api_stub|deploy|tests|.github|.ci"
DOCUMENTS = sorted(
    ROOT / name for name in subprocess.check_output(["git", "ls-files", "*.md"], cwd=ROOT, text=True).split()
)
OPERATIONS = (ROOT / "deploy/README.md").read_text()


def commands(group: object, prefix: str = "dravo") -> set[str]:
    """Return every command below a group with its full name."""
    names = set()
    for name, command in getattr(group, "commands", {}).items():
        full = f"{prefix} {name}"
        names |= commands(command, full) if hasattr(command, "commands") else {full}
    return names


def test_readme_fits_on_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_has_a_row_in_the_settings_table(name: str) -> None:
    rows = re.findall(rf"^\|[^|]*`{name.upper()}`[^|]*\|.+$", OPERATIONS, re.MULTILINE)

    assert len(rows) == 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_that_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"DRAVO_([A-Z][A-Z_]+[A-Z])", document.read_text()))

    assert named <= {name.upper() for name in Settings.model_fields}


def test_every_command_is_named() -> None:
    assert {command for command in commands(get_command(app)) if command not in OPERATIONS} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_in_a_document_exists(document: Path) -> None:
    named = set(re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", document.read_text()))

    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_files_that_the_tour_names_are_in_their_folder() -> None:
    tour = re.findall(r"^\| `(\w+/)` \| (.*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    named = {folder + name for folder, text in tour for name in re.findall(r"`(\w+(?:\.py|/))`", text)}

    assert len(named) > 10
    assert {path for path in named if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_in_a_document_leads_to_a_file(document: Path) -> None:
    text = document.read_text()
    targets = {*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'(?:src|srcset)="([^"]+)"', text)}
    relative = {target.partition("#")[0] for target in targets if "://" not in target} - {""}

    assert {target for target in relative if not (document.parent / target).exists()} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_in_a_document_exists(document: Path) -> None:
    targets = set(re.findall(r"(?:`|\$ )make ([a-z]+(?:-[a-z]+)*)(?=[`\s])", document.read_text()))
    makefile = (ROOT / "Makefile").read_text()

    assert {target for target in targets if f"\n{target}:" not in makefile} == set()


def test_changelog_dates_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] == "[Unreleased]"
    assert re.fullmatch(rf"\[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d", headings[1])
