"""The values that an adapter receives and returns; they have no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import SecretStr

from shared.vocabulary import BucketKind, Platform


@dataclass(frozen=True, slots=True)
class Account:
    """A connected account with its decrypted credentials; it exists only as long as its job."""

    account_id: str
    workspace_id: str
    platform: Platform
    platform_account_id: str
    login: str | None
    """Instagram only: ``facebook`` or ``instagram``, which decides the host."""
    kind: str | None
    """LinkedIn only: ``organization`` or ``member``, which decides the endpoint."""
    scopes: frozenset[str]
    access_token: SecretStr
    refresh_token: SecretStr | None
    token_expires_at: datetime | None
    refresh_token_expires_at: datetime | None
    token_minted_at: datetime | None
    """When we renewed the access token; ``None``: it was imported, so its age is unknown."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One published item to fetch."""

    id: int
    platform_post_id: str | None
    publish_id: str | None
    """TikTok only: the id of the publishing process, until the public id is known."""
    media_type: str | None
    """``IMAGE``, ``VIDEO``, ``REELS``, ``CAROUSEL_ALBUM``, ``STORY``, or ``None`` when unknown."""
    created_at: datetime
    """When it was published as far as we know (``published_at``, else ``created_at``); aware, UTC."""


class Answer(StrEnum):
    """The platform's answer about one publication."""

    READ = "read"
    """It has numbers; ``missing`` names the expected metrics that did not come."""
    UNAVAILABLE = "unavailable"
    """It was found and has no numbers (posted before conversion, too few viewers, empty set)."""
    WINDOW_CLOSED = "window_closed"
    """The platform no longer reports on a post of that age."""
    MISSING = "missing"
    """The platform does not know it for this account: deleted, private, protected or foreign."""
    OMITTED = "omitted"
    """It exists inside the window and was left out: how LinkedIn says that nothing has happened."""
    PROCESSING = "processing"
    """Its public id is not known yet."""
    UNREADABLE = "unreadable"
    """A transient error of this publication alone: an error for its id, or no answer for it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The platform's answer for one publication; recorded, it becomes a snapshot."""

    publication_id: int
    answer: Answer
    metrics: Mapping[str, int | float] = field(default_factory=dict)
    """Exactly the numbers that the platform reported, by our public keys."""
    missing: tuple[str, ...] = ()
    """Expected metrics that did not come (the row is ``partial``); each also has its warning."""
    warnings: tuple[str, ...] = ()
    """``code: sentence`` strings, made by `shared.vocabulary.warn`."""
    detail: str | None = None
    """One sentence for users about an answer other than READ; without secrets."""
    platform_post_id: str | None = None
    """The public id, when this fetch brought it."""
    doubtful: bool = False
    """With MISSING: the platform may be wrong now, so this neither starts nor ends a confirmation."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that a response reported, parsed and checked: data for the fleet's budget."""

    kind: BucketKind
    endpoint: str | None
    """``None``: the limit is not bound to one endpoint."""
    limit: int | None = None
    """Calls per window."""
    remaining: int | None = None
    """Calls left in the window."""
    used_percent: int | None = None
    """Share of the window used, where the platform reports percents (Meta)."""
    resets_at: datetime | None = None
    """When the window ends, on our clock."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A new pair from a renewal; stored before it is used."""

    access_token: SecretStr
    expires_at: datetime | None
    refresh_token: SecretStr | None = None
    """``None`` keeps the stored one."""
    refresh_token_expires_at: datetime | None = None
    """``None`` keeps the stored one."""
    scopes: frozenset[str] | None = None
    """``None`` when the answer does not list them."""
