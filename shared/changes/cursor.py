"""Cursors of the feed: a position, the workspace and the database that it belongs to, and its instant."""

import hashlib
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, NamedTuple

MAX_LENGTH: Final = 200
"""The most characters of a cursor; clients may rely on it."""

_PREFIX: Final = "c1_"
_FORMAT: Final = struct.Struct(">8s8sQB16sq")
_CHECK_BYTES: Final = 6
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class CursorError(ValueError):
    """The text is no cursor of this workspace; the message says why in one sentence."""


class Kind(IntEnum):
    """What a position names; in one transaction an account comes before its publications."""

    ACCOUNT = 0
    PUBLICATION = 1


class Position(NamedTuple):
    """A place in the feed: everything up to it has been read."""

    changed_in: int
    kind: Kind
    key: int
    """The publication's id, or the number of an account's `account_key`."""


BEGINNING: Final = Position(0, Kind.ACCOUNT, 0)
AFTER_ALL_OF: Final = 2**63 - 1
"""The key of a position after every publication of its transaction."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a cursor's text holds."""

    position: Position
    origin: bytes
    """The database and its timeline (`origin_of`): another one numbers its transactions differently."""
    at: datetime
    """The database's time of the page that returned it."""


def origin_of(system_identifier: int, database: int, timeline: int) -> bytes:
    """Return what identifies a database, its server's cluster and the timeline of that."""
    return _digest(f"{system_identifier}/{database}/{timeline}".encode(), 8)


def encode(cursor: Cursor, workspace_id: str) -> str:
    """Return a cursor as clients get it."""
    position = cursor.position
    packed = _FORMAT.pack(
        _workspace(workspace_id),
        cursor.origin,
        position.changed_in,
        position.kind,
        position.key.to_bytes(16, "big"),
        (cursor.at - _EPOCH) // _MICROSECOND,
    )
    text = urlsafe_b64encode(packed + _digest(packed, _CHECK_BYTES)).decode("ascii")
    return _PREFIX + text.rstrip("=")


def decode(text: str, workspace_id: str) -> Cursor:
    """Return a cursor that a client has sent. Raises `CursorError`."""
    packed = _unpacked(text)
    workspace, origin, changed_in, kind, key, microseconds = _FORMAT.unpack(packed)
    if workspace != _workspace(workspace_id):
        raise CursorError("belongs to another workspace")
    try:
        position = Position(changed_in, Kind(kind), int.from_bytes(key, "big"))
        at = _EPOCH + microseconds * _MICROSECOND
    except (ValueError, OverflowError):
        raise CursorError(_MALFORMED) from None
    if changed_in > _LARGEST or (position.kind is Kind.PUBLICATION and position.key > _LARGEST):
        raise CursorError(_MALFORMED)
    return Cursor(position, origin, at)


_MALFORMED: Final = "is not a cursor that this endpoint has returned"
_LARGEST: Final = 2**63 - 1


def _unpacked(text: str) -> bytes:
    if len(text) > MAX_LENGTH:
        raise CursorError(f"is longer than {MAX_LENGTH} characters")
    encoded = text.removeprefix(_PREFIX)
    if encoded == text:
        raise CursorError(_MALFORMED)
    try:
        raw = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except (Base64Error, ValueError):
        raise CursorError(_MALFORMED) from None
    packed, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if len(packed) != _FORMAT.size or check != _digest(packed, _CHECK_BYTES):
        raise CursorError(_MALFORMED)
    return packed


def _workspace(workspace_id: str) -> bytes:
    return _digest(workspace_id.encode("utf-8", "surrogatepass"), 8)


def _digest(content: bytes, size: int) -> bytes:
    return hashlib.blake2b(content, digest_size=size, person=b"dravo cursor").digest()
