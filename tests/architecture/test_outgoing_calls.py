"""No call to a platform or a receiver takes a proxy, credentials or certificates from the environment."""

import ast
from pathlib import Path

import pytest

from worker.http.client import Client
from worker.webhooks.delivery import Poster

ROOT = Path(__file__).parents[2]
_TRUSTING = {f"httpx.{name}" for name in ("Client", "AsyncClient", "HTTPTransport", "create_ssl_context")}
"""Calls that trust the environment by default."""


def _trusted(call: ast.Call) -> str | None:
    """Return the value of a call's ``trust_env``; ``None`` when the call neither has nor needs it."""
    given = [ast.unparse(one.value) for one in call.keywords if one.arg == "trust_env"]
    return given[0] if given else "True" if ast.unparse(call.func) in _TRUSTING else None


def test_every_client_of_the_worker_distrusts_the_environment() -> None:
    trusted = {
        f"{path.relative_to(ROOT)}:{node.lineno}": value
        for path in (ROOT / "worker").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and (value := _trusted(node)) is not None
    }

    assert set(trusted.values()) == {"False"}, trusted


def test_certificates_that_the_environment_names_are_not_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))

    with Client(), Poster((), connections=1):
        pass
