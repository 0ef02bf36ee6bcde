"""Deletion of a subject's rows in batches, by the key columns that `schema` finds."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.erasure.places import tombstones
from shared.erasure.schema import ACCOUNT, PUBLICATION, WORKSPACE, Table
from shared.erasure.subject import Subject, SubjectKind
from shared.refresh_state import ingest as refresh_state

BATCH: Final = 10_000
"""The most rows that one transaction deletes."""
PUBLICATIONS_AT_ONCE: Final = 200
"""Publications whose rows are looked up together."""

_CASCADED: Final = ("refresh_state", "post_analytics")
"""They go with their publication, in the same statement."""
_ROWS_OF_EACH: Final = 2 + len(_CASCADED)
"""Rows of each publication beside its history: these, its own and that of the delta feed."""
_SPECIAL: Final = frozenset({"accounts", "publications", *_CASCADED})

_DELETE: Final = """
WITH doomed AS (SELECT tableoid AS part, ctid AS place FROM {table} WHERE {key} = ANY(:ids) LIMIT :most)
DELETE FROM {table} AS t USING doomed
 -- the key once more: without it the whole table is read to find these places
 WHERE t.{key} = ANY(:ids) AND t.tableoid = doomed.part AND t.ctid = doomed.place
"""
_DELETE_ALL: Final = "DELETE FROM {table} WHERE publication_id = ANY(:ids)"
_COUNT: Final = """
SELECT publication_id, count(*) AS number
  FROM (SELECT publication_id FROM {table} WHERE publication_id = ANY(:ids)
         ORDER BY publication_id LIMIT :most) t
 GROUP BY publication_id ORDER BY publication_id
"""
_DELETE_ACCOUNTS: Final = """
DELETE FROM accounts a WHERE {where} AND a.erasure IS NOT NULL
   AND NOT EXISTS (SELECT FROM publications p WHERE p.account_id = a.account_id)
"""
_NEXT: Final = "SELECT p.id FROM publications p WHERE {where} ORDER BY p.id LIMIT :most"
_ERASED: Final = text("""
SELECT CAST(value AS bigint) AS id FROM erasure_identifiers
 WHERE code = :code AND kind = 'publication' AND CAST(value AS bigint) > :after
 ORDER BY 1 LIMIT :most
""")


def delete_publications(
    connection: Connection, subject: Subject, tables: Sequence[Table], deleted: Counter[str]
) -> bool:
    """Delete the next publications with all their rows, at most `BATCH` rows; return whether any are left.

    History first, so that a publication disappears with the last of its rows.
    """
    statement = text(_NEXT.format(where=subject.where))
    ids = list(connection.execute(statement, {**subject.bound, "most": PUBLICATIONS_AT_ONCE}).scalars())
    if not ids:
        return False
    names = [
        table.name
        for table in tables
        if PUBLICATION in table.keys and table.name not in {*_SPECIAL, tombstones.TABLE}
    ]
    fitting = _fitting(connection, names, ids)
    refresh_state.lock(connection, fitting or ids[:1])
    if not fitting:
        left = BATCH
        for name in names:
            left -= delete_by_key(connection, name, PUBLICATION, ids[:1], deleted, most=left)
        return True
    for name in names:
        gone = connection.execute(text(_DELETE_ALL.format(table=name)), {"ids": fitting}).rowcount
        if gone:
            deleted[name] += gone
    _delete_main_rows(connection, subject, fitting, deleted)
    return True


def _delete_main_rows(
    connection: Connection, subject: Subject, ids: list[int], deleted: Counter[str]
) -> None:
    gone = connection.execute(text("DELETE FROM publications WHERE id = ANY(:ids)"), {"ids": ids}).rowcount
    for name in ("publications", *_CASCADED):
        deleted[name] += gone
    # A trigger has just written that they are gone.
    if subject.kind is SubjectKind.WORKSPACE:
        delete_by_key(connection, tombstones.TABLE, PUBLICATION, ids, deleted, most=len(ids))
    else:
        deleted[tombstones.TABLE] += tombstones.blank(connection, ids)


def _fitting(connection: Connection, tables: Sequence[str], ids: list[int]) -> list[int]:
    """Return the first publications whose rows are one batch together; none: the first one has more.

    To delete a part of the rows of many, the rows of all of them would be read for each batch.
    """
    numbers = Counter(dict.fromkeys(ids, _ROWS_OF_EACH))
    for table in tables:
        bound = {"ids": ids, "most": BATCH}
        counted = connection.execute(text(_COUNT.format(table=table)), bound).all()
        for row in counted:
            numbers[row.publication_id] += row.number
        if sum(row.number for row in counted) == BATCH:  # the last one may have more
            ids = [one for one in ids if one < counted[-1].publication_id]
    totals = accumulate(numbers[one] for one in ids)
    return [one for one, total in zip(ids, totals, strict=True) if total <= BATCH]


def delete_by_key(
    connection: Connection, table: str, key: str, ids: Sequence[Any], deleted: Counter[str], *, most: int
) -> int:
    """Delete up to ``most`` rows with one of these values in a key column; return how many."""
    if most <= 0:
        return 0
    statement = text(_DELETE.format(table=table, key=key))
    gone = connection.execute(statement, {"ids": list(ids), "most": most}).rowcount
    if gone:
        deleted[table] += gone
    return gone


def delete_remaining(
    connection: Connection,
    code: str,
    subject: Subject,
    accounts: Sequence[str],
    tables: Sequence[Table],
    deleted: Counter[str],
) -> bool:
    """Delete rows with a key of the subject in any table but the main ones; return whether any may be left.

    Triggers may have written some when the publications went, and some tables know an account or a workspace
    alone.
    """
    left = BATCH
    for table in tables:
        if table.name in _SPECIAL:
            continue
        if table.name != tombstones.TABLE:
            left -= _of_publications(connection, code, table, deleted, left)
        elif subject.kind is not SubjectKind.WORKSPACE:
            blanked = tombstones.blank_earlier(connection, code, subject, most=left)
            deleted[table.name] += blanked
            left -= blanked
        if ACCOUNT in table.keys:
            left -= delete_by_key(connection, table.name, ACCOUNT, accounts, deleted, most=left)
        if WORKSPACE in table.keys and subject.kind is SubjectKind.WORKSPACE:
            ids = [subject.workspace_id]
            left -= delete_by_key(connection, table.name, WORKSPACE, ids, deleted, most=left)
        if left <= 0:
            return True
    return False


def _of_publications(
    connection: Connection, code: str, table: Table, deleted: Counter[str], most: int
) -> int:
    if PUBLICATION not in table.keys:
        return 0
    gone, after = 0, 0
    while gone < most:
        ids = list(connection.execute(_ERASED, {"code": code, "after": after, "most": BATCH}).scalars())
        gone += delete_by_key(connection, table.name, PUBLICATION, ids, deleted, most=most - gone)
        if len(ids) < BATCH:
            break
        after = ids[-1]
    return gone


def delete_accounts(connection: Connection, subject: Subject, deleted: Counter[str]) -> None:
    """Delete the subject's accounts, which have no publications any more."""
    if subject.kind is SubjectKind.POST:
        return
    statement = text(_DELETE_ACCOUNTS.format(where=subject.account_where))
    deleted["accounts"] += connection.execute(statement, subject.bound).rowcount
