"""`dravo schema`: each published schema is that of what its command prints, field by field."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from typer.main import get_command

from deploy.cli import app
from deploy.schemas.documents import DOCUMENTS
from tests.deploy.commands.conftest import Dravo
from tests.deploy.commands.documents import check, check_document
from tests.worker.webhooks.receiver import OK, receiver

SERVICES = {"up", "api", "worker", "scheduler", "sender"}
"""Commands that run until they are stopped: with --json, their log is JSON."""
SPENT = (
    "INSERT INTO pauses (platform, kind, subject, paused_until, reason) VALUES"
    " ('x', 'credits', '', now() + interval '1 hour', 'Our credits are used up.')"
)
SNAPSHOTS = (
    "INSERT INTO snapshots (publication_id, taken_at, last_seen_at, reads, claim_seq, sync_status, metrics)"
    " SELECT p.id, p.created_at + n * interval '6 hours', p.created_at + n * interval '6 hours', 1,"
    " n, 'synced', jsonb_build_object('impression_count', 1000 * n / (n + 2))"
    " FROM publications p, generate_series(1, 10) n WHERE p.platform = 'x'"
)
PRINTED: list[tuple[str, ...]] = [
    ("accounts",),
    ("audit-log",),
    ("erase", "--account", "acc_facebook"),
    ("erase", "--account", "acc_facebook", "--reason", "ticket 7", "--yes"),
    ("erase", "list"),
    ("erase", "import-meta", "users.csv"),
    ("erase", "replay"),
    ("freshness",),
    ("replay-freshness",),
    ("import", "accounts", "accounts.jsonl"),
    ("import", "accounts", "--example", "instagram"),
    ("import", "accounts", "--example", "linkedin"),
    ("import", "publications", "publications.jsonl", "--dry-run"),
    ("import", "archive", "archive.jsonl"),
    ("keys", "create", "--workspace", "ws_1"),
    ("keys", "list"),
    ("migrate",),
    ("pause", "--platform", "tiktok", "--reason", "a wish", "--for", "2h"),
    ("pauses",),
    ("quarantine", "list"),
    ("quarantine", "release", "--all"),
    ("resume", "--platform", "facebook"),
    ("resume", "--platform", "x", "--try", "--timeout", "0"),
    ("resync", "--platform", "x", "--wait", "--timeout", "0.1"),
    ("retention", "run"),
    ("retention", "status"),
    ("schema",),
    ("schema", "why"),
    ("secrets", "generate"),
    ("secrets", "rotate"),
    ("secrets", "sealing-key"),
    ("status",),
    ("why", "post_3"),
    ("why", "x"),
    ("why", "acc_x"),
]


@pytest.fixture
def busy(fleet: Dravo, sql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dravo:
    """Run commands on a fleet with pauses, history, a row in quarantine, and files to read."""
    monkeypatch.setenv("DRAVO_RETENTION", "on")
    monkeypatch.setenv("DRAVO_ERASURE_LEDGER", str(tmp_path / "ledger"))
    for statement in (
        SPENT,
        SNAPSHOTS,
        "UPDATE refresh_state SET reason = 'quarantined', next_run_at = NULL WHERE account_id = 'acc_tiktok'",
    ):
        sql(statement)
    fleet("pause", "--platform", "facebook", "--reason", "their wish")
    row = {"account_id": "acc_new", "colour": "red"}
    (tmp_path / "accounts.jsonl").write_text(json.dumps(row))
    (tmp_path / "users.csv").write_text("123\n")
    (tmp_path / "ledger").touch(mode=0o600)
    (tmp_path / "archive.jsonl").write_text(fleet("export", "--account", "acc_x").out)
    return fleet


def test_every_document_has_exactly_the_fields_of_its_schema(busy: Dravo) -> None:
    checked = set()
    for arguments in PRINTED:
        result = busy(*arguments, "--json")
        assert result.out, (arguments, result.err)
        checked.add(check_document((*arguments, "--json"), result.out))
    code = busy("erase", "list", "--json").json[0]["code"]
    assert busy("erase", "certificate", code, "--json").json["code"] == code
    key_id = busy("keys", "list", "--json").json[0]["key_id"]
    assert busy("keys", "revoke", key_id, "--json").json["revoked"]
    for line in busy("export", "--account", "acc_x").out.splitlines():
        check("export", json.loads(line))
    elsewhere = {
        "erase certificate",
        "keys revoke",
        "export",
        "demo audit",
        "demo break",
        "demo heal",
        "accounts check",
    }

    assert checked | elsewhere | {one for one in DOCUMENTS if one.startswith("webhooks ")} == set(DOCUMENTS)


def test_documents_of_webhooks_have_exactly_the_fields_of_their_schemas(
    fleet: Dravo, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAVO_WEBHOOK_ALLOW_NETWORKS", "127.0.0.0/8")
    with receiver() as receiving:
        receiving.script = lambda _request: OK
        added = fleet("webhooks", "add", "--workspace", "ws_1", "--url", receiving.url, "--json")
        endpoint = added.json["endpoint_id"]
        sql(
            "INSERT INTO webhook_refused_rows (endpoint_id, workspace_id, subject, refused_at, tries)"
            " VALUES (:id, 'ws_1', 'publication:1', now(), 3)",
            id=endpoint,
        )
        names = {check_document(("webhooks", "add", "--json"), added.out)}
        # Each test is a process: one is enough to know its document.
        monkeypatch.setattr("deploy.commands.webhooks.webhooks.send_message", lambda _id: added.json["test"])
        for name, *options in (
            ("test",),
            ("list",),
            ("deliveries",),
            ("rotate",),
            ("redeliver", "--since", "2020-01-01"),
            ("disable", "--reason", "their wish"),
            ("enable",),
            ("remove", "--yes"),
        ):
            subject = () if name == "list" else (endpoint,)
            arguments = ("webhooks", name, *subject, *options, "--json")
            names.add(check_document(arguments, fleet(*arguments).out))

    assert names == {one for one in DOCUMENTS if one.startswith("webhooks ")}


def test_every_command_that_ends_has_a_schema() -> None:
    assert set(json_commands(get_command(app))) - SERVICES == set(DOCUMENTS) - {"export"}


def test_every_id_in_a_document_is_a_string() -> None:
    numbers = [
        (name, key)
        for name, document in DOCUMENTS.items()
        for key, shape in properties(TypeAdapter(document).json_schema(mode="serialization"))
        if key.endswith(("_id", "_ids")) and "integer" in json.dumps(shape)
    ]

    assert numbers == []


def properties(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield every property of a schema, also those of the objects that it holds."""
    for part in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(part, dict | list):
            yield from properties(part)
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()


def json_commands(command: Any, *names: str) -> list[str]:
    """Return the names of the commands that have --json."""
    own = [" ".join(names)] if any("--json" in one.opts for one in command.params) else []
    below = getattr(command, "commands", {})
    return own + [name for key, one in below.items() for name in json_commands(one, *names, key)]


def test_schema_is_json_schema_and_unknown_commands_are_refused(dravo: Dravo) -> None:
    schema = dravo("schema", "status", "--json").json

    assert schema["title"] == "dravo status --json"
    assert schema["properties"]["all_well"] == {"title": "All Well", "type": "boolean"}
    assert "needs_you" in schema["required"]
    assert "additionalProperties" not in schema
    assert dravo("schema", "--json").json == sorted(DOCUMENTS)
    assert dravo("schema", "nothing").code == 1
