"""Rows that name a subject otherwise than by a key column: deleted, or rewritten without the name."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.erasure.identifiers import Identifiers
from shared.erasure.schema import Table, Treatment

ERASED: Final = "erased"
"""What stands in the audit log in place of a name."""
_PAGE: Final = 1_000
# PostgreSQL leaves out what cannot match, where few identifiers are searched for.
_SEARCH: Final = """
SELECT ctid::text AS place, to_jsonb(t)::text AS content FROM {table} t
 WHERE :any OR to_jsonb(t)::text LIKE ANY(CAST(:patterns AS text[]))
"""
_DELETE: Final = "DELETE FROM {table} WHERE ctid = ANY(CAST(:places AS tid[]))"


def rows_that_name(
    connection: Connection, table: str, identifiers: Identifiers
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place (``ctid``) and the columns of each row whose text has one of the identifiers."""
    patterns = identifiers.patterns
    bound = {"any": patterns is None, "patterns": patterns or []}
    options = {"stream_results": True, "yield_per": _PAGE}
    for row in connection.execute(text(_SEARCH.format(table=table)), bound, execution_options=options):
        if identifiers.found_in(row.content):
            yield row.place, json.loads(row.content)


def remove_names(
    connection: Connection, tables: Sequence[Table], identifiers: Identifiers, deleted: Counter[str]
) -> None:
    """Delete or rewrite the rows that name the subject, table by table."""
    for table in tables:
        if table.treatment is Treatment.DELETE:
            places = [place for place, _ in rows_that_name(connection, table.name, identifiers)]
            statement = text(_DELETE.format(table=table.name))
            for first in range(0, len(places), _PAGE):
                gone = connection.execute(statement, {"places": places[first : first + _PAGE]}).rowcount
                deleted[table.name] += gone
        elif table.treatment is Treatment.REWRITE:
            for _, entry in list(rows_that_name(connection, table.name, identifiers)):
                _rewrite(connection, entry, identifiers)
                deleted[table.name] += 1


_REWRITE: Final = text("""
UPDATE operator_acts
   SET subject = CAST(:subject AS jsonb), reason = :reason, operator = :operator, last = NULL
 WHERE act_id = :act_id
""")
_REMOVE_PUBLICATIONS: Final = text("""
UPDATE operator_acts AS o
   SET subject = jsonb_set(o.subject, '{publications}', COALESCE(
           (SELECT jsonb_agg(one) FROM jsonb_array_elements(o.subject->'publications') AS one
             WHERE NOT EXISTS (SELECT FROM erasure_identifiers i
                                WHERE i.code = :code AND i.kind = 'publication' AND i.value = one::text)),
           '[]'))
 WHERE jsonb_typeof(o.subject->'publications') = 'array' AND EXISTS (
       SELECT FROM jsonb_array_elements(o.subject->'publications') AS one
         JOIN erasure_identifiers i ON i.code = :code AND i.kind = 'publication' AND i.value = one::text)
""")


def _rewrite(connection: Connection, entry: dict[str, Any], identifiers: Identifiers) -> None:
    """Take the names out of an entry of the audit log; who did what and when stays."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(one) for key, one in value.items()}
        if isinstance(value, list):
            return [without(one) for one in value]
        return ERASED if isinstance(value, str) and identifiers.found_in(value) else value

    bound = {
        "act_id": entry["act_id"],
        "subject": json.dumps(without(entry["subject"])),
        "reason": without(entry["reason"]),
        "operator": without(entry["operator"]),
    }
    connection.execute(_REWRITE, bound)


def remove_publications_from_audit_log(connection: Connection, code: str) -> int:
    """Take the ids of erased publications out of the audit log's lists; return how many entries changed."""
    return connection.execute(_REMOVE_PUBLICATIONS, {"code": code}).rowcount
