"""What an operator should know of a row's next run, and do: one sentence for each state it can be in."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from shared.quota.pauses import PauseInForce
from shared.vocabulary import AccountState, Reason, SyncStatus

REASONS = {
    Reason.NEW: "it is new and its first snapshot is wanted at once",
    Reason.STALE: "its numbers are stale from then on",
    Reason.READ: "a read touched it while it was stale",
    Reason.FORCED: "a read with refresh=true asked for it",
    Reason.MANUAL: "`dravo resync` asked for it",
    Reason.RECONNECTED: "its account was reconnected",
    Reason.CLAIMED: "a worker has it; should that worker die, its lease ends then",
    Reason.RETRY: "the last attempt did not succeed and is repeated then",
    Reason.PAUSED: "a limit, a budget or a pause ends then",
    Reason.UNCONFIRMED: "the post was missing once; the second look confirms or clears that",
    Reason.PROCESSING: "the platform has not given the post its public id yet",
    Reason.STOPPED: "polling has ended",
    Reason.BLOCKED: "its account may not be read",
    Reason.QUARANTINED: "its refresh started several times and never finished, so it is set aside",
}
"""Why a row runs next when it does, as half a sentence."""

_NO_ID = "Nothing can be asked until the id arrives: import the publication again with its platform_post_id."
_ADVICE = {
    Reason.RETRY: "Nothing: it is tried again by itself; the last attempt tells what came in between.",
    Reason.PAUSED: "Nothing: it goes on by itself when the pause ends.",
    Reason.UNCONFIRMED: "Nothing, or `dravo resync --post {post}` if the post is known to exist.",
    Reason.PROCESSING: "Nothing: the id is looked for again then; a private post never gets one.",
    Reason.STOPPED: "Nothing; `dravo resync --post {post}` asks the platform again all the same.",
    Reason.QUARANTINED: "Look for its id in the workers' logs, then `dravo quarantine release {id}`.",
    Reason.CLAIMED: "Nothing: the answer is on its way.",
    Reason.STALE: "Nothing; `dravo resync --post {post}` asks the platform now.",
}
_RESUME = "An operator has paused it: `dravo pauses` tells what and why, `dravo resume` lifts it."
_WAITING = "Nothing: it is due; if it stays so, see `dravo status` for schedulers, workers and queues."


def explain_reason(row: Row[Any]) -> str:
    """Return why the row runs next when it does; ``row`` has ``reason`` and the ids at the platform."""
    if row.reason == Reason.STOPPED and not _has_id(row):
        return "its id at the platform is not known yet"
    return REASONS[Reason(row.reason)]


def advice(row: Row[Any], pauses: Sequence[PauseInForce]) -> str:
    """Return what an operator should do about the row, or that nothing is to be done."""
    if row.state != AccountState.ACTIVE:
        said = row.state_reason or "The account must be connected again."
        return f"{said} Its owner reconnects it; then import its new token, or send account.reconnected."
    if not _has_id(row):
        return _NO_ID
    if any(pause.kind.by_operator for pause in pauses):
        return _RESUME
    if pauses:
        return _ADVICE[Reason.PAUSED]
    if row.reason == Reason.RETRY and row.sync_status == SyncStatus.FAILED:
        return "See the last attempt's detail; it goes on being tried, at a slower pace."
    return _ADVICE.get(Reason(row.reason), _WAITING).format(post=row.post_id, id=row.id)


def _has_id(row: Row[Any]) -> bool:
    return (row.platform_post_id or row.publish_id) is not None
