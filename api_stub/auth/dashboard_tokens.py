"""Verification of dashboard tokens (JWT) by PyJWT, with keys and algorithms that the settings allow.

An algorithm is accepted only with a key of its own kind, so that a public key never serves as an HMAC secret
and ``none`` never serves at all (RFC 8725, https://www.rfc-editor.org/rfc/rfc8725).
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from api_stub.auth.jwks import KeySet
from api_stub.http.errors import unauthorized
from shared.settings import Settings, SettingsError

LEEWAY: Final = timedelta(seconds=10)
ALGORITHMS: Final = ("HS256", "RS256", "ES256", "EdDSA")
_MAX_LENGTH: Final = 255
_log = structlog.get_logger(__name__)


class DashboardTokens:
    """Verifies dashboard tokens. Raises `SettingsError` for a configured key that fits no algorithm."""

    def __init__(self, settings: Settings) -> None:
        if settings.jwt_jwks_url and not settings.jwt_audience:
            raise SettingsError(
                "DRAVO_JWT_AUDIENCE: is required with DRAVO_JWT_JWKS_URL,"
                " whose issuer signs tokens for other applications too"
            )
        self._key_set = KeySet(settings.jwt_jwks_url) if settings.jwt_jwks_url else None
        self._key, algorithms = _configured_key(settings)
        supported = algorithms if self._key_set is None else ("RS256", "ES256", "EdDSA")
        self._algorithms = settings.jwt_algorithms or supported
        wrong = [name for name in self._algorithms if name not in supported]
        if wrong:
            raise SettingsError(
                f"DRAVO_JWT_ALGORITHMS: {', '.join(wrong)} does not fit the key; {', '.join(supported)} does"
            )
        self._audience = settings.jwt_audience
        self._issuer = settings.jwt_issuer
        self._required = ["exp", *(["aud"] if self._audience else []), *(["iss"] if self._issuer else [])]
        self._claim = settings.jwt_workspace_claim

    async def run(self) -> None:
        """Keep the issuer's keys fresh until cancelled; without an issuer there is nothing to do."""
        if self._key_set is not None:
            await self._key_set.run()

    async def workspace(self, token: str) -> str:
        """Return the workspace that a valid token is bound to. Raises `ApiError` (401)."""
        try:
            return self._workspace(await self._claims(token))
        # Malformed tokens raise more than PyJWT's own errors: for numbers, nesting and invalid Unicode.
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError, UnsupportedAlgorithm):
            raise unauthorized() from None

    async def _claims(self, token: str) -> dict[str, Any]:
        header: dict[str, Any] = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms or "crit" in header:
            raise jwt.InvalidAlgorithmError
        key = self._key if self._key_set is None else await self._key_set.key(header.get("kid"), algorithm)
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._audience,
            issuer=self._issuer,
            leeway=LEEWAY,
            options={"require": self._required, "verify_aud": self._audience is not None},
        )

    def _workspace(self, claims: dict[str, Any]) -> str:
        workspace = claims.get(self._claim)
        if not isinstance(workspace, str) or not 1 <= len(workspace) <= _MAX_LENGTH or "\0" in workspace:
            raise jwt.InvalidTokenError
        workspace.encode()  # raises for a lone surrogate
        return workspace


def configured(settings: Settings) -> bool:
    """Return whether the settings name a key for dashboard tokens."""
    return bool(settings.jwt_secret or settings.jwt_public_key or settings.jwt_jwks_url)


def _configured_key(settings: Settings) -> tuple[Any, Sequence[str]]:
    keys = [settings.jwt_secret, settings.jwt_public_key, settings.jwt_jwks_url]
    if sum(key is not None for key in keys) > 1:
        raise SettingsError("set only one of DRAVO_JWT_SECRET, DRAVO_JWT_PUBLIC_KEY and DRAVO_JWT_JWKS_URL")
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.get_secret_value().encode()
        return secret, ("HS256",)
    if settings.jwt_public_key is not None:
        return _public_key(settings.jwt_public_key)
    return None, ()


def _public_key(pem: str) -> tuple[Any, Sequence[str]]:
    try:
        key = load_pem_public_key(pem.replace("\\n", "\n").encode())
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError("DRAVO_JWT_PUBLIC_KEY: must be a public key in PEM form") from None
    match key:
        case RSAPublicKey():
            return key, ("RS256",)
        case EllipticCurvePublicKey() if key.curve.name == "secp256r1":
            return key, ("ES256",)
        case Ed25519PublicKey():
            return key, ("EdDSA",)
        case _:
            raise SettingsError("DRAVO_JWT_PUBLIC_KEY: must be an RSA, P-256 or Ed25519 key")
