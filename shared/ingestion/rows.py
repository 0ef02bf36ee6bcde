"""The rows of import files and events: accounts and publications, parsed from decoded JSON objects."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pydantic import SecretStr

from shared.ingestion.fields import (
    ID_BYTES,
    RowError,
    choice,
    choice_of_one_platform,
    cut,
    instant_of,
    known_fields,
    optional_id,
    platform_of,
    required_id,
    scopes_of,
    text_of,
    token_of,
    url_of,
)
from shared.vocabulary import Platform

POST_ID_BYTES = 512
TEXT_BYTES = 8_192
"""UTF-8 bytes of a post's text that are stored; longer texts are cut to keep a page of 100 rows small."""
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


class PublicationRow(NamedTuple):
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
    given: Set[str]
    """The fields that are present: an absent one keeps the stored value, ``null`` clears it."""


def parse_account(row: object) -> AccountRow:
    """Return the account of a decoded JSON object. Raises `RowError`."""
    fields = known_fields(row, ACCOUNT_FIELDS)
    platform = platform_of(fields)
    if platform is None:
        raise RowError("platform is required")
    return AccountRow(
        account_id=required_id(fields, "account_id"),
        workspace_id=required_id(fields, "workspace_id"),
        platform=platform,
        platform_account_id=required_id(fields, "platform_account_id"),
        platform_user_id=optional_id(fields, "platform_user_id"),
        login=choice_of_one_platform(fields, "login", LOGINS, platform, Platform.INSTAGRAM),
        kind=choice_of_one_platform(fields, "kind", KINDS, platform, Platform.LINKEDIN),
        name=text_of(fields, "name", ID_BYTES * 4),
        access_token=token_of(fields, "access_token"),
        refresh_token=token_of(fields, "refresh_token"),
        token_expires_at=instant_of(fields, "token_expires_at"),
        refresh_token_expires_at=instant_of(fields, "refresh_token_expires_at"),
        scopes=scopes_of(fields),
        given=frozenset(fields),
    )


def parse_publication(row: object) -> PublicationRow:
    """Return the publication of a decoded JSON object; one that is parsed already stays as it is.

    Raises `RowError`.
    """
    if isinstance(row, PublicationRow):
        return row
    fields = known_fields(row, PUBLICATION_FIELDS)
    created_at = instant_of(fields, "created_at")
    if created_at is None:
        raise RowError("created_at is required")
    return PublicationRow(
        post_id=required_id(fields, "post_id"),
        account_id=required_id(fields, "account_id"),
        workspace_id=optional_id(fields, "workspace_id"),
        platform=platform_of(fields),
        platform_post_id=optional_id(fields, "platform_post_id", POST_ID_BYTES),
        publish_id=optional_id(fields, "publish_id", POST_ID_BYTES),
        platform_post_url=url_of(fields, "platform_post_url"),
        media_type=choice(fields, "media_type", MEDIA_TYPES),
        text=cut(text_of(fields, "text", None), TEXT_BYTES),
        created_at=created_at,
        published_at=instant_of(fields, "published_at"),
        given=frozenset(fields),
    )
