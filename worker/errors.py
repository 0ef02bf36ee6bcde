"""The errors that end a fetch early, named by what the caller must do.

RefreshError
├── TryAgain        transient: network, 5xx, unreadable body; back off and retry
├── Paused          a limit or a budget: pause the bucket it names, count no attempt
├── Reauthorize     the account's owner must act (or, if ``renewable``, its tokens be renewed first)
├── Misconfigured   our application, key or API version is refused: alert operators; no user can help
├── AccountInactive the account is disconnected or must be reconnected: block its rows
└── ClaimsLost      no claim of the job stands any more: stop, nothing is left to write

An adapter raises one of these for the publications for which it has yielded no reading; what concerns a
single publication is a reading, never an error. Messages are sentences for users and operators, without
secrets.
"""

from datetime import datetime, timedelta

from shared.vocabulary import BucketKind, PauseKind


class RefreshError(Exception):
    """A fetch ended before every publication had its reading."""


class TryAgain(RefreshError):
    """A transient error: network, time-out, 5xx, a body that cannot be read.

    ``after`` is the wait that the platform requires, if any; otherwise the usual back-off applies.
    ``breaks``: it counts for the circuit breaker (5xx and time-outs only).
    """

    def __init__(self, sentence: str, *, after: timedelta | None = None, breaks: bool = False) -> None:
        super().__init__(sentence)
        self.after = after
        self.breaks = breaks


class Paused(RefreshError):
    """The platform's limit, or our budget for it, is reached until an instant.

    ``kind`` names the bucket that is paused for the whole fleet, ``endpoint`` narrows it (``None``: all).
    ``until`` is the end of the pause, in UTC. ``escalates_until`` replaces it when the first call after the
    pause is refused again (LinkedIn's daily throttle); a success in between starts anew. ``refused_again``
    replaces the error then where it is no limit: a renewed token that is still refused. ``stop`` is
    the kind of a pause whose cause only an operator can end (X out of credits).
    """

    def __init__(
        self,
        sentence: str,
        *,
        kind: BucketKind,
        until: datetime,
        endpoint: str | None = None,
        escalates_until: datetime | None = None,
        refused_again: "Reauthorize | None" = None,
        stop: PauseKind | None = None,
    ) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.until = until
        self.endpoint = endpoint
        self.escalates_until = escalates_until
        self.refused_again = refused_again
        self.stop = stop


class Reauthorize(RefreshError):
    """The stored authorization is refused.

    ``renewable``: the access token alone may be dead, so one renewal is tried before the account is marked.
    ``missing_scope`` names a missing scope or role, which no renewal can grant. The message says what the
    account's owner must do.
    """

    def __init__(self, sentence: str, *, renewable: bool = False, missing_scope: str | None = None) -> None:
        super().__init__(sentence)
        self.renewable = renewable
        self.missing_scope = missing_scope


class Misconfigured(RefreshError):
    """The platform refused our application, key, request form or API version: only operators can repair it.

    ``warning`` says the same in the row's warning. ``application``: the refusal holds for every account of
    the platform, so the platform is stopped until the next retry.
    """

    def __init__(
        self,
        sentence: str,
        *,
        warning: str = "the platform refuses our application",
        application: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.warning = warning
        self.application = application


class AccountInactive(RefreshError):
    """The account is disconnected or must be reconnected; raised by the worker, never by an adapter."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason or "The account is not connected.")


class ClaimsLost(RefreshError):
    """No claim of the job stands any more; raised by the worker between calls, never by an adapter."""
