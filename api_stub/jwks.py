"""The issuer's public keys by URL: fetched off the loop, kept, fetched anew for a new key."""

import asyncio
import json
import time
import urllib.request
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
import structlog

from shared.settings import SettingsError

FRESH_FOR: Final = timedelta(minutes=5)
ASKED_AGAIN_AFTER: Final = timedelta(seconds=2)
"""An unknown key id asks the issuer, but no more often than this, however many tokens invent one."""
_LARGEST: Final = 1_000_000
_TIMEOUT_SECONDS: Final = 5.0
_FITS: Final = {
    "RS256": {"kty": "RSA"},
    "ES256": {"kty": "EC", "crv": "P-256"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
}
_log = structlog.get_logger(__name__)


class KeySet:
    """Keys of one JWKS document (RFC 7517). While the issuer does not answer, the last good ones serve."""

    def __init__(self, url: str) -> None:
        if urlsplit(url).scheme not in {"https", "http"}:
            raise SettingsError("DRAVO_JWT_JWKS_URL: must be an https:// or http:// address")
        self._url = url
        self._keys: list[dict[str, Any]] = []
        self._fetched = self._asked = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, key_id: object, algorithm: str) -> Any:
        """Return the key that a token names, of the kind its algorithm needs. Raises `jwt.PyJWTError`."""
        if time.monotonic() - self._fetched > FRESH_FOR.total_seconds():
            await self._renew()
        found = self._find(key_id, algorithm)
        if found is None:
            await self._renew()
            found = self._find(key_id, algorithm)
        if found is None:
            raise jwt.InvalidKeyError
        return jwt.PyJWK(found, algorithm).key

    def _find(self, key_id: object, algorithm: str) -> dict[str, Any] | None:
        fitting = [
            key
            for key in self._keys
            if all(key.get(name) == value for name, value in _FITS[algorithm].items())
            and key.get("use", "sig") == "sig"
            and key.get("alg", algorithm) == algorithm
            and (key_id is None or key.get("kid") == key_id)
        ]
        return fitting[0] if len(fitting) == 1 else None

    async def _renew(self) -> None:
        async with self._lock:
            now = time.monotonic()
            if now - self._asked < ASKED_AGAIN_AFTER.total_seconds():
                return
            self._asked = now
            try:
                self._keys = await asyncio.to_thread(_fetch, self._url)
            except (OSError, ValueError, RecursionError) as error:
                _log.warning("jwks_unavailable", error=type(error).__name__)
            else:
                self._fetched = now


def _fetch(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - an operator's URL, http(s) only
        document = json.loads(answer.read(_LARGEST + 1)[:_LARGEST])
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise ValueError("no JWKS document")  # noqa: TRY004 - what the issuer sent is a wrong value
    return [key for key in keys if isinstance(key, dict)]
