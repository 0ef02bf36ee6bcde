"""The ledger: what was erased, in a file outside the database, so that a restored backup is erased again.

One JSON line for each erasure, appended and flushed to the disk before its first row is deleted. A line
holds no id of a person or a customer: accounts and workspaces are hashed with a salt of the line; of posts it
has the number of the row and a hash.
"""

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from sqlalchemy import Connection, text

from shared.erasure.subject import Subject, SubjectKind
from shared.settings import Settings

_SALT_BYTES: Final = 16
_POSTS: Final = text("""
SELECT id, workspace_id, account_id || '/' || COALESCE(platform_post_id, publish_id, post_id) AS identity
  FROM publications WHERE id = ANY(:ids)
""")


class LedgerError(Exception):
    """The ledger cannot be read or written; the message is one sentence."""


def ledger_of(settings: Settings) -> "Ledger | None":
    """Return the ledger that ``DRAVO_ERASURE_LEDGER`` names, if any."""
    return Ledger(Path(settings.erasure_ledger)) if settings.erasure_ledger else None


@dataclass(frozen=True, slots=True)
class Entry:
    """One erasure."""

    code: str
    kind: SubjectKind
    salt: str
    digest: str | None
    """Of an account's or a workspace's id."""
    publications: dict[int, str]
    """Of a post: a digest for each publication."""


class Ledger:
    """The file. Raises `LedgerError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int], tuple[Entry, ...]] | None = None

    def append(self, connection: Connection, code: str, subject: Subject) -> None:
        """Add an erasure; a code that is in the file already changes nothing."""
        if any(entry.code == code for entry in self.entries()):
            return
        salt = secrets.token_hex(_SALT_BYTES)
        line: dict[str, Any] = {"code": code, "kind": subject.kind.value, "salt": salt}
        line["at"] = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        if subject.kind is SubjectKind.POST:
            rows = connection.execute(_POSTS, {"ids": list(subject.publications)})
            line["publications"] = {str(row.id): _digest(salt, row.identity) for row in rows}
        else:
            line["digest"] = _digest(salt, subject.account_id or subject.workspace_id)
        try:
            with self._path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _cut_unfinished_line(file)
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LedgerError(f"the erasure ledger cannot be written: {error.strerror}") from error

    def entries(self) -> tuple[Entry, ...]:
        """Return all erasures; a file that does not exist yet has none. Read again when it has changed."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise LedgerError(f"the erasure ledger cannot be read: {error.strerror}") from error
        version = (status.st_mtime_ns, status.st_size)
        if self._read is None or self._read[0] != version:
            self._read = version, self._parse()
        return self._read[1]

    def _parse(self) -> tuple[Entry, ...]:
        try:
            lines = self._path.read_bytes().split(b"\n")
        except OSError as error:
            raise LedgerError(f"the erasure ledger cannot be read: {error.strerror}") from error
        entries = []
        for number, line in enumerate(lines, start=1):
            # A line without its end is one that a killed process did not finish: nothing was deleted for it.
            if line.strip() and number < len(lines):
                entries.append(_entry(line, number))
        return tuple(entries)


def _cut_unfinished_line(file: BinaryIO) -> None:
    """Remove what a process that was killed while it wrote has left: nothing was deleted for that line."""
    file.seek(0)
    whole = file.read().rfind(b"\n") + 1
    file.truncate(whole)


def _entry(line: bytes, number: int) -> Entry:
    try:
        stored = json.loads(line)
        return Entry(
            str(stored["code"]),
            SubjectKind(stored["kind"]),
            str(stored["salt"]),
            stored.get("digest"),
            {int(key): str(value) for key, value in stored.get("publications", {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LedgerError(f"line {number} of the erasure ledger is damaged") from None


def _digest(salt: str, value: str) -> str:
    return hashlib.sha256((salt + value).encode()).hexdigest()


_MISSING: Final = """
SELECT u.code FROM unnest(CAST(:codes AS text[])) AS u (code)
 WHERE NOT EXISTS (SELECT FROM erasures e WHERE e.code = u.code
                      AND (e.ended_at IS NOT NULL OR e.source <> 'replay'))
"""


def missing(connection: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Return the erasures that this database does not know: it was restored from a backup of before."""
    codes = [entry.code for entry in entries]
    unknown = set(connection.execute(text(_MISSING), {"codes": codes}).scalars())
    return [entry for entry in entries if entry.code in unknown]


def subject_of(connection: Connection, entry: Entry) -> Subject | None:
    """Return what of an entry's subject is in this database; ``None``: nothing."""
    if entry.kind is SubjectKind.POST:
        rows = connection.execute(_POSTS, {"ids": list(entry.publications)}).all()
        same = [row for row in rows if _digest(entry.salt, row.identity) == entry.publications[row.id]]
        ids = tuple(row.id for row in same)
        return Subject(SubjectKind.POST, same[0].workspace_id, None, ids) if same else None
    statement = _ACCOUNT_BY_DIGEST if entry.kind is SubjectKind.ACCOUNT else _WORKSPACE_BY_DIGEST
    row = connection.execute(statement, {"salt": entry.salt, "digest": entry.digest}).one_or_none()
    return None if row is None else Subject(entry.kind, row.workspace_id, row.account_id)


# The same expression as `_digest`.
_ACCOUNT_BY_DIGEST: Final = text("""
SELECT workspace_id, account_id FROM accounts
 WHERE encode(sha256(convert_to(:salt || account_id, 'UTF8')), 'hex') = :digest
""")
_WORKSPACE_BY_DIGEST: Final = text("""
SELECT workspace_id, NULL AS account_id
  FROM (SELECT workspace_id FROM accounts UNION SELECT workspace_id FROM api_keys) w
 WHERE encode(sha256(convert_to(:salt || workspace_id, 'UTF8')), 'hex') = :digest
""")
