"""The pauses that a job finds or requires, as plain values; `worker.quota.defer` writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.quota.pauses import PauseInForce, PauseKey
from shared.vocabulary import BucketKind, Lane, PauseKind, PauseSubject
from worker.errors import Paused


class Deferred(Paused):
    """The platform was not called: a budget is exhausted, or a pause is in force. Rows run again later.

    ``pause`` is the pause in force. ``None``: a budget in Redis is exhausted, or its bucket is paused there.
    """

    def __init__(
        self,
        sentence: str,
        *,
        kind: BucketKind,
        until: datetime,
        endpoint: str | None = None,
        pause: PauseKey | None = None,
    ) -> None:
        stop = pause.kind if pause and pause.kind.needs_operator else None
        super().__init__(sentence, kind=kind, until=until, endpoint=endpoint, stop=stop)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class NewPause:
    """A pause to be written to PostgreSQL, where claims read it."""

    kind: PauseKind
    subject: str
    until: datetime | None
    """``None``: the pause in force ends, because the platform accepts calls again."""
    reason: str


def pause_of(account_id: str, refusal: Paused) -> NewPause:
    """Return the pause that a refusal of one of this account's calls requires."""
    subjects = {BucketKind.APP: "", BucketKind.ACCOUNT: account_id}
    subject = subjects.get(refusal.kind, refusal.endpoint or "")
    return NewPause(refusal.stop or PauseKind(refusal.kind.value), subject, refusal.until, str(refusal))


def pause_of_whole_job(in_force: Sequence[PauseInForce], lane: Lane, now: datetime) -> PauseInForce | None:
    """Return the pause that forbids every call of a job, if one does; ``in_force``: the longest first.

    A pause of one endpoint forbids only the calls to that endpoint, and a stop that is being tried none.
    """
    for pause in in_force:
        if pause.is_tried(now):
            continue
        if pause.kind.background_only and lane is not Lane.BACKGROUND:
            continue
        if pause.kind.subject is not PauseSubject.ENDPOINT or not pause.subject:
            return pause
    return None
