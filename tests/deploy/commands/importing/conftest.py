"""A stored account for imports of publications."""

from pathlib import Path

import pytest

from tests.deploy.commands.conftest import Dravo, write_lines
from tests.deploy.commands.importing.example_rows import ACCOUNT


@pytest.fixture
def with_account(operator: Dravo, tmp_path: Path) -> Dravo:
    assert operator("import", "accounts", str(write_lines(tmp_path / "a.jsonl", [ACCOUNT]))).code == 0
    return operator
