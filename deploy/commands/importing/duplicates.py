"""Finds rows of an import file that give one item of a platform to two posts: the second would take it."""

from dataclasses import replace

from deploy.row_files import Line

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
        if not isinstance(row, dict) or line.mistake is not None:
            return line
        for name in ("platform_post_id", "publish_id"):
            if row.get(name) in (None, "") or "post_id" not in row:
                continue
            item = hash((name, str(row.get("account_id")), str(row[name])))
            post = hash(str(row["post_id"])) & _LOWER
            first = self._seen.setdefault(item, post << 32 | line.number)
            if first >> 32 != post:
                number = first & _LOWER
                mistake = f"{name} is that of another post in line {number}: an item belongs to one post"
                return replace(line, mistake=mistake)
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return line
