"""The enumerations of this system, whose values are the same in code, tables, logs, metrics and the API."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Self


class Platform(StrEnum):
    """Where a publication was published: the value in the API, files and tables, and its label for people."""

    label: str
    """Its name in sentences and on pages."""

    def __new__(cls, value: str, label: str = "") -> Self:
        """Create a member from its value and label; a member without a label cannot be defined."""
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
    """The result of a publication's last completed sync, as the API serves it."""

    SYNCED = "synced"
    """Every expected metric was returned."""
    PARTIAL = "partial"
    """Some expected metric was not returned; a warning names it."""
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
    """The platform refused the stored authorization; nothing is called until the owner reconnects."""
    DISCONNECTED = "disconnected"
    """The owner removed the account; its rows stay with their last values and are not polled."""


class Reason(StrEnum):
    """Why a publication runs next when it does (``refresh_state.reason``)."""

    NEW = "new"
    """Just published or imported: its first snapshot is wanted at once."""
    STALE = "stale"
    """Its ``stale_after`` passes then."""
    READ = "read"
    """A client queried it while it was stale."""
    FORCED = "forced"
    """A client queried it with ``refresh=true``."""
    MANUAL = "manual"
    """An operator re-synced it."""
    RECONNECTED = "reconnected"
    """Its account was reconnected."""
    CLAIMED = "claimed"
    """A worker has it; the instant is the end of its lease."""
    RETRY = "retry"
    """The last attempt failed for a transient reason."""
    PAUSED = "paused"
    """A pause, a limit or an exhausted budget ends then."""
    UNCONFIRMED = "unconfirmed"
    """The post was missing once; the next refresh confirms or refutes that."""
    PROCESSING = "processing"
    """The platform has not given the post its public id yet."""
    STOPPED = "stopped"
    """Polling has ended (post gone, window closed, no id yet); a re-sync asks again."""
    BLOCKED = "blocked"
    """Its account requires reconnecting or was disconnected."""
    QUARANTINED = "quarantined"
    """In quarantine as poison: its refresh started several times and never finished."""


class WarningCode(StrEnum):
    """The stable part of a warning (``code: sentence``)."""

    METRIC_UNAVAILABLE = "metric_unavailable"
    """A metric is absent: retired, never offered for this kind of post, or missing in the response."""
    INSIGHTS_UNAVAILABLE = "insights_unavailable"
    """The post exists, but the platform has no metrics for it; the last values are kept."""
    WINDOW_CLOSED = "window_closed"
    """The platform's reporting window for this post has ended; polling stops."""
    POST_MISSING = "post_missing"
    """The platform did not know the post at the last refresh; a second one confirms."""
    POST_PROCESSING = "post_processing"
    """The platform has not published the post under a public id yet."""
    NO_ACTIVITY_REPORTED = "no_activity_reported"
    """The platform omitted the post as one without activity, though it had some; the last values are kept."""
    PERMISSION_MISSING = "permission_missing"
    """A scope is missing for some metrics of this post."""
    PLATFORM_UNAVAILABLE = "platform_unavailable"
    """The platform refused our application, key or API version; operators are alerted."""
    COUNTER_DECREASED = "counter_decreased"
    """A counter decreased since the last refresh; the new value is served."""
    REFRESH_PENDING = "refresh_pending"
    """The forced refresh had not ended when the API had to respond; the sentence says what it waits for."""
    REFRESH_DEBOUNCED = "refresh_debounced"
    """The row was refreshed moments ago, so the platform was not called again."""


def warn(code: WarningCode, sentence: str) -> str:
    """Return a warning as it is stored and served: ``code: sentence``."""
    return f"{code.value}: {sentence}"


class BucketKind(StrEnum):
    """What a limit counts: a refusal pauses this bucket for the whole fleet."""

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
    """Most of a limit is used: background work waits, interactive refreshes continue."""
    BREAKER = "breaker"
    """The circuit breaker of an endpoint is open after consecutive failures."""
    CREDITS = "credits"
    """Our credits or our paid volume at the platform are used up."""
    MISCONFIGURED = "misconfigured"
    """The platform refuses our whole application: blocked, not enrolled, or its API version has ended."""
    BLOCKED = "blocked"
    """The platform blocks one account's calls for policy reasons."""
    OPERATOR_PLATFORM = "operator_platform"
    """An operator paused a platform, or everything. No platform's response changes an operator's pause."""
    OPERATOR_ACCOUNT = "operator_account"
    """An operator paused one account."""
    OPERATOR_WORKSPACE = "operator_workspace"
    """An operator paused a workspace."""

    @property
    def by_operator(self) -> bool:
        """Whether an operator placed it: then only `dravo resume` or its own end lifts it."""
        return self in _OPERATORS_PAUSES

    @property
    def needs_operator(self) -> bool:
        """Whether only an operator can end its cause. The row stays until the platform accepts a call."""
        return self in _STOPS

    @property
    def subject(self) -> PauseSubject:
        """What the pause's subject names."""
        return _PAUSE_SUBJECTS[self]

    @property
    def background_only(self) -> bool:
        """Whether interactive refreshes continue during the pause."""
        return self is PauseKind.BACKGROUND


_PAUSE_SUBJECTS: Final[Mapping[PauseKind, PauseSubject]] = {
    PauseKind.APP: PauseSubject.PLATFORM,
    PauseKind.ACCOUNT: PauseSubject.ACCOUNT,
    PauseKind.ENDPOINT: PauseSubject.ENDPOINT,
    PauseKind.BACKGROUND: PauseSubject.ACCOUNT,
    PauseKind.BREAKER: PauseSubject.ENDPOINT,
    PauseKind.CREDITS: PauseSubject.PLATFORM,
    PauseKind.MISCONFIGURED: PauseSubject.PLATFORM,
    PauseKind.BLOCKED: PauseSubject.ACCOUNT,
    PauseKind.OPERATOR_PLATFORM: PauseSubject.PLATFORM,
    PauseKind.OPERATOR_ACCOUNT: PauseSubject.ACCOUNT,
    PauseKind.OPERATOR_WORKSPACE: PauseSubject.WORKSPACE,
}
_STOPS: Final = frozenset({PauseKind.CREDITS, PauseKind.MISCONFIGURED, PauseKind.BLOCKED})
_OPERATORS_PAUSES: Final = frozenset(
    {PauseKind.OPERATOR_PLATFORM, PauseKind.OPERATOR_ACCOUNT, PauseKind.OPERATOR_WORKSPACE}
)


class Lane(StrEnum):
    """The two queues: interactive refreshes overtake scheduled ones."""

    INTERACTIVE = "interactive"
    BACKGROUND = "background"
