"""One thing that holds work back, and how each kind of pause and each state of an account is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from shared.quota import spending
from shared.quota.pauses import EVERY_PLATFORM, PauseInForce, PauseKey
from shared.vocabulary import AccountState, PauseKind, PauseSubject, Platform

ITS_OWNER: Final = "the account's owner"
NOTHING: Final = "Nothing: it continues automatically when the pause ends."
_BUDGET: Final = (
    "Nothing: it continues when the next period begins; or raise DRAVO_X_DAILY_BUDGET_DOLLARS,"
    " DRAVO_X_MONTHLY_BUDGET_DOLLARS or DRAVO_X_MONTHLY_READS and restart scheduler and workers."
)
_REMEDIES: Final[Mapping[PauseKind, str]] = {
    PauseKind.CREDITS: "An operator must add credits, or raise the cap, in {platform}'s developer portal",
    PauseKind.MISCONFIGURED: "An operator must repair our application at {platform}: its state in the"
    " developer console, its secret, its API version",
    PauseKind.BLOCKED: "An operator must have {platform} clear the block of account {subject}",
}

# An operator's pause and its audit entry are written in one transaction, so their instants are equal.
_WHO: Final = text("""
SELECT acted_at, operator FROM operator_acts WHERE act = 'pause' AND acted_at = ANY(:instants)
""")


@dataclass(frozen=True, slots=True)
class Hold:
    """One thing that holds work back."""

    cause: str
    """A `PauseKind`, a state of the account, a reason of the row, or ``budget``, ``no_id``, ``no_worker``,
    ``no_scheduler``."""
    scope: str
    """What it holds, for people: ``X``, ``account acc_1``, ``this publication``."""
    sentence: str
    set_by: str
    """Who or what set it, for people."""
    since: datetime | None
    """``None``: not recorded."""
    until: datetime | None
    """``None``: until somebody acts."""
    to_do: str
    needs_operator: bool = False
    """Whether it lasts until an operator acts."""


def of_pause(pause: PauseInForce, operators: Mapping[PauseKey, str] | None = None) -> Hold:
    """Return a pause as a hold; ``operators``: who placed operators' pauses (`placed_by`)."""
    return Hold(
        cause=pause.kind.value,
        scope=scope_name(pause.key),
        sentence=pause.reason,
        set_by=_set_by(pause, (operators or {}).get(pause.key)),
        since=pause.paused_at,
        until=pause.ends_at,
        to_do=remedy(pause),
        needs_operator=pause.kind.needs_operator or pause.ends_at is None,
    )


def of_account(account_id: str, state: str, reason: str | None, since: datetime | None) -> Hold:
    """Return the hold of an account that may not be read."""
    disconnected = state == AccountState.DISCONNECTED
    sentence = reason or ("The account was disconnected." if disconnected else "It must be connected again.")
    return Hold(
        cause=state,
        scope=f"account {account_id}",
        sentence=sentence,
        set_by=ITS_OWNER if disconnected else "the platform, which refuses the account's authorization",
        since=since,
        until=None,
        to_do=f"{sentence} Its owner reconnects it; then import its new token, or send account.reconnected.",
    )


def remedy(pause: PauseInForce) -> str:
    """Return what an operator should do about a pause, or that nothing is to be done."""
    if pause.kind.by_operator:
        return f"An operator has paused it: `{resume_command(pause.key)}` lifts it."
    if pause.kind.needs_operator:
        platform = Platform(pause.platform)
        sentence = _REMEDIES[pause.kind].format(platform=platform.label, subject=pause.subject)
        return f"{sentence}; then `{resume_command(pause.key)}`."
    return _BUDGET if pause.key == spending.PAUSE else NOTHING


def remedy_of_accounts(stop: PauseInForce) -> str:
    """Return what to do about several accounts of a platform that are stopped as this one is."""
    platform = Platform(stop.platform)
    sentence = f"An operator must have {platform.label} clear the block of each account"
    return f"{sentence}; then `{resume_command(replace(stop.key, subject=''))}`."


def resume_command(key: PauseKey) -> str:
    """Return the command that lifts an operator's pause, or tries a stop."""
    words = ["dravo resume"]
    if key.platform != EVERY_PLATFORM:
        words.append(f"--platform {key.platform}")
    if key.subject and key.kind.subject in {PauseSubject.ACCOUNT, PauseSubject.WORKSPACE}:
        words.append(f"--{key.kind.subject.value} {key.subject}")
    if len(words) == 1:
        words.append("--all")
    return " ".join([*words, "--try"] if key.kind.needs_operator else words)


def scope_name(key: PauseKey) -> str:
    """Return what a pause covers, for people."""
    platform = "" if key.platform == EVERY_PLATFORM else Platform(key.platform).label
    if not key.subject or key == spending.PAUSE:
        return platform or "everything"
    return f"{key.kind.subject.value} {key.subject}" + (f" on {platform}" if platform else "")


def placed_by(connection: Connection, pauses: Sequence[PauseInForce]) -> dict[PauseKey, str]:
    """Return who placed operators' pauses, by their keys, as the audit log names them."""
    placed = {pause.paused_at: pause.key for pause in pauses if pause.kind.by_operator}
    if not placed:
        return {}
    rows = connection.execute(_WHO, {"instants": list(placed)})
    return {placed[row.acted_at]: row.operator for row in rows}


def _set_by(pause: PauseInForce, operator: str | None) -> str:
    if pause.kind.by_operator:
        return operator or "an operator"
    if pause.key == spending.PAUSE:
        return "our budget for reads at X"
    platform = Platform(pause.platform).label
    if pause.kind is PauseKind.BREAKER:
        return f"our circuit breaker, because {platform} fails"
    if pause.kind is PauseKind.BACKGROUND:
        return f"our budget for {platform}, of which most is used"
    return platform if pause.kind.needs_operator else f"{platform}'s limit"
