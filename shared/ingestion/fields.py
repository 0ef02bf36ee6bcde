"""Validation of the fields of rows: every field is checked, every mistake is one sentence.

A sentence names the field, what is allowed, and the value. A value that may be a credential in the wrong
column is not repeated, and neither is one of the fields of tokens.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache

from pydantic import SecretStr

from shared.vocabulary import Platform

ID_BYTES = 255
TOKEN_BYTES = 8_192
SCOPES = 200
_LONGEST_NUMBER = 10**40
_MAX_SHOWN = 80
_RUN = re.compile(r"[\w.|%+/=~!*-]{16,}")
"""A run of characters without a space or a colon that is long enough for a credential."""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Instants outside are mistakes or placeholders, and arithmetic at the ends of the calendar overflows."""


class RowError(ValueError):
    """A row cannot be imported; the message is one sentence without any credential of the row."""


def _but(value: object) -> str:
    """Return the end of a sentence that says which value was found; nothing for what may be a credential."""
    shown = repr(value) if isinstance(value, str) else type(value).__name__
    secret = isinstance(value, str) and _RUN.search(value)
    return "" if secret or len(shown) > _MAX_SHOWN else f"; got {shown}"


def known_fields(row: object, known: tuple[str, ...]) -> Mapping[str, object]:
    """Return a row's fields; a name that is nearly a known one is refused."""
    if not isinstance(row, Mapping):
        raise RowError("a row must be a JSON object with named fields")
    for name in row.keys() - _as_set(known):
        meant = _nearest(name, known) if isinstance(name, str) and len(name) <= 64 else None
        if meant and meant not in row:  # other fields are ignored, but a misspelt one is an error
            raise RowError(f"{name} is no field of this row: did you mean {meant}?")
    return row


@lru_cache
def _as_set(known: tuple[str, ...]) -> frozenset[str]:
    return frozenset(known)


@lru_cache(maxsize=1_024)
def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    return next(iter(get_close_matches(name, known, n=1, cutoff=0.85)), None)


def optional_id(fields: Mapping[str, object], name: str, most: int = ID_BYTES) -> str | None:
    """Return an id, as a string; ``None``: it is absent or empty."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LONGEST_NUMBER:
        value = str(value)
    if isinstance(value, float):
        raise RowError(f"{name} must be a string: a fraction has lost digits of an id already")
    if not isinstance(value, str):
        raise RowError(f"{name} must be a string{_but(value)}")
    if not value.isprintable() or value != value.strip():
        raise RowError(f"{name} may not hold control characters, nor spaces around it{_but(value)}")
    _bounded(name, value, most)
    return value


def required_id(fields: Mapping[str, object], name: str) -> str:
    """Return an id that may not be absent."""
    value = optional_id(fields, name)
    if value is None:
        raise RowError(f"{name} is required")
    return value


def cut(value: str | None, most: int) -> str | None:
    """Cut a text to at most ``most`` bytes, between two characters."""
    if value is None or len(value) * 4 <= most:
        return value
    return value.encode()[:most].decode("utf-8", "ignore")


def text_of(fields: Mapping[str, object], name: str, most: int | None) -> str | None:
    """Return a text of at most ``most`` bytes; ``None``: any length."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise RowError(f"{name} must be a string or null{_but(value)}")
    if "\0" in value:
        raise RowError(f"{name} may not hold the NUL character")
    _bounded(name, value, most)
    return value


def _bounded(name: str, value: str, most: int | None) -> None:
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise RowError(f"{name} is not valid Unicode text") from None
    if most is not None and size > most:
        raise RowError(f"{name} may have at most {most} bytes")


def url_of(fields: Mapping[str, object], name: str) -> str | None:
    """Return an address of the web."""
    value = optional_id(fields, name, TOKEN_BYTES)
    if value is not None and not value.startswith(("https://", "http://")):
        raise RowError(f"{name} must be an http:// or https:// address, or null{_but(value)}")
    return value


def token_of(fields: Mapping[str, object], name: str) -> SecretStr | None:
    """Return a token; no sentence about it repeats it."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise RowError(f"{name} must be a string or null")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise RowError(f"{name} holds a character that no token has")
    _bounded(name, value, TOKEN_BYTES)
    return SecretStr(value)


def choice(fields: Mapping[str, object], name: str, allowed: tuple[str, ...]) -> str | None:
    """Return one of the allowed words."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    if value not in allowed:
        raise RowError(f"{name} must be one of {', '.join(allowed)}, or null{_but(value)}")
    return str(value)


def platform_of(fields: Mapping[str, object]) -> Platform | None:
    """Return the platform; ``None``: it is absent."""
    value = fields.get("platform")
    if value is None or value == "":
        return None
    if not isinstance(value, str) or value not in _PLATFORMS:
        raise RowError(f"platform must be one of {', '.join(_PLATFORMS)}{_but(value)}")
    return _PLATFORMS[value]


def choice_of_one_platform(
    fields: Mapping[str, object], name: str, allowed: tuple[str, ...], platform: Platform, only: Platform
) -> str | None:
    """Return one of the allowed words, for accounts of one platform alone."""
    value = choice(fields, name, allowed)
    if value is not None and platform is not only:
        raise RowError(f"{name} is for {only.value} accounts only{_but(value)}")
    return value


def instant_of(fields: Mapping[str, object], name: str) -> datetime | None:
    """Return an instant; one without a zone is UTC."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
        if instant is not None and instant.tzinfo is not UTC:
            instant = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        instant = None
    if instant is None:
        raise RowError(f"{name} must be an ISO 8601 instant like 2026-06-23T10:15:30Z{_but(value)}")
    if not EARLIEST <= instant < LATEST:
        never = "; null says that it never ends" if name.endswith("expires_at") else ""
        raise RowError(f"{name} must lie between {EARLIEST.year} and {LATEST.year - 1}{never}{_but(value)}")
    return instant


def scopes_of(fields: Mapping[str, object]) -> tuple[str, ...] | None:
    """Return the scopes, each once and in their order."""
    value = fields.get("scopes")
    if value is None:
        return None
    if isinstance(value, str):  # as platforms write them: one string, separated by commas or spaces
        value = value.replace(",", " ").split()
    if not isinstance(value, list) or not all(isinstance(scope, str) and scope for scope in value):
        raise RowError("scopes must be a list of strings")
    if len(value) > SCOPES or any(len(scope) > ID_BYTES or not _is_scope(scope) for scope in value):
        raise RowError(f"scopes may hold at most {SCOPES} names without spaces or control characters")
    return tuple(dict.fromkeys(value))


def _is_scope(scope: str) -> bool:
    return scope.isascii() and scope.isprintable() and " " not in scope


_PLATFORMS = {platform.value: platform for platform in Platform}
