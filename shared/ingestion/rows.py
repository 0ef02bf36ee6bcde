"""Validation of the rows of import files and events: every field is checked, every mistake is one sentence.

A sentence names the field, what is allowed, and the value. A value that may be a credential in the wrong
column is not repeated, and neither is one of the fields of tokens.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache

from pydantic import SecretStr

from shared.vocabulary import Platform

ID_BYTES = 255
POST_ID_BYTES = 512
TEXT_BYTES = 8_192
"""UTF-8 bytes of a post's text that are stored; longer texts are cut to keep a page of 100 rows small."""
TOKEN_BYTES = 8_192
SCOPES = 200
_LONGEST_NUMBER = 10**40
_MAX_SHOWN = 80
_RUN = re.compile(r"[\w.|%+/=~!*-]{16,}")
"""A run of characters without a space or a colon that is long enough for a credential."""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Instants outside are mistakes or placeholders, and arithmetic at the ends of the calendar overflows."""

LOGINS = ("facebook", "instagram")
KINDS = ("organization", "member")
MEDIA_TYPES = ("IMAGE", "VIDEO", "REELS", "CAROUSEL_ALBUM", "STORY")

ACCOUNT_FIELDS = (
    "account_id",
    "workspace_id",
    "platform",
    "platform_account_id",
    "platform_user_id",
    "login",
    "kind",
    "access_token",
    "refresh_token",
    "token_expires_at",
    "refresh_token_expires_at",
    "scopes",
    "name",
)
PUBLICATION_FIELDS = (
    "post_id",
    "account_id",
    "workspace_id",
    "platform",
    "platform_post_id",
    "publish_id",
    "platform_post_url",
    "media_type",
    "text",
    "created_at",
    "published_at",
)


class RowError(ValueError):
    """A row cannot be imported; the message is one sentence without any credential of the row."""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A validated row of an account; ``None``: the field is absent or empty."""

    account_id: str
    workspace_id: str
    platform: Platform
    platform_account_id: str
    platform_user_id: str | None
    """The person who connected it, as the platform's signals name them; at Meta the app-scoped id."""
    login: str | None
    kind: str | None
    name: str | None
    access_token: SecretStr | None
    refresh_token: SecretStr | None
    token_expires_at: datetime | None
    refresh_token_expires_at: datetime | None
    scopes: tuple[str, ...] | None
    given: frozenset[str]
    """The fields that are present: an absent one keeps the stored value, ``null`` clears it."""


@dataclass(frozen=True, slots=True)
class PublicationRow:
    """A validated row of a publication; ``None``: the field is absent or empty."""

    post_id: str
    account_id: str
    workspace_id: str | None
    """Optional; must be the account's."""
    platform: Platform | None
    """Optional; must be the account's."""
    platform_post_id: str | None
    publish_id: str | None
    platform_post_url: str | None
    media_type: str | None
    text: str | None
    created_at: datetime
    published_at: datetime | None
    given: frozenset[str]
    """The fields that are present: an absent one keeps the stored value, ``null`` clears it."""


def parse_account(row: object) -> AccountRow:
    """Return the account of a decoded JSON object. Raises `RowError`."""
    fields = _fields(row, ACCOUNT_FIELDS)
    platform = _platform(fields)
    if platform is None:
        raise RowError("platform is required")
    return AccountRow(
        account_id=_required_id(fields, "account_id"),
        workspace_id=_required_id(fields, "workspace_id"),
        platform=platform,
        platform_account_id=_required_id(fields, "platform_account_id"),
        platform_user_id=_id(fields, "platform_user_id"),
        login=_only(fields, "login", LOGINS, platform, Platform.INSTAGRAM),
        kind=_only(fields, "kind", KINDS, platform, Platform.LINKEDIN),
        name=_text(fields, "name", ID_BYTES * 4),
        access_token=_token(fields, "access_token"),
        refresh_token=_token(fields, "refresh_token"),
        token_expires_at=_instant(fields, "token_expires_at"),
        refresh_token_expires_at=_instant(fields, "refresh_token_expires_at"),
        scopes=_scopes(fields),
        given=frozenset(fields),
    )


