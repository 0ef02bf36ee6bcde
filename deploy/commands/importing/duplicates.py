"""Finds rows of an import file that give one item of a platform to two posts: the second would take it."""

from deploy.row_files import Line
from shared.ingestion.rows import PublicationRow

_PLATFORM_POST, _PUBLISH = map(PublicationRow._fields.index, ("platform_post_id", "publish_id"))

_LOWER = 0xFFFF_FFFF
REMEMBERED = 1_000_000
"""Rows of a file that are compared with each other; older ones are forgotten, to bound the memory."""


class PostsByItem:
    """The post of each item of a platform, by hashes: two numbers for a row."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        """By the hash of an item: 32 bits of the hash of its post, then the number of its first line."""

    def checked(self, line: Line) -> Line:
        """Return the line, with a mistake if an earlier line has its item under another post."""
        row = line.row
        if line.mistake is not None or not isinstance(row, PublicationRow):
            return line
        for kind in (_PLATFORM_POST, _PUBLISH):
            there = row[kind]
            if there is None:
                continue
            item = hash((kind, row.account_id, there))
            post = hash(row.post_id) & _LOWER
            first = self._seen.setdefault(item, post << 32 | line.number)
            if first >> 32 != post:
                name, number = row._fields[kind], first & _LOWER
                mistake = f"{name} is that of another post in line {number}: an item belongs to one post"
                return line._replace(mistake=mistake)
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return line
