"""The issuer's public keys (JWKS, RFC 7517): fetched in the background, served from memory.

No request waits for a key that is in memory, whatever the issuer does. Keys are fetched when the service
starts and every `FRESH_FOR` from then on, by one task of the process. So a key that the issuer withdraws is
refused after `FRESH_FOR`; while the issuer does not respond, after `SERVED_FOR`.

A token that names an unknown key starts one more fetch, at most one every `FETCH_AGAIN_AFTER` however many
key ids are invented, and waits for it `WAIT_SECONDS` at most. An id that the issuer does not publish is
refused without a fetch for `UNKNOWN_FOR`.

Why not PyJWT's own ``PyJWKClient``: it fetches with blocking calls under one lock, so that
every token waits in a queue while the issuer does not respond; it drops expired keys instead of serving them
during the fetch; and its minimum interval between fetches begins only after a fetch that succeeded.
"""

import asyncio
import json
import logging
import ssl
from collections import OrderedDict
from datetime import timedelta
from time import monotonic
from typing import Any, Final, NamedTuple

import httpx
import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm

from shared.settings import SettingsError

FRESH_FOR: Final = timedelta(minutes=5)
SERVED_FOR: Final = timedelta(hours=1)
FETCH_AGAIN_AFTER: Final = timedelta(seconds=5)
UNKNOWN_FOR: Final = timedelta(seconds=30)
WAIT_SECONDS: Final = 2.0
MAX_WAITING: Final = 100
"""Requests that wait for a fetch at the same time; the next one is refused at once."""
FETCH_SECONDS: Final = 5.0
"""Bounds the whole fetch, from the connection to the last byte."""
_RETRY_AFTER: Final = timedelta(seconds=30)
_MAX_BYTES: Final = 1_000_000
_MAX_KEYS: Final = 100
_MAX_UNKNOWN: Final = 1_000
_MAX_ID_LENGTH: Final = 255
_KEY_KINDS: Final = {
    "RS256": {"kty": "RSA"},
    "ES256": {"kty": "EC", "crv": "P-256"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
}
_log = structlog.get_logger(__name__)


class _Key(NamedTuple):
    key_id: object
    algorithm: str
    key: Any


class KeySet:
    """The keys of one JWKS document. Raises `SettingsError` for an invalid URL."""

    def __init__(self, url: str) -> None:
        if not _is_http_url(url):
            raise SettingsError("DRAVO_JWT_JWKS_URL: must be an https:// or http:// address")
        self._url = url
        # The system's certificates, and those of SSL_CERT_FILE: an issuer may have a private authority.
        self._trust = ssl.create_default_context()
        self._keys: list[_Key] = []
        self._fetched_at = self._fetch_started_at = float("-inf")
        self._fetch: asyncio.Task[None] | None = None
        self._waiting = 0
        self._unknown: OrderedDict[tuple[str | None, str], float] = OrderedDict()
        logging.getLogger("httpx").setLevel(logging.WARNING)  # httpx logs every URL at INFO

    async def run(self) -> None:
        """Fetch the keys at regular intervals until cancelled."""
        try:
            while True:
                if (fetch := self._begin_fetch()) is not None:
                    await asyncio.wait({fetch})
                fetched = self._fetched_at >= self._fetch_started_at
                await asyncio.sleep((FRESH_FOR if fetched else _RETRY_AFTER).total_seconds())
        finally:
            if self._fetch is not None:
                self._fetch.cancel()

    async def key(self, key_id: object, algorithm: str) -> Any:
        """Return the key that a token names, of the kind its algorithm needs. Raises `jwt.PyJWTError`."""
        if not (key_id is None or (isinstance(key_id, str) and len(key_id) <= _MAX_ID_LENGTH)):
            raise jwt.InvalidKeyError
        signing_key = self._find(key_id, algorithm)
        if signing_key is None and not self._is_unknown(key_id, algorithm):
            started_at = monotonic()
            await self._wait_for_fetch()
            signing_key = self._find(key_id, algorithm)
            if signing_key is None and self._fetched_at >= started_at:
                self._remember_unknown(key_id, algorithm)
        if signing_key is None:
            raise jwt.InvalidKeyError
        return signing_key

    def _find(self, key_id: str | None, algorithm: str) -> Any:
        if monotonic() - self._fetched_at > SERVED_FOR.total_seconds():
            return None
        fitting = [
            one.key
            for one in self._keys
            if one.algorithm == algorithm and (key_id is None or one.key_id == key_id)
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _is_unknown(self, key_id: str | None, algorithm: str) -> bool:
        until = self._unknown.get((key_id, algorithm))
        return until is not None and monotonic() < until

    def _remember_unknown(self, key_id: str | None, algorithm: str) -> None:
        self._unknown[key_id, algorithm] = monotonic() + UNKNOWN_FOR.total_seconds()
        self._unknown.move_to_end((key_id, algorithm))
        if len(self._unknown) > _MAX_UNKNOWN:
            self._unknown.popitem(last=False)

    async def _wait_for_fetch(self) -> None:
        fetch = self._begin_fetch()
        if fetch is None or self._waiting >= MAX_WAITING:
            return
        self._waiting += 1
        try:
            await asyncio.wait({fetch}, timeout=WAIT_SECONDS)
        finally:
            self._waiting -= 1

    def _begin_fetch(self) -> asyncio.Task[None] | None:
        """Return the running fetch, or start one; ``None`` within `FETCH_AGAIN_AFTER` of the last start."""
        if self._fetch is not None and not self._fetch.done():
            return self._fetch
        now = monotonic()
        if now - self._fetch_started_at < FETCH_AGAIN_AFTER.total_seconds():
            return None
        self._fetch_started_at = now
        self._fetch = asyncio.create_task(self._refetch())
        return self._fetch

    async def _refetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                keys = _parse(await _download(self._url, self._trust))
        except (httpx.HTTPError, OSError, ValueError, RecursionError) as error:
            _log.warning("jwks_unavailable", error=type(error).__name__)
        else:
            self._keys, self._fetched_at = keys, monotonic()


def _is_http_url(url: str) -> bool:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parts.scheme in {"https", "http"} and bool(parts.host)


async def _download(url: str, trust: ssl.SSLContext) -> bytes:
    """Return the body of the document. Raises `httpx.HTTPError`, or `ValueError` when it is too large."""
    body = bytearray()
    async with (
        httpx.AsyncClient(verify=trust, timeout=FETCH_SECONDS) as client,
        client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
    ):
        if response.status_code != httpx.codes.OK or "content-encoding" in response.headers:
            raise httpx.HTTPError("unexpected status or encoding")
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > _MAX_BYTES:
                raise ValueError("the document is too large")
    return bytes(body)


def _parse(body: bytes) -> list[_Key]:
    document = json.loads(body)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JWKS document")  # noqa: TRY004 - what the issuer sent is a wrong value
    return [key for entry in entries[:_MAX_KEYS] if isinstance(entry, dict) for key in _usable(entry)]


def _usable(entry: dict[str, Any]) -> list[_Key]:
    """Return the key of an entry with its algorithm; an empty list for a kind that is not supported."""
    for algorithm, kind in _KEY_KINDS.items():
        fits = all(entry.get(name) == value for name, value in kind.items())
        if fits and entry.get("use", "sig") == "sig" and entry.get("alg", algorithm) == algorithm:
            try:
                return [_Key(entry.get("kid"), algorithm, jwt.PyJWK(entry, algorithm).key)]
            except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm) as error:
                _log.warning("jwks_key_unusable", algorithm=algorithm, error=type(error).__name__)
    return []
