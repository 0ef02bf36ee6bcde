"""How a refresh may end (``post_analytics.outcome``), and what each end means to everybody who asks.

=================== ========== ======== ======== =========
kind                verdict    group    answered ends_polling
=================== ========== ======== ======== =========
synced              succeeded  good     yes
partial             succeeded  good     yes
unavailable         succeeded  good     yes
window_closed       succeeded  good     yes      yes
missing             postponed  waiting  yes
processing          postponed  waiting  yes
paused              retried    waiting
retry               retried    bad
misconfigured       retried    bad
failed              failed     bad
gone                failed     bad      yes      yes
duplicate           failed     bad      yes      yes
requires_reconnect  failed     bad               yes
quarantined         failed     bad               yes
=================== ========== ======== ======== =========
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Verdict(StrEnum):
    """What an outcome is for somebody who waits for the refresh."""

    SUCCEEDED = "succeeded"
    POSTPONED = "postponed"
    """The platform answered; a later look decides."""
    RETRIED = "retried"
    """Nothing is decided: it is tried again by itself."""
    FAILED = "failed"


class OutcomeGroup(StrEnum):
    """How operators see an outcome: the colour on their page."""

    GOOD = "good"
    WAITING = "waiting"
    """Nothing is wrong and nothing is to be done; time decides."""
    BAD = "bad"
    """Something did not work; its cause is listed."""


class _Meaning(NamedTuple):
    verdict: Verdict
    group: OutcomeGroup
    answered: bool = False
    ends_polling: bool = False


class OutcomeKind(StrEnum):
    """How a refresh ended."""

    SYNCED = "synced"
    """Every expected metric came."""
    PARTIAL = "partial"
    """Some expected metric did not come."""
    UNAVAILABLE = "unavailable"
    """The post was reached; the platform has no numbers for it."""
    WINDOW_CLOSED = "window_closed"
    """The platform's reporting window for the post has ended."""
    MISSING = "missing"
    """The platform did not know the post, for the first time."""
    PROCESSING = "processing"
    """The platform has not published the post under a public id yet."""
    PAUSED = "paused"
    """A limit, a budget or an operator's pause stood in the way."""
    RETRY = "retry"
    """An attempt failed for a reason that passes."""
    MISCONFIGURED = "misconfigured"
    """The platform refused our application, key or API version."""
    FAILED = "failed"
    """So many attempts in a row did not succeed; it goes on being tried, more slowly."""
    GONE = "gone"
    """The post was missing again: confirmed."""
    DUPLICATE = "duplicate"
    """The platform published it under an id that another publication of the account has."""
    REQUIRES_RECONNECT = "requires_reconnect"
    """The account's owner must renew its authorization."""
    QUARANTINED = "quarantined"
    """Set aside as poison."""

    @property
    def verdict(self) -> Verdict:
        """What it is for somebody who waits for the refresh."""
        return _MEANINGS[self].verdict

    @property
    def group(self) -> OutcomeGroup:
        """How operators see it."""
        return _MEANINGS[self].group

    @property
    def answered(self) -> bool:
        """Whether it rests on the platform's answer about this very publication."""
        return _MEANINGS[self].answered

    @property
    def ends_polling(self) -> bool:
        """Whether the publication is not asked for again by itself."""
        return _MEANINGS[self].ends_polling


def outcome_kind(word: str | None) -> OutcomeKind | None:
    """Return the kind of a stored word; ``None`` before the first attempt, and for a newer version's word."""
    return _BY_WORD.get(word) if word is not None else None


_BY_WORD: Final[Mapping[str, OutcomeKind]] = {kind.value: kind for kind in OutcomeKind}
_GOOD, _WAITING, _BAD = OutcomeGroup
_MEANINGS: Final[Mapping[OutcomeKind, _Meaning]] = {
    OutcomeKind.SYNCED: _Meaning(Verdict.SUCCEEDED, _GOOD, answered=True),
    OutcomeKind.PARTIAL: _Meaning(Verdict.SUCCEEDED, _GOOD, answered=True),
    OutcomeKind.UNAVAILABLE: _Meaning(Verdict.SUCCEEDED, _GOOD, answered=True),
    OutcomeKind.WINDOW_CLOSED: _Meaning(Verdict.SUCCEEDED, _GOOD, answered=True, ends_polling=True),
    OutcomeKind.MISSING: _Meaning(Verdict.POSTPONED, _WAITING, answered=True),
    OutcomeKind.PROCESSING: _Meaning(Verdict.POSTPONED, _WAITING, answered=True),
    OutcomeKind.PAUSED: _Meaning(Verdict.RETRIED, _WAITING),
    OutcomeKind.RETRY: _Meaning(Verdict.RETRIED, _BAD),
    OutcomeKind.MISCONFIGURED: _Meaning(Verdict.RETRIED, _BAD),
    OutcomeKind.FAILED: _Meaning(Verdict.FAILED, _BAD),
    OutcomeKind.GONE: _Meaning(Verdict.FAILED, _BAD, answered=True, ends_polling=True),
    OutcomeKind.DUPLICATE: _Meaning(Verdict.FAILED, _BAD, answered=True, ends_polling=True),
    OutcomeKind.REQUIRES_RECONNECT: _Meaning(Verdict.FAILED, _BAD, ends_polling=True),
    OutcomeKind.QUARANTINED: _Meaning(Verdict.FAILED, _BAD, ends_polling=True),
}
