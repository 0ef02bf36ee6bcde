"""`dravo schema`: each published schema is that of what its command prints, field by field."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from deploy.schemas.documents import DOCUMENTS
from tests.deploy.commands.conftest import Dravo

SPENT = (
    "INSERT INTO pauses (platform, kind, subject, paused_until, reason) VALUES"
    " ('x', 'credits', '', now() + interval '1 hour', 'Our credits are used up.')"
)
PRINTED: dict[str, list[tuple[str, ...]]] = {
    "accounts": [("accounts",)],
    "audit-log": [("audit-log",)],
    "pause": [("pause", "--platform", "tiktok", "--reason", "a wish", "--for", "2h")],
    "pauses": [("pauses",)],
    "quarantine list": [("quarantine", "list")],
    "quarantine release": [("quarantine", "release", "--all")],
    "resume": [
        ("resume", "--platform", "facebook"),
        ("resume", "--platform", "x", "--try", "--timeout", "0"),
    ],
    "resync": [("resync", "--platform", "x", "--wait", "--timeout", "0.1")],
    "status": [("status",)],
    "why": [("why", "post_3"), ("why", "x"), ("why", "acc_x")],
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_of_a_command_has_exactly_the_fields_of_its_schema(
    fleet: Dravo, sql: Any, name: str
) -> None:
    sql(SPENT)
    sql("UPDATE refresh_state SET reason = 'quarantined', next_run_at = NULL WHERE account_id = 'acc_tiktok'")
    fleet("pause", "--platform", "facebook", "--reason", "their wish")
    adapter: TypeAdapter[Any] = TypeAdapter(DOCUMENTS[name])
    for arguments in PRINTED[name]:
        document = fleet(*arguments, "--json").json

        # An unknown field is dropped by validation, so a document that survives it has none.
        assert adapter.dump_python(adapter.validate_python(document, strict=True)) == document


def test_schema_is_json_schema_and_unknown_commands_are_refused(dravo: Dravo) -> None:
    schema = dravo("schema", "status", "--json").json

    assert schema["title"] == "dravo status --json"
    assert schema["properties"]["all_well"] == {"title": "All Well", "type": "boolean"}
    assert "needs_you" in schema["required"]
    assert "additionalProperties" not in schema
    assert dravo("schema", "--json").json == sorted(DOCUMENTS)
    assert dravo("schema", "nothing").code == 1
