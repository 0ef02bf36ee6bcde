"""What an adapter takes and returns: plain values without behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import SecretStr

from shared.vocabulary import BucketKind, Platform


@dataclass(frozen=True, slots=True)
class Account:
    """A connected account with its opened credentials; lives only as long as its job."""

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
    """When we renewed the access token; ``None``: it came from outside, so its age is not known."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One published item to read."""

    id: int
    platform_post_id: str | None
    publish_id: str | None
    """TikTok only: the id of the publishing process, until the public id is known."""
    media_type: str | None
    """``IMAGE``, ``VIDEO``, ``REELS``, ``CAROUSEL_ALBUM``, ``STORY`` or ``None`` when not told."""
    created_at: datetime
    """When it was published as far as we know (``published_at``, else ``created_at``); aware, UTC."""


class Answer(StrEnum):
    """What the platform said about one publication."""

    READ = "read"
    """Numbers came; ``missing`` names the expected metrics that did not."""
    UNAVAILABLE = "unavailable"
    """It was reached and has no numbers (posted before conversion, too few viewers, empty set)."""
    WINDOW_CLOSED = "window_closed"
    """The platform no longer reports on a post of that age."""
    MISSING = "missing"
    """The platform does not know it for this account: deleted, private, protected or foreign."""
    OMITTED = "omitted"
    """It exists inside the window and was left out: how LinkedIn says that nothing has happened."""
    PROCESSING = "processing"
    """Its public id is not known yet."""
    UNREADABLE = "unreadable"
    """A passing trouble with this one alone: an error of the platform for this id, or no answer for it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The platform's answer for one publication, transient; kept, it becomes a snapshot."""

    publication_id: int
    answer: Answer
    metrics: Mapping[str, int | float] = field(default_factory=dict)
    """Exactly the numbers that the platform reported, by our public keys."""
    missing: tuple[str, ...] = ()
    """Expected metrics that did not come (the row is ``partial``); each also has its warning."""
    warnings: tuple[str, ...] = ()
    """``code: sentence`` strings, made by `shared.vocabulary.warn`."""
    detail: str | None = None
    """One sentence for people about an answer other than READ; no secret."""
    platform_post_id: str | None = None
    """The public id, when this read learned it."""
    doubtful: bool = False
    """With MISSING: the platform may be wrong now; this neither starts nor ends a confirmation."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a response said of a limit: data for the fleet's budget, already parsed and sane."""

    kind: BucketKind
    endpoint: str | None
    """``None``: the limit is not bound to one endpoint."""
    limit: int | None = None
    """Calls per window."""
    remaining: int | None = None
    """Calls left in the window."""
    used_percent: int | None = None
    """Share of the window used, where the platform tells percents (Meta)."""
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
    """``None`` when the answer does not tell."""
