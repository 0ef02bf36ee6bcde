"""When a publication will really run, and why not now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from shared.operations.holds.hold import Hold, of_account, of_pause
from shared.quota.pauses import PauseInForce, PauseKey
from shared.vocabulary import AccountState, Reason

REASONS: Final[Mapping[Reason, str]] = {
    Reason.NEW: "it is new and its first snapshot is wanted at once",
    Reason.STALE: "its numbers are stale from then on",
    Reason.READ: "a read touched it while it was stale",
    Reason.FORCED: "a client queried it with refresh=true",
    Reason.MANUAL: "an operator re-synced it",
    Reason.RECONNECTED: "its account was reconnected",
    Reason.CLAIMED: "a worker has it; should that worker die, its lease ends then",
    Reason.RETRY: "the last attempt did not succeed and is repeated then",
    Reason.PAUSED: "a limit, a budget or a pause ends then",
    Reason.UNCONFIRMED: "the post was missing once; the next refresh confirms or refutes that",
    Reason.PROCESSING: "the platform has not given the post its public id yet",
    Reason.STOPPED: "polling has ended",
    Reason.BLOCKED: "its account may not be read",
    Reason.QUARANTINED: "its refresh started several times and never finished, so it is in quarantine",
}
"""Why a row's next run is when it is, as half a sentence."""

_POLLED_NO_MORE: Final = frozenset({Reason.STOPPED, Reason.BLOCKED, Reason.QUARANTINED})
_NO_ID: Final = "its id at the platform is not known yet"
_TO_DO: Final[Mapping[Reason, str]] = {
    Reason.RETRY: "Nothing: it is retried automatically; the last attempt's detail says what failed.",
    Reason.PAUSED: "Nothing: it continues automatically when the pause ends.",
    Reason.UNCONFIRMED: "Nothing, or `dravo resync --post {post}` if the post is known to exist.",
    Reason.PROCESSING: "Nothing: the id is requested again then; a private post never gets one.",
    Reason.STOPPED: "Nothing; `dravo resync --post {post}` fetches it again all the same.",
    Reason.QUARANTINED: "Look for its id in the workers' logs, then `dravo quarantine release {id}`.",
    Reason.CLAIMED: "Nothing: a worker is refreshing it.",
    Reason.STALE: "Nothing; `dravo resync --post {post}` fetches it now.",
}
_WAITING: Final = "Nothing: it is due; if it stays so, see `dravo status` for schedulers, workers and queues."
_IMPORT_ID: Final = (
    "It cannot be refreshed until its id is known: import the publication again with its platform_post_id."
)
_SET_BY: Final[Mapping[Reason, str]] = {
    Reason.RETRY: "our back-off after the last attempt",
    Reason.PAUSED: "a limit or our budget for it",
    Reason.UNCONFIRMED: "our confirmation of a missing post",
    Reason.PROCESSING: "the platform, which is still publishing the post",
    Reason.STOPPED: "the last attempt",
    Reason.QUARANTINED: "our protection against refreshes that kill workers",
}
"""Who or what set the next run of a row that waits for something else than its time."""


@dataclass(frozen=True, slots=True)
class RowState:
    """What decides when a publication runs: its refresh state and its account."""

    publication_id: int
    post_id: str
    account_id: str
    platform: str
    has_id: bool
    """Whether its id at the platform, or its publishing process, is known."""
    state: str
    """The account's state."""
    next_run_at: datetime | None
    reason: str
    claimed_at: datetime | None
    priority: int
    """Above 0: the interactive lane, which a pause of background work does not hold up."""
    state_reason: str | None = None
    state_changed_at: datetime | None = None
    attempted_at: datetime | None = None
    detail: str | None = None
    """The sentence of the last attempt."""


@dataclass(frozen=True, slots=True)
class NextRun:
    """When a publication will really run, and what prevents that it runs now."""

    at: datetime | None
    """``None``: not before somebody acts. An instant that has passed: as soon as a worker is free."""
    holds: tuple[Hold, ...]
    """What holds it back, the last to end first; none: it is due, being refreshed, or simply fresh."""
    sentence: str
    """Why it does not run now, as half a sentence."""
    to_do: str


