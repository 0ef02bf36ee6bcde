"""API keys: create, list, revoke. Only a hash is stored; the key itself is shown once."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, text

PREFIX: Final = "dra_"
_SHAPE: Final = re.compile(r"dra_[A-Za-z0-9_-]{32,128}")


@dataclass(frozen=True, slots=True)
class KeyListing:
    """Everything that is stored about a key except its hash."""

    key_id: str
    workspace_id: str
    name: str | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def create_key(connection: Connection, workspace_id: str, name: str | None) -> tuple[str, str]:
    """Store a new key of a workspace and return ``(key_id, key)``; the key cannot be read again.

    Raises `ValueError` for a workspace id that is empty or cannot be stored.
    """
    if not workspace_id or "\0" in workspace_id or "\0" in (name or ""):
        raise ValueError("a key belongs to a workspace: its id is not empty and holds no NUL")
    key_id, key = f"key_{secrets.token_hex(8)}", PREFIX + secrets.token_urlsafe(32)
    connection.execute(
        text(
            "INSERT INTO api_keys (key_id, workspace_id, name, key_hash)"
            " VALUES (:key_id, :workspace_id, :name, :key_hash)"
        ),
        {"key_id": key_id, "workspace_id": workspace_id, "name": name, "key_hash": hash_key(key)},
    )
    return key_id, key


def list_keys(connection: Connection, workspace_id: str | None = None) -> list[KeyListing]:
    """Return the keys, revoked ones included, of one workspace or of all, the newest first."""
    rows = connection.execute(
        text(
            "SELECT key_id, workspace_id, name, created_at, last_used_at, revoked_at FROM api_keys"
            " WHERE CAST(:workspace_id AS text) IS NULL OR workspace_id = :workspace_id"
            " ORDER BY created_at DESC, key_id"
        ),
        {"workspace_id": workspace_id},
    )
    return [KeyListing(*row) for row in rows]


def revoke_key(connection: Connection, key_id: str) -> bool:
    """Revoke a key and return whether it exists; revoking it twice changes nothing."""
    result = connection.execute(
        text("UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = :key_id"),
        {"key_id": key_id},
    )
    return result.rowcount > 0


def looks_like_key(credential: str) -> bool:
    """Return whether a credential has the shape of an API key at all."""
    return _SHAPE.fullmatch(credential) is not None


def hash_key(key: str) -> bytes:
    """Return the hash by which a key is stored and found. A key is random and long, so a fast hash is enough.

    The lookup compares hashes: a common prefix of two hashes reveals nothing about the keys, so the duration
    of the index lookup leaks nothing.
    """
    return sha256(key.encode()).digest()
