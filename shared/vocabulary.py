"""The words of this system: one word for a thing, the same in code, tables, logs, metrics and docs."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Self


class Platform(StrEnum):
    """Where a publication was published: the word of clients, files and tables, and its name for people."""

    label: str
    """Its name in sentences and on pages; here and nowhere else."""

    def __new__(cls, value: str, label: str = "") -> Self:
        """Make a member of its word and its name; a member without a name cannot be defined."""
        if not label:
            raise TypeError(f"the platform {value} has no label")
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member

    INSTAGRAM = "instagram", "Instagram"
    FACEBOOK = "facebook", "Facebook"
    X = "x", "X"
    LINKEDIN = "linkedin", "LinkedIn"
    TIKTOK = "tiktok", "TikTok"


class SyncStatus(StrEnum):
    """Outcome of a publication's last completed sync, as the API serves it."""

    SYNCED = "synced"
    """Every expected metric came."""
    PARTIAL = "partial"
    """Some expected metric did not come; a warning names it."""
    PENDING = "pending"
    """No sync has completed yet."""
    FAILED = "failed"
    """The last sync failed; the last good metrics are still served."""
    REQUIRES_RECONNECT = "requires_reconnect"
    """The account's owner must renew its authorization."""


class AccountState(StrEnum):
    """Whether an account may be read."""

    ACTIVE = "active"
    REQUIRES_RECONNECT = "requires_reconnect"
    """The platform refused the stored authorization; nothing is asked until the owner reconnects."""
    DISCONNECTED = "disconnected"
    """The owner removed the account; its rows stay with their last values and are not polled."""


class Reason(StrEnum):
    """Why a publication runs next when it does (``refresh_state.reason``)."""

    NEW = "new"
    """Just published or imported: its first snapshot is wanted at once."""
    STALE = "stale"
    """Its ``stale_after`` passes then."""
    READ = "read"
    """A read touched it while it was stale."""
    FORCED = "forced"
    """A read with ``refresh=true`` asked for it."""
    MANUAL = "manual"
    """``dravo resync`` asked for it."""
    RECONNECTED = "reconnected"
    """Its account was reconnected."""
    CLAIMED = "claimed"
    """A worker has it; the instant is the end of its lease."""
    RETRY = "retry"
    """The last attempt failed for a reason that passes."""
    PAUSED = "paused"
    """A limit or a budget ends then."""
    UNCONFIRMED = "unconfirmed"
    """The post was missing once; the second look confirms or clears that."""
    PROCESSING = "processing"
    """The platform has not given the post its public id yet."""
    STOPPED = "stopped"
    """Polling has ended (post gone, window closed, no id yet); a re-sync asks again."""
    BLOCKED = "blocked"
    """Its account requires reconnecting or was disconnected."""
    QUARANTINED = "quarantined"
    """Set aside as poison: its refresh started several times and never finished."""


class WarningCode(StrEnum):
    """The stable half of a warning (``code: sentence``)."""

    METRIC_UNAVAILABLE = "metric_unavailable"
    """A metric is absent: retired, never offered for this kind of post, or left out of the answer."""
    INSIGHTS_UNAVAILABLE = "insights_unavailable"
    """The post was reached, but the platform has no numbers for it; the last values are kept."""
    WINDOW_CLOSED = "window_closed"
    """The platform's reporting window for this post has ended; polling stops."""
    POST_MISSING = "post_missing"
    """The platform did not know the post at the last look; a second look confirms."""
    POST_PROCESSING = "post_processing"
    """The platform has not published the post under a public id yet."""
    NO_ACTIVITY_REPORTED = "no_activity_reported"
    """The platform left the post out as one without activity, though it once had some; last values kept."""
    PERMISSION_MISSING = "permission_missing"
    """A scope is missing for some metrics of this post."""
    PLATFORM_UNAVAILABLE = "platform_unavailable"
    """The platform refused our application, key or API version; operators are alerted."""
    COUNTER_DECREASED = "counter_decreased"
    """A counter fell since the last read; the new value is served."""
    REFRESH_PENDING = "refresh_pending"
    """The forced refresh was still under way when this answer was due."""
    REFRESH_DEBOUNCED = "refresh_debounced"
    """Read from the platform moments ago, so it was not asked again."""


def warn(code: WarningCode, sentence: str) -> str:
    """Return a warning as it is stored and served: ``code: sentence``."""
    return f"{code.value}: {sentence}"


class BucketKind(StrEnum):
    """Whose limit a platform speaks of: what one refusal parks for the whole fleet."""

    APP = "app"
    """Our whole application at that platform."""
    ACCOUNT = "account"
    """One connected account (page, profile, member, token)."""
    ENDPOINT = "endpoint"
    """One endpoint class, for the whole application."""


class PauseSubject(StrEnum):
    """What ``pauses.subject`` names."""

    PLATFORM = "platform"
    """The whole platform, whatever the subject says."""
    ENDPOINT = "endpoint"
    """An endpoint class; empty: all of them."""
    ACCOUNT = "account"
    """A connected account; empty: all of them."""
    WORKSPACE = "workspace"


class PauseKind(StrEnum):
    """Who paused what (``pauses.kind``)."""

    APP = "app"
    """The platform refused our whole application, or our budget of money for it is spent."""
    ACCOUNT = "account"
    """The platform refused one account for its limit."""
    ENDPOINT = "endpoint"
    """The platform refused an endpoint for its limit."""
    BACKGROUND = "background"
    """Most of a limit is used: background work waits, people's requests go on."""
    BREAKER = "breaker"
    """The circuit breaker opened: an endpoint only failed."""
    OPERATOR_PLATFORM = "operator_platform"
    """An operator paused a platform, or everything. No platform's answer changes an operator's pause."""
    OPERATOR_ACCOUNT = "operator_account"
    """An operator paused one account."""
    OPERATOR_WORKSPACE = "operator_workspace"
    """An operator paused a workspace."""

    @property
    def by_operator(self) -> bool:
        """Whether an operator placed it: then only `dravo resume` or its own end lifts it."""
        return self in _OPERATORS_PAUSES

    @property
    def subject(self) -> PauseSubject:
        """What the pause's subject names."""
        return _PAUSE_SUBJECTS[self]

    @property
    def background_only(self) -> bool:
        """Whether people's requests go on during the pause."""
        return self is PauseKind.BACKGROUND


_PAUSE_SUBJECTS: Final[Mapping[PauseKind, PauseSubject]] = {
    PauseKind.APP: PauseSubject.PLATFORM,
    PauseKind.ACCOUNT: PauseSubject.ACCOUNT,
    PauseKind.ENDPOINT: PauseSubject.ENDPOINT,
    PauseKind.BACKGROUND: PauseSubject.ACCOUNT,
    PauseKind.BREAKER: PauseSubject.ENDPOINT,
    PauseKind.OPERATOR_PLATFORM: PauseSubject.PLATFORM,
    PauseKind.OPERATOR_ACCOUNT: PauseSubject.ACCOUNT,
    PauseKind.OPERATOR_WORKSPACE: PauseSubject.WORKSPACE,
}
_OPERATORS_PAUSES: Final = frozenset(
    {PauseKind.OPERATOR_PLATFORM, PauseKind.OPERATOR_ACCOUNT, PauseKind.OPERATOR_WORKSPACE}
)


class Lane(StrEnum):
    """The two queues: people waiting go ahead of the clock."""

    INTERACTIVE = "interactive"
    BACKGROUND = "background"
