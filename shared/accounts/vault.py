"""Encryption of secrets at rest, and their redaction from every text that leaves a process.

An encrypted ("sealed") value has one of two forms. A `Vault` seals with a secret key (Fernet). A
`SealingKey`, the public half of a secret key, seals by HPKE (RFC 9180) and cannot open what it sealed. A
`Vault` opens both.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from functools import cached_property
from typing import Final, Protocol
from urllib.parse import quote

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr


class SealError(Exception):
    """A sealed value cannot be opened, or there is no key to seal with. The message holds no secret."""


class Sealer(Protocol):
    """Seals secrets: a `Vault`, or a `SealingKey`."""

    def seal(self, secret: SecretStr) -> str:
        """Return the secret as ASCII text that only a holder of the secret keys can open."""

    def matches(self, sealed: str, secret: SecretStr) -> bool:
        """Return whether the sealed value is known to contain this secret."""


class SealingKey:
    """The public half of a secret key: it seals values that only a `Vault` with that secret key can open."""

    def __init__(self, text: str) -> None:
        """Parse a value of ``DRAVO_SEALING_KEY``. Raises `SealError`."""
        try:
            self._public = X25519PublicKey.from_public_bytes(_decoded(text, _PUBLIC))
        except ValueError:
            raise SealError("is no sealing key: print it with `dravo secrets sealing-key`") from None

    def seal(self, secret: SecretStr) -> str:
        """Return the secret as ASCII text that the holder of this key cannot open."""
        return _encoded(_HPKE.encrypt(_bytes(secret), self._public, _PURPOSE), _SEALED)

    def matches(self, sealed: str, secret: SecretStr) -> bool:  # noqa: ARG002 - the signature of `Sealer`
        """Return false: what is sealed cannot be compared without opening it."""
        return False


class Vault:
    """Seals and opens with ``DRAVO_SECRET_KEYS``: the first key seals, all of them open."""

    def __init__(self, keys: Iterable[SecretStr]) -> None:
        self._keys = tuple(key.get_secret_value() for key in keys)
        ciphers = [Fernet(key) for key in self._keys]
        if not ciphers:
            raise SealError("DRAVO_SECRET_KEYS is required: make a key with `dravo secrets generate`")
        self._cipher = MultiFernet(ciphers)
        self._first = ciphers[0]

    @cached_property
    def _private_keys(self) -> tuple[X25519PrivateKey, ...]:
        return tuple(_private_half(key) for key in self._keys)

    @property
    def sealing_key(self) -> str:
        """The public half of the first key: a value for ``DRAVO_SEALING_KEY``. It is no secret."""
        return _encoded(self._private_keys[0].public_key().public_bytes_raw(), _PUBLIC)

    def seal(self, secret: SecretStr) -> str:
        """Return the secret as ASCII text that only a holder of the keys can open or change."""
        return self._cipher.encrypt(_bytes(secret)).decode("ascii")

    def open(self, sealed: str) -> SecretStr:
        """Return the secret. Raises `SealError` when no key opens it or the sealed value was changed."""
        return SecretStr(self._plain(sealed).decode("utf-8", "surrogatepass"))

    def matches(self, sealed: str, secret: SecretStr) -> bool:
        """Return whether the sealed value contains this secret; false when no key opens it."""
        try:
            return self.open(sealed) == secret
        except SealError:
            return False

    def _plain(self, sealed: str) -> bytes:
        if sealed.startswith(_SEALED):
            return self._by_private_key(sealed)
        try:
            return self._cipher.decrypt(sealed.encode())
        except InvalidToken:
            raise SealError(_CLOSED) from None

    def _by_private_key(self, sealed: str) -> bytes:
        for key in self._private_keys:
            try:
                return _HPKE.decrypt(_decoded(sealed, _SEALED), key, _PURPOSE)
            except (InvalidTag, ValueError):
                continue
        raise SealError(_CLOSED)

    def is_current(self, sealed: str) -> bool:
        """Return whether the first key sealed it, so that no other key is needed to open it."""
        try:
            self._first.decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True

    def rotate(self, sealed: str) -> str:
        """Return the same secret sealed with the first key. Raises `SealError` as `open` does."""
        return self._cipher.encrypt(self._plain(sealed)).decode("ascii")


def _private_half(key: str) -> X25519PrivateKey:
    """Derive the private key of a `SealingKey` from a secret key."""
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"dravo sealing key")
    return X25519PrivateKey.from_private_bytes(derive.derive(urlsafe_b64decode(key)))


def _bytes(secret: SecretStr) -> bytes:
    # surrogatepass: an encoding error would carry the secret in its repr.
    return secret.get_secret_value().encode("utf-8", "surrogatepass")


def _encoded(raw: bytes, prefix: str) -> str:
    return prefix + urlsafe_b64encode(raw).decode("ascii")


def _decoded(text: str, prefix: str) -> bytes:
    """Return the bytes after the prefix. Raises `ValueError` for any other text."""
    if not text.startswith(prefix):
        raise ValueError("another prefix")
    return urlsafe_b64decode(text.removeprefix(prefix).encode("ascii"))


def new_key() -> str:
    """Return a new random key for ``DRAVO_SECRET_KEYS`` or any other secret setting."""
    return Fernet.generate_key().decode("ascii")


def redact(text: str, *known_secrets: str) -> str:
    """Return ``text`` without credentials: those in ``known_secrets``, and everything that looks like one.

    It removes too much rather than too little. The time is linear in the text's length: every repetition is
    bounded or possessive, and none starts inside a run that another one has matched.
    """
    known = {form for one in known_secrets if one for form in (one, quote(one, safe=""))}
    if known:
        longest_first = sorted(known, key=len, reverse=True)
        text = re.sub("|".join(map(re.escape, longest_first)), REDACTED, text)
    lowered = text.lower()
    for words, shape, replacement in _NAMED:
        if any(word in lowered for word in words):
            text = shape.sub(replacement, text)
    for shape in _SHAPED:
        text = shape.sub(REDACTED, text)
    return _LONG_RUN.sub(lambda run: REDACTED if _looks_random(run[0]) else run[0], text)


REDACTED: Final = "[redacted]"
# The prefixes differ from each other and from a secret key: one cannot be set in place of another.
_PUBLIC: Final = "public1."
_SEALED: Final = "sealed1."
_PURPOSE: Final = b"dravo token"
# https://www.rfc-editor.org/rfc/rfc9180
_HPKE: Final = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
_CLOSED = "a sealed value cannot be opened: none of DRAVO_SECRET_KEYS fits it"

# "name": "value", name=value, name%3Dvalue, name: value, and JSON inside JSON (\"name\": \"value\").
_NAMES = (
    r"(?:access|refresh|exchange|input|(?<![a-z])id|internal|ops|oauth|auth|session)[_-]?token"
    r"|(?:client|app|jwt|oauth_token)[_-]?secret(?:_proof)?"
    r"|secret[_-]?keys?|api[_-]?key|private[_-]?key|app[_-]?bearer|code_verifier"
    r"|password|passwd|(?<![a-z])(?:token|secret|pwd)(?=\\{0,3}[\"']|=|%3d)"
)
_BETWEEN = r"(?:\\{0,3}[\"'])?\s{0,8}+(?:[=:]|%3d)\s{0,8}+"
_VALUE = (
    r"(?:(\\{1,3}[\"']|)[^\s&\"'\\<>]++"  # bare, or in escaped quotes
    r"|(\")(?:[^\"\\]|\\.)*+|(')(?:[^'\\]|\\.)*+)"
)
_OWN_STORES = r"(?:rediss?|redis\+sentinel|unix|postgres(?:ql)?(?:\+[a-z0-9]{1,20})?)"

_NAMED: Final = [
    (words, re.compile(shape, re.IGNORECASE), replacement)
    for words, shape, replacement in (
        # The password of one of our own stores may contain a "/" or "@" that is not percent-encoded.
        (("redis", "unix", "postgres"), rf"({_OWN_STORES}://)[^\s\"'<>]{{0,512}}@", rf"\1{REDACTED}@"),
        (("://",), r"(://)[^\s/@\"'<>]{1,512}+@", rf"\1{REDACTED}@"),
        (
            ("authorization",),
            rf"(authorization{_BETWEEN}(?:\\{{0,3}}[\"'])?)(?:[a-z]{{1,16}}\s{{1,8}}+)?[^\s\"'\\,]++",
            rf"\1{REDACTED}",
        ),
        (
            ("bearer", "basic"),
            r"\b((?:bearer|basic)(?:\s|%20|\+){1,8}+)[^\s\"'\\,;<>()]{6,}+",
            rf"\1{REDACTED}",
        ),
        (
            ("token", "secret", "key", "bearer", "verifier", "passw", "pwd"),
            rf"((?:{_NAMES}){_BETWEEN}){_VALUE}",
            rf"\1\2\3\4{REDACTED}",
        ),
    )
]

# Where a value starts: not inside a longer word, but well after an escape such as %20 or %3D.
_START = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2}))"
_RUN_START = r"(?:(?<![A-Za-z0-9_-])|(?<=%[0-9A-Fa-f]{2}))"
_SHAPED: Final = [
    re.compile(shape)
    for shape in (
        rf"{_START}EAA[A-Za-z0-9_-]{{6,}}+",  # Meta, Facebook Login
        rf"{_START}IG(?:[A-Z]A|QV)[A-Za-z0-9_-]{{6,}}+",  # Meta, Instagram Login
        rf"{_START}(?:act|rft|clt)\.[A-Za-z0-9!*._-]{{6,}}+",  # TikTok
        rf"{_START}AQ[A-Za-z0-9_-]{{30,}}+",  # LinkedIn
        rf"{_START}A{{16,}}+[A-Za-z0-9%_-]{{10,}}+",  # X, application bearer
        rf"{_START}dra_[A-Za-z0-9_-]{{6,}}+",  # our API keys
        rf"{_RUN_START}eyJ[A-Za-z0-9_-]{{4,}}+\.[A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_-]*+)?",  # JWT
        rf"{_START}gAAAAA[A-Za-z0-9_-]{{20,}}+={{0,2}}",  # sealed by a Vault
        rf"{_START}sealed1\.[A-Za-z0-9_-]{{20,}}+={{0,2}}",  # sealed by a SealingKey
        rf"{_RUN_START}(?<!public1\.)[A-Za-z0-9_-]{{43}}=(?![A-Za-z0-9_=-])",  # a Vault's key
    )
]
_LONG_RUN: Final = re.compile(rf"{_RUN_START}[A-Za-z0-9_-]{{56,}}+")


def _looks_random(run: str) -> bool:
    # X's OAuth tokens have no prefix; long hexadecimal digests and identifiers lack one of the three.
    return any(map(str.isupper, run)) and any(map(str.islower, run)) and any(map(str.isdigit, run))
