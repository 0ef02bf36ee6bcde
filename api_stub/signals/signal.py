"""What a verified body says: a few signals, each with its own id, so that a repeated one does nothing."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class SignalKind(StrEnum):
    """What a signal means here."""

    REVOKED = "revoked"
    """A user withdrew the authorization, or lost the account: polling ends, the tokens go."""
    DELETION = "deletion"
    """A user asked for the deletion of data: the accounts are erased."""
    MOVED = "moved"
    """Something happened to a post: it is asked about soon."""
    PUBLISHED = "published"
    """The id of a post that was being processed."""
    STORY_ENDED = "story_ended"
    """The last numbers of a story."""
    IGNORED = "ignored"
    """A type that means nothing here."""


class ForgedError(Exception):
    """The body is not signed by the platform, or too old."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One verified signal."""

    signal_id: str
    kind: SignalKind
    at: datetime | None = None
    """When it happened, by the platform's clock; a state of later is not undone."""
    subject: Mapping[str, Any] = field(default_factory=dict)
    """Ids at the platform; deleted once it is applied."""


CODE_LENGTH = 32
"""Digits of a deletion request's code: the first ones of its signal's hash, too many to guess."""


def digest(secret: str, signed: bytes) -> bytes:
    """Return the HMAC-SHA256 of what a platform signs."""
    return hmac.new(secret.encode(), signed, hashlib.sha256).digest()


def same(expected: str, given: str | None) -> bool:
    """Compare two signatures in constant time; ``None``: none was given."""
    return hmac.compare_digest(expected.encode(), (given or "").encode())


def body_id(platform: str, body: bytes, part: object = "") -> str:
    """Return the id of a signal whose platform gives it none: a repeated body has the same one."""
    return f"{platform}:{hashlib.sha256(body).hexdigest()}:{part}"


def decode(body: bytes) -> dict[str, Any]:
    """Return a signed JSON object. Raises `ForgedError` for anything else: no platform signs that."""
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        raise ForgedError("the body is not JSON") from None
    if not isinstance(decoded, dict):
        raise ForgedError("the body is not a JSON object")
    return decoded


def at_second(seconds: object) -> datetime | None:
    """Return an instant from Unix seconds; ``None`` for anything else."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < _LATEST:
        return None
    return datetime.fromtimestamp(seconds, UTC)


_LATEST = 4_102_444_800  # 2100


def text_of(value: object) -> str | None:
    """Return an id as text; ``None`` when it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable() else None


_LONGEST = 255


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
