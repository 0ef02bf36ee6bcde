"""Reads an archive back: what is stored already stays as it is."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from deploy.archive.export import GRAINS
from shared.accounts import states
from shared.accounts.vault import Sealer
from shared.ingestion.importer import ImportResult, Refusal, import_accounts, import_publications
from shared.retention.months import make_daily_month
from shared.vocabulary import Platform

SENTENCE: Final = "The account comes from an archive, which has no tokens: connect it to refresh its posts."
_KNOWN: Final = text("SELECT account_id FROM accounts WHERE account_id = ANY(:ids)")
# A row that has been refreshed keeps its own values.
_ANALYTICS: Final = text("""
UPDATE post_analytics AS n
   SET metrics = o.metrics, warnings = ARRAY(SELECT jsonb_array_elements_text(o.warnings)),
       last_updated_at = o.last_updated_at
  FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS o (
       account_id text, post_id text, platform_post_id text, publish_id text, metrics jsonb, warnings jsonb,
       last_updated_at timestamptz)
  JOIN publications p ON p.account_id = o.account_id AND p.post_id = o.post_id
   AND p.platform_post_id IS NOT DISTINCT FROM o.platform_post_id
   AND p.publish_id IS NOT DISTINCT FROM o.publish_id
 WHERE n.publication_id = p.id AND n.last_updated_at IS NULL
""")
_READINGS: Final = """
WITH stored AS (
    INSERT INTO {table} AS s (publication_id, taken_at, last_seen_at, reads, {claim_seq} sync_status, metrics)
    SELECT p.id, o.taken_at, o.last_seen_at, o.reads, {zero} o.sync_status, o.metrics
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS o (
           account_id text, post_id text, platform_post_id text, publish_id text, taken_at timestamptz,
           last_seen_at timestamptz, reads int, sync_status text, metrics jsonb)
      JOIN publications p ON p.account_id = o.account_id AND p.post_id = o.post_id
       AND p.platform_post_id IS NOT DISTINCT FROM o.platform_post_id
       AND p.publish_id IS NOT DISTINCT FROM o.publish_id
    ON CONFLICT DO NOTHING RETURNING publication_id, taken_at
)
SELECT count(*) FROM stored
"""
_READING_FIELDS: Final = (
    "account_id",
    "post_id",
    "taken_at",
    "last_seen_at",
    "reads",
    "sync_status",
    "metrics",
)


def restore(connection: Connection, sealer: Sealer, rows: Sequence[object], priority: int) -> ImportResult:
    """Store a chunk of an archive's lines. Lines of one type stand together, accounts first."""
    by_type: dict[str, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
    refused = []
    for index, row in enumerate(rows):
        if isinstance(row, Mapping) and row.get("type") in _STORES:
            by_type[str(row["type"])].append((index, row))
        else:
            refused.append(Refusal(index, "type must be account, publication or reading"))
    accepted = unchanged = 0
    for kind, store in _STORES.items():
        numbered = by_type[kind]
        result = store(connection, sealer, [row for _, row in numbered], priority)
        accepted, unchanged = accepted + result.accepted, unchanged + result.unchanged
        refused += [Refusal(numbered[one.index][0], one.message) for one in result.refused]
    return ImportResult(accepted, unchanged, tuple(sorted(refused, key=lambda one: one.index)))


def _accounts(
    connection: Connection, sealer: Sealer, rows: Sequence[Mapping[str, Any]], _priority: int
) -> ImportResult:
    ids = [row["account_id"] for row in rows if isinstance(row.get("account_id"), str)]
    known = set(connection.execute(_KNOWN, {"ids": ids}).scalars())
    result = import_accounts(connection, sealer, [_fields(row) for row in rows], without_token=set(Platform))
    refused = {one.index for one in result.refused}
    for index, row in enumerate(rows):
        if index not in refused and row["account_id"] not in known:
            states.disconnect(connection, row["workspace_id"], row["account_id"], SENTENCE)
    return result


def _publications(
    connection: Connection, _sealer: Sealer, rows: Sequence[Mapping[str, Any]], priority: int
) -> ImportResult:
    result = import_publications(connection, [_fields(row) for row in rows], priority=priority)
    refused = {one.index for one in result.refused}
    served = [
        row
        for index, row in enumerate(rows)
        if index not in refused and row.get("last_updated_at") is not None
    ]
    connection.execute(_ANALYTICS, {"rows": json.dumps(served)})
    return result


def _readings(
    connection: Connection, _sealer: Sealer, rows: Sequence[Mapping[str, Any]], _priority: int
) -> ImportResult:
    stored, refused = 0, []
    by_grain: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for index, row in enumerate(rows):
        mistake = _mistake(row)
        if mistake:
            refused.append(Refusal(index, mistake))
        else:
            by_grain[row["grain"]].append(row)
    for grain, readings in by_grain.items():
        for month in {datetime.fromisoformat(row["taken_at"]).date().replace(day=1) for row in readings}:
            if grain == "raw":
                connection.execute(text("SELECT make_snapshot_partition(:month)"), {"month": month})
            elif grain == "day":
                make_daily_month(connection, month)
        raw = grain == "raw"
        statement = _READINGS.format(
            table=GRAINS[grain], claim_seq="claim_seq," if raw else "", zero="0," if raw else ""
        )
        stored += connection.execute(text(statement), {"rows": json.dumps(readings)}).scalar_one()
    return ImportResult(stored, len(rows) - len(refused) - stored, tuple(refused))


def _mistake(row: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a reading, if anything."""
    if row.get("grain") not in GRAINS:
        return f"grain must be one of {', '.join(GRAINS)}"
    missing = next((name for name in _READING_FIELDS if row.get(name) is None), None)
    if missing:
        return f"{missing} is required"
    try:
        for name in ("taken_at", "last_seen_at"):
            if datetime.fromisoformat(row[name]).tzinfo is None:
                return f"{name} must have an offset"
    except (ValueError, TypeError):
        return "taken_at and last_seen_at must be RFC 3339 instants"
    return None if isinstance(row["metrics"], dict) else "metrics must be an object"


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line without what is no field of an import row."""
    served = {"type", "sync_status", "metrics", "warnings", "last_updated_at"}
    return {name: value for name, value in row.items() if name not in served}


_Store = Callable[[Connection, Sealer, Sequence[Mapping[str, Any]], int], ImportResult]
_STORES: Final[Mapping[str, _Store]] = {
    "account": _accounts,
    "publication": _publications,
    "reading": _readings,
}
