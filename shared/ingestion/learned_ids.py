"""Ids that a platform reports after the publication is stored: no two publications of an account get one."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

_STORE: Final = text("""
UPDATE publications AS p SET platform_post_id = o.platform_post_id
  FROM unnest(CAST(:ids AS bigint[]), CAST(:platform_post_ids AS text[])) AS o (id, platform_post_id)
 WHERE p.id = o.id AND p.workspace_id = :workspace_id
   AND NOT EXISTS (SELECT 1 FROM publications q
                    WHERE q.account_id = p.account_id AND q.platform_post_id = o.platform_post_id)
RETURNING p.id
""")
_ATTEMPTS: Final = 3


def store_ids(connection: Connection, workspace_id: str, learned: Mapping[int, str]) -> set[int]:
    """Store each id at its publication unless another one has it; return the publications that got theirs.

    Of two publications here with one id, the older one gets it. The caller has locked their rows of
    ``refresh_state``.
    """
    by_platform_id: dict[str, int] = {}
    for publication_id, platform_post_id in sorted(learned.items()):
        by_platform_id.setdefault(platform_post_id, publication_id)
    bound = {
        "ids": list(by_platform_id.values()),
        "platform_post_ids": list(by_platform_id),
        "workspace_id": workspace_id,
    }
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            with connection.begin_nested():
                return set(connection.execute(_STORE, bound).scalars())
        except (
            IntegrityError
        ):  # another transaction has just stored one of these ids: the next attempt sees it
            if not attempts_left:
                raise
    raise AssertionError("the last attempt either returned or raised")
