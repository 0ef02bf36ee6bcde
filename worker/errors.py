"""What can end a read of an account early, named by what the caller must do.

RefreshError
├── TryAgain        transient: network, 5xx, unreadable body; back off and retry
├── Paused          a limit or a budget: park the bucket it names, cost no attempt
├── Reauthorize     the account's owner must act (or, if ``renewable``, its tokens be renewed first)
├── Misconfigured   our application, key or API version is refused: alert operators, blame no user
├── AccountInactive the account is disconnected or must be reconnected: block its rows
└── ClaimsLost      no claim of the job stands any more: stop, nothing is left to write

An adapter raises one of these for the publications it has not yielded a reading for; what concerns a single
publication is never an error but a reading. Messages are sentences for people and never hold a secret.
"""

from datetime import datetime, timedelta

from shared.vocabulary import BucketKind


class RefreshError(Exception):
    """A read of an account ended before every publication had its reading."""


class TryAgain(RefreshError):  # noqa: N818 - named by what the caller must do, like its siblings
    """A passing trouble: network, time-out, 5xx, a body that cannot be read.

    ``after`` is the wait that the platform or its quirks ask for, if any; else the usual back-off holds.
    ``breaks`` tells whether it counts for the circuit breaker (5xx and time-outs only).
    """

    def __init__(self, sentence: str, *, after: timedelta | None = None, breaks: bool = False) -> None:
        super().__init__(sentence)
        self.after = after
        self.breaks = breaks


class Paused(RefreshError):  # noqa: N818 - named by what the caller must do, like its siblings
    """The platform's limit, or our budget for it, is reached until an instant.

    ``kind`` names the bucket that is parked for the whole fleet, ``endpoint`` narrows it (``None``: all).
    ``until`` is the instant of relief, database-comparable UTC. ``escalates_until`` replaces it when the
    first call after the pause is refused again (LinkedIn's daily throttle); a success in between starts anew.
    ``refused_again`` is what the refusal means then where it is no limit: a renewed token that stays refused.
    ``operator_alert`` marks a stop that only an operator can end (X out of credits).
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
        operator_alert: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.until = until
        self.endpoint = endpoint
        self.escalates_until = escalates_until
        self.refused_again = refused_again
        self.operator_alert = operator_alert


class Reauthorize(RefreshError):  # noqa: N818 - named by what the caller must do, like its siblings
    """The stored authorization is refused.

    ``renewable``: the access token alone may be dead, so a renewal is worth one try before the account is
    marked. ``missing_scope`` names the scope or role when that is what lacks (then no renewal can help).
    The message tells the account's owner what to do.
    """

    def __init__(self, sentence: str, *, renewable: bool = False, missing_scope: str | None = None) -> None:
        super().__init__(sentence)
        self.renewable = renewable
        self.missing_scope = missing_scope


class Misconfigured(RefreshError):  # noqa: N818 - named by what the caller must do, like its siblings
    """The platform refused our application, key, request form or API version: only operators can mend it.

    ``warning`` says the same to those who read the row.
    """

    def __init__(self, sentence: str, *, warning: str = "the platform refuses our application") -> None:
        super().__init__(sentence)
        self.warning = warning


class AccountInactive(RefreshError):  # noqa: N818 - named by what has happened, like its siblings
    """The account is disconnected or must be reconnected; raised by the worker, never by an adapter."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason or "The account is not connected.")


class ClaimsLost(RefreshError):  # noqa: N818 - named by what has happened, like its siblings
    """No claim of the job stands any more; raised between its calls by the worker, never by an adapter."""
