"""Sentences for operators about a row's next run: why it is when it is, and what to do."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from shared.quota.pauses import PauseInForce
from shared.vocabulary import AccountState, PauseKind, Platform, Reason, SyncStatus

REASONS = {
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

_NO_ID = (
    "It cannot be refreshed until its id is known: import the publication again with its platform_post_id."
)
_ADVICE = {
    Reason.RETRY: "Nothing: it is retried automatically; the last attempt's detail says what failed.",
    Reason.PAUSED: "Nothing: it continues automatically when the pause ends.",
    Reason.UNCONFIRMED: "Nothing, or `dravo resync --post {post}` if the post is known to exist.",
    Reason.PROCESSING: "Nothing: the id is requested again then; a private post never gets one.",
    Reason.STOPPED: "Nothing; `dravo resync --post {post}` fetches it again all the same.",
    Reason.QUARANTINED: "Look for its id in the workers' logs, then `dravo quarantine release {id}`.",
    Reason.CLAIMED: "Nothing: a worker is refreshing it.",
    Reason.STALE: "Nothing; `dravo resync --post {post}` fetches it now.",
}
_STOPS = {
    PauseKind.CREDITS: "An operator must add credits, or raise the cap, in {platform}'s developer portal",
    PauseKind.MISCONFIGURED: "An operator must repair our application at {platform}: its state in the"
    " developer console, its secret, its API version",
    PauseKind.BLOCKED: "An operator must have {platform} clear the block of account {subject}",
}
_RESUME = "An operator has paused it: `dravo pauses` shows what and why, `dravo resume` lifts it."
_WAITING = "Nothing: it is due; if it stays so, see `dravo status` for schedulers, workers and queues."


def explain_reason(row: Row[Any]) -> str:
    """Return why the row's next run is when it is; ``row`` has ``reason`` and the ids at the platform."""
    if row.reason == Reason.STOPPED and not _has_id(row):
        return "its id at the platform is not known yet"
    return REASONS[Reason(row.reason)]


def stop_advice(stop: PauseInForce) -> str:
    """Return what an operator must do about a stop."""
    platform, account = Platform(stop.platform), f" --account {stop.subject}" if stop.subject else ""
    remedy = _STOPS[stop.kind].format(platform=platform.label, subject=stop.subject)
    return f"{remedy}; then `dravo resume --platform {platform.value}{account} --try`."


def advice(row: Row[Any], pauses: Sequence[PauseInForce]) -> str:
    """Return what an operator should do about the row, or that nothing is to be done."""
    if row.state != AccountState.ACTIVE:
        sentence = row.state_reason or "The account must be connected again."
        return f"{sentence} Its owner reconnects it; then import its new token, or send account.reconnected."
    if not _has_id(row):
        return _NO_ID
    if any(pause.kind.by_operator for pause in pauses):
        return _RESUME
    if stop := next((pause for pause in pauses if pause.kind.needs_operator), None):
        return stop_advice(stop)
    if pauses:
        return _ADVICE[Reason.PAUSED]
    if row.reason == Reason.RETRY and row.sync_status == SyncStatus.FAILED:
        return "See the last attempt's detail; retries continue at a slower pace."
    return _ADVICE.get(Reason(row.reason), _WAITING).format(post=row.post_id, id=row.id)


def _has_id(row: Row[Any]) -> bool:
    return (row.platform_post_id or row.publish_id) is not None
