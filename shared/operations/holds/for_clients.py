"""Why a publication does not run now, as API clients read it: without operators' names and reasons."""

from datetime import UTC, datetime
from typing import Final

from shared.operations.holds.hold import Hold
from shared.operations.holds.next_run import NextRun
from shared.vocabulary import AccountState, PauseKind, Platform, Reason

_ACCOUNT: Final = "the account must be reconnected first"
_BY_CAUSE: Final = {
    AccountState.REQUIRES_RECONNECT.value: _ACCOUNT,
    AccountState.DISCONNECTED.value: _ACCOUNT,
    Reason.QUARANTINED.value: "its refresh failed in an unusual way, and operators must look at it first",
    Reason.STOPPED.value: "it is no longer refreshed",
    "no_id": "its id at {platform} is not known yet",
    Reason.RETRY.value: "the last attempt did not succeed",
    Reason.UNCONFIRMED.value: "{platform} did not find the post; the next refresh confirms or refutes that",
    Reason.PROCESSING.value: "{platform} has not published the post under a public id yet",
    PauseKind.CREDITS.value: "{platform} is not read for now; operators are alerted",
    PauseKind.MISCONFIGURED.value: "{platform} is not read for now; operators are alerted",
    PauseKind.BLOCKED.value: "the account is not read for now; operators are alerted",
    PauseKind.BREAKER.value: "{platform} has temporary problems",
}
_LIMIT: Final = "a limit of {platform} is reached"
_PAUSED: Final = "refreshes are paused"


def sentence_for_clients(run: NextRun, platform: str, now: datetime) -> str:
    """Return why a row has not been refreshed, and when it will be if that is known, as half a sentence."""
    if not run.holds:
        if run.at is not None and run.at > now:
            return f"the refresh is scheduled for {_instant(run.at)}"
        return f"{run.sentence}; these are the last known values"
    hold = next((one for one in run.holds if one.needs_operator), run.holds[0])
    when = f"; it is tried again from {_instant(run.at)}" if run.at is not None and run.at > now else ""
    return f"not refreshed: {_cause(hold, platform)}{when}"


def _cause(hold: Hold, platform: str) -> str:
    by_operator = hold.cause.startswith("operator_")
    sentence = _PAUSED if by_operator else _BY_CAUSE.get(hold.cause, _LIMIT)
    return sentence.format(platform=Platform(platform).label)


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
