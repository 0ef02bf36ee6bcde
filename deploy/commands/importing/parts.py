"""Stores the workspaces of a large chunk in two transactions at the same time, on two cores of PostgreSQL.

Imports into one workspace wait for each other, so each workspace belongs to one part. A post that the chunk
gives to two workspaces belongs to the first, which the transaction of the second must see: such a chunk is
stored in one transaction.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sqlalchemy import Engine, text

from deploy.commands.importing.chunks import Store
from shared.ingestion.importer import ImportResult, Refusal
from shared.ingestion.rows import PublicationRow

PARTS: Final = 2
SMALLEST: Final = 2_000
"""Rows below which a chunk is not worth a second transaction."""
_WORKSPACES: Final = text("SELECT account_id, workspace_id FROM accounts WHERE account_id = ANY(:ids)")


def in_parts(engine: Engine, store: Store) -> Store:
    """Return a `Store` of checked publications that runs ``store`` for each part at the same time.

    When one of the transactions fails, the other may be committed: importing the rows again changes nothing.
    """

    def store_parts(rows: Sequence[object], priority: int) -> ImportResult:
        parts = _parts(engine, rows) if len(rows) >= SMALLEST else []
        if len(parts) < PARTS:
            return store(rows, priority)
        with ThreadPoolExecutor(PARTS, "part") as pool:
            stored = [pool.submit(store, [rows[index] for index in part], priority) for part in parts]
        return _joined([one.result() for one in stored], parts)

    return store_parts


def _parts(engine: Engine, rows: Sequence[object]) -> list[list[int]]:
    """Return the indexes of the rows of each part; none when a row is not checked yet."""
    publications = [row for row in rows if isinstance(row, PublicationRow)]
    if len(publications) < len(rows):
        return []
    with engine.connect() as connection:
        accounts = connection.execute(_WORKSPACES, {"ids": sorted({row.account_id for row in publications})})
        workspaces = {row.account_id: row.workspace_id for row in accounts}
    return split(publications, workspaces)


def split(rows: Sequence[PublicationRow], workspaces: Mapping[str, str]) -> list[list[int]]:
    """Return the indexes of the rows of each part; ``workspaces``: by account, where the account is known.

    All rows are in one part when there is one workspace, or a post has rows in two parts.
    """
    sizes = Counter(workspaces.get(row.account_id, "") for row in rows)
    loads = [0] * PARTS
    part_of: dict[str, int] = {}
    for workspace, size in sizes.most_common():
        part_of[workspace] = loads.index(min(loads))
        loads[part_of[workspace]] += size
    parts: list[list[int]] = [[] for _ in loads]
    part_of_post: dict[str, int] = {}
    for index, row in enumerate(rows):
        part = part_of[workspaces.get(row.account_id, "")]
        parts[part].append(index)
        if part_of_post.setdefault(row.post_id, part) != part:
            return [list(range(len(rows)))]
    return [part for part in parts if part]


def _joined(results: Sequence[ImportResult], parts: Sequence[Sequence[int]]) -> ImportResult:
    refused = [
        Refusal(part[refusal.index], refusal.message)
        for result, part in zip(results, parts, strict=True)
        for refusal in result.refused
    ]
    return ImportResult(
        accepted=sum(result.accepted for result in results),
        unchanged=sum(result.unchanged for result in results),
        refused=tuple(sorted(refused, key=lambda refusal: refusal.index)),
        new_ids=tuple(one for result in results for one in result.new_ids),
    )
