"""The query parameters of the delta feed."""

from dataclasses import dataclass
from typing import Final

from api_stub.posts.parameters import parse_optional, split, whole
from shared.changes.feed import MAX_LIMIT

PRESENT: Final = "now"
"""The cursor that asks for the present's cursor and no changes."""
DEFAULT_LIMIT: Final = 100
_KNOWN: Final = ("cursor", "limit")


@dataclass(frozen=True, slots=True)
class ChangesQuery:
    """The parameters of ``GET /v1/analytics/changes``."""

    cursor: str | None
    """``None``: from the beginning."""
    limit: int


def parse_changes(query_string: bytes) -> ChangesQuery:
    """Return the parameters of a page of changes. Raises `ApiError` (400)."""
    values = split(query_string, _KNOWN)
    return ChangesQuery(
        cursor=values.get("cursor"),
        limit=parse_optional(values, "limit", lambda name, value: whole(name, value, MAX_LIMIT))
        or DEFAULT_LIMIT,
    )