def parse_publication(row: object) -> PublicationRow:
    """Return the publication of a decoded JSON object; one that is parsed already stays as it is.

    Raises `RowError`.
    """
    if isinstance(row, PublicationRow):
        return row
    fields = _fields(row, PUBLICATION_FIELDS)
    created_at = _instant(fields, "created_at")
    if created_at is None:
        raise RowError("created_at is required")
    return PublicationRow(
        post_id=_required_id(fields, "post_id"),
        account_id=_required_id(fields, "account_id"),
        workspace_id=_id(fields, "workspace_id"),
        platform=_platform(fields),
        platform_post_id=_id(fields, "platform_post_id", POST_ID_BYTES),
        publish_id=_id(fields, "publish_id", POST_ID_BYTES),
        platform_post_url=_url(fields, "platform_post_url"),
        media_type=_choice(fields, "media_type", MEDIA_TYPES),
        text=_cut(_text(fields, "text", None), TEXT_BYTES),
        created_at=created_at,
        published_at=_instant(fields, "published_at"),
        given=frozenset(fields),
    )


def _but(value: object) -> str:
    """Return the end of a sentence that says which value was found; nothing for what may be a credential."""
    shown = repr(value) if isinstance(value, str) else type(value).__name__
    secret = isinstance(value, str) and _RUN.search(value)
    return "" if secret or len(shown) > _MAX_SHOWN else f"; got {shown}"


def _fields(row: object, known: tuple[str, ...]) -> Mapping[str, object]:
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


def _id(fields: Mapping[str, object], name: str, most: int = ID_BYTES) -> str | None:
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


def _required_id(fields: Mapping[str, object], name: str) -> str:
    value = _id(fields, name)
    if value is None:
        raise RowError(f"{name} is required")
    return value


def _cut(value: str | None, most: int) -> str | None:
    """Cut a text to at most ``most`` bytes, between two characters."""
    return None if value is None else value.encode()[:most].decode("utf-8", "ignore")


def _text(fields: Mapping[str, object], name: str, most: int | None) -> str | None:
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


def _url(fields: Mapping[str, object], name: str) -> str | None:
    value = _id(fields, name, TOKEN_BYTES)
    if value is not None and not value.startswith(("https://", "http://")):
        raise RowError(f"{name} must be an http:// or https:// address, or null{_but(value)}")
    return value


def _token(fields: Mapping[str, object], name: str) -> SecretStr | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise RowError(f"{name} must be a string or null")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise RowError(f"{name} holds a character that no token has")
    _bounded(name, value, TOKEN_BYTES)
    return SecretStr(value)


def _choice(fields: Mapping[str, object], name: str, allowed: tuple[str, ...]) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if value not in allowed:
        raise RowError(f"{name} must be one of {', '.join(allowed)}, or null{_but(value)}")
    return str(value)


def _platform(fields: Mapping[str, object]) -> Platform | None:
    value = fields.get("platform")
    if value is None or value == "":
        return None
    if not isinstance(value, str) or value not in _PLATFORMS:
        raise RowError(f"platform must be one of {', '.join(_PLATFORMS)}{_but(value)}")
    return _PLATFORMS[value]


def _only(
    fields: Mapping[str, object], name: str, allowed: tuple[str, ...], platform: Platform, only: Platform
) -> str | None:
    value = _choice(fields, name, allowed)
    if value is not None and platform is not only:
        raise RowError(f"{name} is for {only.value} accounts only{_but(value)}")
    return value


def _instant(fields: Mapping[str, object], name: str) -> datetime | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
        instant = parsed and (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        instant = None
    if instant is None:
        raise RowError(f"{name} must be an ISO 8601 instant like 2026-06-23T10:15:30Z{_but(value)}")
    if not EARLIEST <= instant < LATEST:
        never = "; null says that it never ends" if name.endswith("expires_at") else ""
        raise RowError(f"{name} must lie between {EARLIEST.year} and {LATEST.year - 1}{never}{_but(value)}")
    return instant


def _scopes(fields: Mapping[str, object]) -> tuple[str, ...] | None:
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
