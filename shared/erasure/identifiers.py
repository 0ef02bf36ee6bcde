"""Ids and names of a subject, and the search for them in text.

An id counts as found when it stands between delimiters: ``acc_1`` is in ``dravo:budget:x:account:acc_1`` and
not in ``acc_10``.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from sqlalchemy import Connection, text

AT_ONCE: Final = 200_000
"""Identifiers held in memory; more are searched for in several passes."""
SHORTEST: Final = 4
"""Characters of the shortest identifier that text is searched for: ``42`` would be found in any count."""
MOST_PATTERNS: Final = 20
_MOST_PARTS: Final = 16
_RUN: Final = re.compile(r"[^\s\"'\\,(){}\[\]<>]+")
_DELIMITER: Final = re.compile(r"[:/@|;=?&#._\-]")

OUR_IDS: Final = ("account", "workspace")
"""Kinds of ids that Dravo gave, and that no other subject has."""
ALL_KINDS: Final = (*OUR_IDS, "post", "platform_account", "name", "platform_post", "publish")
"""Kinds that text is searched for. A publication's id is a plain number: key columns are searched for it."""

_SELECT: Final = text("""
SELECT kind, value FROM erasure_identifiers
 WHERE code = :code AND kind = ANY(:kinds) AND (kind, value) > (:kind, :value)
   -- a post, a name or an id that others still have is not the subject's alone
   AND NOT (kind = 'post' AND EXISTS (SELECT FROM publications p WHERE p.post_id = value))
   AND NOT (kind = 'name' AND EXISTS (
       SELECT FROM accounts a WHERE a.name = value AND a.erasure IS DISTINCT FROM :code))
   AND NOT (kind = 'platform_account' AND EXISTS (
       SELECT FROM accounts a
        WHERE value IN (a.platform_account_id, a.platform_user_id) AND a.erasure IS DISTINCT FROM :code))
 ORDER BY kind, value LIMIT :most
""")


class Identifiers:
    """A set of ids and names to search text for."""

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        self._ids: set[str] = set()
        names = []
        self._plain_names: list[str] = []
        for kind, value in values:
            if len(value) < SHORTEST:
                continue
            if kind == "name":
                names.append(re.escape(value))
                self._plain_names.append(value)
            else:
                self._ids.add(value)
        self._names = re.compile(rf"(?<!\w)(?:{'|'.join(names)})(?!\w)") if names else None

    @property
    def patterns(self) -> list[str] | None:
        """Patterns of SQL's LIKE of which one matches every text with an identifier; ``None``: too many."""
        if len(self._ids) + len(self._plain_names) > MOST_PATTERNS:
            return None
        # JSON is searched, which escapes a quote or a control character: so do the patterns.
        return [f"%{_like(one)}%" for one in (*self._ids, *self._plain_names)]

    def found_in(self, searched: str) -> bool:
        """Return whether one of them is in a text."""
        if self._names and self._names.search(searched):
            return True
        return any(part in self._ids for run in _RUN.findall(searched) for part in _parts(run))


def _like(value: str) -> str:
    return re.sub(r"([%_\\])", r"\\\1", json.dumps(value, ensure_ascii=False)[1:-1])


def _parts(run: str) -> Iterator[str]:
    """Yield a run of characters and everything in it that stands between delimiters."""
    starts = [0, *(match.end() for match in islice(_DELIMITER.finditer(run), _MOST_PARTS))]
    ends = [*(match.start() for match in islice(_DELIMITER.finditer(run), _MOST_PARTS)), len(run)]
    for start in starts:
        yield from (run[start:end] for end in ends if end > start)


def load(connection: Connection, code: str, kinds: Sequence[str] = ALL_KINDS) -> Iterator[Identifiers]:
    """Yield the identifiers of an erasure that are its subject's alone, some at a time."""
    last = ("", "")
    while True:
        bound = {"code": code, "kind": last[0], "value": last[1], "most": AT_ONCE, "kinds": list(kinds)}
        rows = [(row.kind, row.value) for row in connection.execute(_SELECT, bound)]
        if rows:
            yield Identifiers(rows)
        if len(rows) < AT_ONCE:
            return
        last = rows[-1]
