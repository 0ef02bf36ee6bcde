"""Rows to import, and helpers that import them."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from shared.accounts.vault import Vault, new_key
from shared.ingestion.fields import RowError
from shared.ingestion.importer import ImportResult, import_accounts, import_publications

VAULT = Vault([SecretStr(new_key())])
TOKEN = "EAAsecrettoken0123456789"


def account(**fields: object) -> dict[str, object]:
    """Return a whole account row, these fields apart."""
    row: dict[str, object] = {
        "account_id": "acc_1",
        "workspace_id": "ws_1",
        "platform": "instagram",
        "platform_account_id": "17841400000000000",
        "access_token": TOKEN,
    }
    return row | fields


def publication(**fields: object) -> dict[str, object]:
    """Return a whole publication row of that account, these fields apart."""
    row: dict[str, object] = {
        "post_id": "post_1",
        "account_id": "acc_1",
        "platform_post_id": "18000000000000000",
        "created_at": "2026-06-23T10:15:30Z",
    }
    return row | fields


def store_accounts(engine: Engine, *rows: object) -> ImportResult:
    """Take account rows in."""
    with engine.begin() as connection:
        return import_accounts(connection, VAULT, rows)


def store(engine: Engine, *rows: object, priority: int = 0) -> ImportResult:
    """Take publication rows in."""
    with engine.begin() as connection:
        return import_publications(connection, rows, priority=priority)


def stored(engine: Engine, statement: str) -> list[Mapping[str, Any]]:
    """Run a statement and return its rows."""
    with engine.begin() as connection:
        return [dict(row) for row in connection.execute(text(statement)).mappings()]


def states(engine: Engine) -> list[Mapping[str, Any]]:
    """Return every publication with its state and status, in the order of coming."""
    return stored(
        engine,
        "SELECT p.*, r.*, pa.sync_status, pa.error_message, r.next_run_at <= now() AS due FROM publications p"
        " JOIN refresh_state r ON r.publication_id = p.id"
        " JOIN post_analytics pa ON pa.publication_id = p.id ORDER BY p.id",
    )


def messages(result: ImportResult) -> list[str]:
    """Return why rows were refused, without the values that the sentences end with."""
    return [refusal.message.partition("; got ")[0] for refusal in result.refused]


def refused(parse: Any, row: object) -> str:
    """Return why a row is refused, without the value that the sentence ends with."""
    with pytest.raises(RowError) as refusal:
        parse(row)
    return str(refusal.value).partition("; got ")[0]
