"""The front door tells the truth: every setting, command, target and file that it should name is there."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from deploy.cli import app
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_explained(name: str) -> None:
    assert f"`{name.upper()}`" in README


def test_every_command_is_named() -> None:
    commands = set(getattr(get_command(app), "commands", {}))

    assert {command for command in commands if f"dravo {command}" not in README} == set()


def test_every_path_in_the_readme_exists() -> None:
    named = set(re.findall(r"`((?:shared|scheduler|worker|api_stub|deploy|tests)/[\w./-]*)`", README))

    assert {path for path in named if "<" not in path and not (ROOT / path).exists()} == set()


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"(?:`|\$ )make ([a-z][a-z-]+)", README))
    makefile = (ROOT / "Makefile").read_text()

    assert {target for target in targets if f"\n{target}:" not in makefile} == set()
