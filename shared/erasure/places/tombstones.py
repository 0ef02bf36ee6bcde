"""Rows of the delta feed that outlive an erasure: followers learn that a publication is gone, and no more.

A blank row has the number of a publication that nothing refers to any more, its workspace, its platform and
an instant. It is deleted when the feed forgets deletions (`shared.changes.maintenance.purge`).
"""

from typing import Final

from sqlalchemy import Connection, text

from shared.erasure.subject import Subject, SubjectKind

TABLE: Final = "changes"
IS_BLANK: Final = (
    "gone IS NOT NULL AND COALESCE(gone->>'post_id', gone->>'account_id', gone->>'platform_post_id') IS NULL"
)
"""The condition that holds for rows without any id of a subject."""

_BLANK: Final = """
UPDATE changes SET gone = gone || '{"post_id": null, "account_id": null, "platform_post_id": null}'
"""
_OF_PUBLICATIONS: Final = text(
    f"{_BLANK} WHERE publication_id = ANY(:ids) AND gone IS NOT NULL AND NOT ({IS_BLANK})"
)
_EARLIER: Final = """
 WHERE publication_id = ANY(ARRAY(
       SELECT c.publication_id FROM changes c
         JOIN erasure_identifiers i ON i.code = :code AND i.kind = '{kind}' AND i.value = c.gone->>'{kind}_id'
        WHERE c.gone IS NOT NULL AND c.workspace_id = :workspace_id LIMIT :most))
"""
_OF_EARLIER: Final = {
    kind: text(_BLANK + _EARLIER.format(kind=kind)) for kind in (SubjectKind.ACCOUNT, SubjectKind.POST)
}


def blank(connection: Connection, publications: list[int]) -> int:
    """Take the ids out of the rows of publications that this transaction has deleted; return how many."""
    return connection.execute(_OF_PUBLICATIONS, {"ids": publications}).rowcount


def blank_earlier(connection: Connection, code: str, subject: Subject, *, most: int) -> int:
    """Take the ids out of rows of publications that were deleted before the erasure; return how many.

    Not for a workspace: no follower of it is left, and its rows go by their key.
    """
    bound = {"code": code, "workspace_id": subject.workspace_id, "most": most}
    return connection.execute(_OF_EARLIER[subject.kind], bound).rowcount
