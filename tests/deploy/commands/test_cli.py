"""What all commands share: help, exit codes, one sentence on stderr, closed pipes."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.commands.conftest import Dravo

COMMANDS = [
    ("up",),
    ("migrate",),
    ("api",),
    ("worker",),
    ("scheduler",),
    ("accounts",),
    ("accounts", "check"),
    ("resync",),
    ("why",),
    ("status",),
    ("import", "accounts"),
    ("import", "publications"),
    ("keys", "create"),
    ("keys", "list"),
    ("keys", "revoke"),
    ("secrets", "generate"),
    ("quarantine", "list"),
    ("quarantine", "release"),
    ("pause",),
    ("resume",),
    ("pauses",),
    ("audit-log",),
    ("demo", "break"),
    ("demo", "heal"),
    ("secrets", "rotate"),
    ("secrets", "sealing-key"),
]
DRAVO = str(Path(sys.executable).parent / "dravo")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_a_json_option(dravo: Dravo, command: tuple[str, ...]) -> None:
    result = dravo(*command, "--help")

    assert result.code == 0
    assert "--json" in result.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("status", "--nonsense"),
        ("why",),
        ("keys", "create"),
        ("keys", "revoke", "dra_" + "a" * 40),
        ("resync",),
        ("resync", "--all", "--platform", "x"),
        ("resync", "--platform", "myspace"),
        ("resync", "--all", "--rate", "fast"),
        ("resync", "--all", "--rate", "0/s"),
        ("resync", "--all", "--timeout", "3"),
        ("quarantine", "release"),
        ("quarantine", "release", "--all", "post_1"),
        ("status", "--watch", "--json"),
        ("why", "\udcff"),
        ("keys", "create", "--workspace", ""),
        ("pause", "--reason", "a", "--account", "acc_1", "--workspace", "ws_1"),
        ("pause", "--reason", "a", "--platform", "x", "--for", "0h"),
        ("pause", "--reason", "a", "--platform", "x", "--until", "9999-12-31"),
        ("resume",),
        ("resume", "--workspace", "ws_1", "--try"),
        ("export",),
        ("export", "--account", "acc_1", "--workspace", "ws_1"),
        ("webhooks", "redeliver", "whe_1", "--delivery", "1", "--since", "2026-01-01"),
        ("webhooks", "disable", "whe_1", "--reason", " "),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(operator: Dravo, arguments: tuple[str, ...]) -> None:
    result = operator(*arguments)

    assert result.code == 2
    assert result.out == ""
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith("dravo: ")


@pytest.mark.parametrize("instant", ["yesterday", "2026-13-01", "9999-12-31T23:59:59.999999", ""])
def test_malformed_date_is_wrong_usage(operator: Dravo, instant: str) -> None:
    assert operator("resync", "--to", instant).code == 2


def test_all_missing_settings_are_listed_at_once(dravo: Dravo) -> None:
    result = dravo("import", "accounts", "-")

    assert result.code == 1
    assert result.err.splitlines() == [
        "dravo: DRAVO_DATABASE_URL: is required and not set",
        "dravo: DRAVO_SECRET_KEYS: is required and not set",
    ]


@pytest.mark.parametrize(
    "command", [("status",), ("accounts",), ("migrate",), ("why", "x"), ("keys", "list")]
)
def test_unreachable_database_is_one_sentence_without_its_password(
    dravo: Dravo, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAVO_DATABASE_URL", "postgresql://someone:hunter2-hunter2@127.0.0.1:9/nowhere")

    result = dravo(*command)

    assert result.code == 1
    assert len(result.err.splitlines()) == 1
    assert "DRAVO_DATABASE_URL" in result.err
    assert "hunter2" not in result.err


@pytest.mark.parametrize("command", [("status",), ("accounts",), ("why", "x"), ("resync", "--all")])
def test_missing_schema_error_names_the_migrate_command(
    dravo: Dravo, command: tuple[str, ...], empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAVO_DATABASE_URL", empty_database_url)

    result = dravo(*command)

    assert result.code == 1
    assert "dravo migrate" in result.err


def test_migrate_creates_the_schema_and_can_run_twice(
    dravo: Dravo, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAVO_DATABASE_URL", empty_database_url)

    first, second = dravo("migrate", "--json"), dravo("migrate", "--json")

    assert (first.code, first.json["from"]) == (0, None)
    assert second.json == {"from": first.json["revision"], "revision": first.json["revision"]}


def test_unexpected_error_is_one_sentence_without_traceback_or_secret(
    operator: Dravo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("access_token=EAAsecret123456")

    monkeypatch.setattr("deploy.commands.keys.list_keys", broken)

    result = operator("keys", "list")

    assert result.code == 1
    assert result.err.startswith("dravo: unexpected error RuntimeError")
    assert "EAAsecret" not in result.err


def test_key_is_printed_once_then_listed_and_revoked(operator: Dravo) -> None:
    made = operator("keys", "create", "--workspace", "ws_1", "--name", "dash", "--json").json
    assert made["key"].startswith("dra_")
    assert made["key_id"].startswith("key_")

    listed = operator("keys", "list", "--json")
    assert made["key"] not in listed.out
    assert [(key["key_id"], key["name"], key["revoked_at"]) for key in listed.json] == [
        (made["key_id"], "dash", None)
    ]

    assert operator("keys", "revoke", made["key_id"], "--json").json == {
        "key_id": made["key_id"],
        "revoked": True,
    }
    assert operator("keys", "list", "--json").json[0]["revoked_at"] is not None
    assert operator("keys", "revoke", "key_unknown").code == 1
    assert operator("keys", "list", "--workspace", "ws_2", "--json").json == []
    assert len(operator("keys", "list", "--workspace", "ws_1", "--json").json) == 1


def test_generated_secret_is_accepted_by_the_settings(dravo: Dravo, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = dravo("secrets", "generate").out.strip()
    assert plain != dravo("secrets", "generate", "--json").json["secret"]

    monkeypatch.setenv("DRAVO_SECRET_KEYS", plain)

    assert "SECRET_KEYS" not in dravo("import", "accounts", "-").err


@pytest.mark.usefixtures("fleet")
def test_closed_pipe_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [DRAVO, "accounts"], stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False
        )
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.usefixtures("fleet")
def test_closed_stdout_is_no_error() -> None:
    done = subprocess.run(
        ["sh", "-c", f"'{DRAVO}' accounts >&-"], stderr=subprocess.PIPE, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_long_line_is_not_broken_in_a_narrow_terminal() -> None:
    line = "curl -H 'Authorization: Bearer " + "x " * 100
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        subprocess.run(
            [sys.executable, "-c", f"from deploy.console import show; show({line!r})"],
            stdout=theirs,
            env={**os.environ, "COLUMNS": "80"},
            check=True,
        )
        shown = terminal.read(4_096)
        os.close(theirs)

    assert shown.decode().rstrip() == line.rstrip()


@pytest.mark.usefixtures("fleet")
def test_installed_command_prints_only_json_into_a_pipe() -> None:
    done = subprocess.run([DRAVO, "accounts", "--json"], capture_output=True, timeout=60, check=True)

    assert len(json.loads(done.stdout)) == 5
    assert done.stderr == b""


def test_service_commands_replace_their_own_process(dravo: Dravo, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    def execv(program: str, arguments: list[str]) -> None:
        started.append((program, arguments[1:], os.environ.get("DRAVO_LOG_FORMAT")))
        raise OSError(8, "stopped here by the test")

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setenv("DRAVO_LOG_FORMAT", "text")

    for command in ("api", "worker", "scheduler"):
        dravo(command)
    dravo("worker", "--json")

    assert started == [
        (sys.executable, ["-P", "-m", "api_stub"], "text"),
        (sys.executable, ["-P", "-m", "worker"], "text"),
        (sys.executable, ["-P", "-m", "scheduler"], "text"),
        (sys.executable, ["-P", "-m", "worker"], "json"),
    ]


def test_key_for_a_workspace_without_accounts_is_created_with_a_warning(fleet: Dravo) -> None:
    misspelt, known = (
        fleet("keys", "create", "--workspace", "ws1"),
        fleet("keys", "create", "--workspace", "ws_1"),
    )

    assert (misspelt.code, known.code) == (0, 0)
    assert "workspace ws1 has no accounts yet (did you mean ws_1?): the key finds no rows" in misspelt.err
    assert "no accounts" not in known.err