def next_run(
    row: RowState,
    pauses: Sequence[PauseInForce],
    now: datetime,
    *,
    operators: Mapping[PauseKey, str] | None = None,
    fleet: Hold | None = None,
) -> NextRun:
    """Return when a publication will really run, and why not now.

    ``pauses``: those in force for its account. ``operators``: who placed operators' pauses. ``fleet``: why no
    row of the whole fleet runs now, if that is so (`shared.operations.holds.services.missing_service`).
    """
    if hold := _until_somebody_acts(row):
        return NextRun(None, (hold,), _half(hold.sentence), hold.to_do)
    if row.claimed_at is not None and row.next_run_at is not None and row.next_run_at > now:
        return NextRun(now, (), "a worker is refreshing it", _TO_DO[Reason.CLAIMED])
    due_later = row.next_run_at is not None and row.next_run_at > now
    holds = [of_pause(one, operators) for one in pauses if _delays(one, row, now)]
    if due_later and not (holds and row.reason == Reason.PAUSED):
        holds += _own_hold(row)
    if not due_later and fleet:
        holds.append(fleet)
    at = _latest(row.next_run_at, holds)
    if not holds:
        if due_later:
            return NextRun(at, (), REASONS[Reason(row.reason)], _to_do(row))
        to_do = _WAITING if row.reason == Reason.STALE else _to_do(row)
        lane = "interactive" if row.priority else "background"
        return NextRun(at, (), f"it is due and waits for a worker in the {lane} lane", to_do)
    ordered = tuple(sorted(holds, key=lambda hold: hold.until or _NEVER, reverse=True))
    first = next((hold for hold in ordered if hold.needs_operator), ordered[0])
    return NextRun(at, ordered, _half(first.sentence), first.to_do)


def explain_reason(row: RowState) -> str:
    """Return why the row's stored next run is when it is, as half a sentence."""
    return _NO_ID if row.reason == Reason.STOPPED and not row.has_id else REASONS[Reason(row.reason)]


_NEVER: Final = datetime.max.replace(tzinfo=UTC)


def _delays(pause: PauseInForce, row: RowState, now: datetime) -> bool:
    """Return whether a pause delays the row: one that ends before the row is due does not."""
    if pause.kind.background_only and row.priority:
        return False
    due_at = row.next_run_at or now
    return pause.paused_until > max(due_at, now) or row.reason == Reason.PAUSED


def _latest(next_run_at: datetime | None, holds: Sequence[Hold]) -> datetime | None:
    """Return when the last hold has ended; ``None`` if one lasts until somebody acts."""
    ends = [hold.until for hold in holds]
    if next_run_at is None or None in ends:
        return None
    return max([next_run_at, *(end for end in ends if end is not None)])


def _until_somebody_acts(row: RowState) -> Hold | None:
    """Return why a row has no next run, if it has none; an account that may not be read comes first."""
    if row.state != AccountState.ACTIVE:
        return of_account(row.account_id, row.state, row.state_reason, row.state_changed_at)
    if not row.has_id:
        return _hold(row, "no_id", f"{_NO_ID}.", "the import, which named no id", _IMPORT_ID, operator=True)
    if row.next_run_at is None or row.reason in _POLLED_NO_MORE:
        reason = Reason(row.reason)
        sentence = row.detail if reason is Reason.STOPPED and row.detail else f"{REASONS[reason]}."
        set_by = _SET_BY.get(reason, "the last attempt")
        return _hold(row, row.reason, sentence, set_by, _to_do(row), operator=reason is Reason.QUARANTINED)
    return None


def _own_hold(row: RowState) -> list[Hold]:
    """Return the hold that a row's own state is until its next run; a fresh row has none."""
    reason = Reason(row.reason)
    if reason not in _SET_BY:
        return []
    cause = "budget" if reason is Reason.PAUSED else reason.value
    sentence = row.detail or f"{REASONS[reason]}."
    hold = _hold(row, cause, sentence, _SET_BY[reason], _to_do(row), until=row.next_run_at)
    return [hold]


def _hold(
    row: RowState,
    cause: str,
    sentence: str,
    set_by: str,
    to_do: str,
    *,
    until: datetime | None = None,
    operator: bool = False,
) -> Hold:
    return Hold(cause, "this publication", sentence, set_by, row.attempted_at, until, to_do, operator)


def _to_do(row: RowState) -> str:
    return _TO_DO.get(Reason(row.reason), _WAITING).format(post=row.post_id, id=row.publication_id)


def _half(sentence: str) -> str:
    """Return a sentence as the half of another one."""
    return sentence.rstrip(".")
