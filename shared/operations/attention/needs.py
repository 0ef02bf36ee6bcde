"""The ranked lines of what needs an operator: one rule for each alert that stored figures can decide."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Final

from sqlalchemy import Connection

from shared.operations import thresholds
from shared.operations.attention.figures import Figures, read_figures
from shared.operations.attention.need import Need
from shared.operations.attention.webhooks import disabled_webhooks
from shared.operations.holds.hold import remedy, remedy_of_accounts, scope_name
from shared.outcome_kinds import OutcomeKind
from shared.quota.pauses import EVERY_PLATFORM, PauseInForce
from shared.vocabulary import AccountState, PauseKind, PauseSubject, Platform

MOST: Final = 5
"""Lines at most: the first are what to do first."""

_LIMITS: Final = frozenset({PauseKind.APP, PauseKind.ENDPOINT, PauseKind.BREAKER})
"""The kinds of pause that DravoParked is about."""
_UNDECIDED: Final = "The next call decides whether it continues."


@dataclass(frozen=True, slots=True)
class Attention:
    """What needs an operator now."""

    needs: tuple[Need, ...]
    """At most `MOST`, the most urgent first."""
    more: int
    """How many further ones there are."""
    known: bool
    """Whether the figures are known; if not, the absence of needs says nothing."""

    @property
    def all_well(self) -> bool:
        """Whether nothing needs an operator."""
        return self.known and not self.needs


def needs_you_now(connection: Connection) -> Attention:
    """Return what needs an operator now. Reads the summary that a scheduler writes; counts no rows."""
    return rank(read_figures(connection))


def rank(figures: Figures) -> Attention:
    """Return the needs that these figures show: critical ones first, then by how many publications age."""
    needs = [need for rule in _RULES for need in rule(figures)]
    needs.sort(key=lambda need: (need.severity != "critical", -(need.ageing or 0)))
    return Attention(tuple(needs[:MOST]), max(0, len(needs) - MOST), known=bool(figures.live))


def _services(figures: Figures) -> Iterator[Need]:
    age = figures.age
    if age is not None and age > timedelta(seconds=thresholds.NO_SCHEDULER_SECONDS):
        to_do = "Start a scheduler: `dravo scheduler`. All other figures are as old as that."
        yield Need("DravoNoScheduler", "critical", "No scheduler reports", to_do, figures.counted_at)
    elif figures.live.get("redis_error"):
        to_do = "Start Redis, or check DRAVO_REDIS_URL: nothing is handed out without it."
        yield Need("DravoFleetUnknown", "critical", "Redis does not answer", to_do)
    elif figures.live.get("workers") == {}:
        yield Need("DravoNoWorkers", "critical", "No worker is alive", "Start a worker: `dravo worker`.")


def _stops(figures: Figures) -> Iterator[Need]:
    ordered = sorted(figures.stops, key=lambda stop: (stop.platform, stop.kind))
    for (platform, _), group in groupby(ordered, key=lambda stop: (stop.platform, stop.kind)):
        stops = list(group)
        first, is_one = stops[0], len(stops) == 1
        tried = any(stop.is_tried(figures.now) for stop in stops)
        name = scope_name(first.key) if is_one else f"{len(stops)} accounts on {Platform(platform).label}"
        state = ("is" if is_one else "are") + (" being tried" if tried else " stopped")
        account = {"account": first.subject} if is_one and first.subject else {}
        yield Need(
            "DravoOperatorNeeded",
            "critical",
            f"{name} {state}: {_half(first.reason)}",
            _UNDECIDED if tried else remedy(first) if is_one else remedy_of_accounts(first),
            since=min(stop.paused_at for stop in stops),
            ageing=figures.ageing_of_blocked(platform) if first.subject else figures.ageing(platform),
            action="try",
            subject={"platform": platform, **account},
            rows=account or {"platform": platform},
        )


def _stuck(figures: Figures) -> Iterator[Need]:
    if stuck := figures.live.get("stuck") or 0:
        cause = f"{_rows(stuck)} stuck: no tick, read or re-sync reaches them"
        to_do = "`dravo status` lists them and `dravo why` explains each; the runbook says what to do."
        yield Need("DravoRowsStuck", "critical", cause, to_do, ageing=stuck)


def _overdue(figures: Figures) -> Iterator[Need]:
    for platform, paused, seconds in figures.live.get("overdue", []):
        if not paused and seconds > thresholds.OVERDUE_SECONDS:
            yield Need(
                "DravoOverdue",
                "critical",
                f"{Platform(platform).label} is late: publications are due and nothing pauses them",
                "Add workers, or see whether the platform is slow or down: the runbook lists the causes.",
                since=figures.now - timedelta(seconds=seconds),
                ageing=figures.by_platform("due").get(platform),
                subject={"platform": platform},
                rows={"platform": platform, "due": "1"},
            )


def _refused(figures: Figures) -> Iterator[Need]:
    stopped = {stop.platform for stop in figures.stops if stop.kind is PauseKind.MISCONFIGURED}
    refused: dict[str, list[tuple[int, str]]] = {}
    for platform, outcome, cause, rows in figures.rows.get("causes", []):
        if outcome == OutcomeKind.MISCONFIGURED and platform not in stopped:
            refused.setdefault(platform, []).append((rows, cause))
    for platform, causes in refused.items():
        rows = sum(number for number, _ in causes)
        yield Need(
            "DravoPlatformRefusesUs",
            "critical",
            f"{Platform(platform).label}: {_rows(rows)} refused: {_half(max(causes)[1])}",
            "Correct our configuration or application; rows recover at their next retry, or at once with"
            f" `dravo resync --platform {platform}`.",
            ageing=rows,
            subject={"platform": platform},
            rows={"platform": platform, "outcome": OutcomeKind.MISCONFIGURED.value},
        )


def _not_fresh(figures: Figures) -> Iterator[Need]:
    stopped = {stop.platform for stop in figures.stops if not stop.subject}
    fresh, least = figures.by_platform("fresh"), timedelta(seconds=thresholds.NOT_FRESH_FOR_SECONDS)
    for platform, polled in figures.by_platform("polled").items():
        since = figures.not_fresh_since.get(platform)
        share = fresh.get(platform, 0) / polled if polled else 1.0
        if share >= thresholds.FRESH_SHARE or platform in stopped:
            continue
        if since is None or figures.now - since < least:
            continue
        pause = _pause_of(figures, platform)
        by_operator = pause is not None and pause.kind is PauseKind.OPERATOR_PLATFORM
        everywhere = pause is not None and pause.platform == EVERY_PLATFORM
        yield Need(
            "DravoNotFresh",
            "warning",
            f"{Platform(platform).label}: only {share:.1%} of the polled rows are fresh"
            + (f"; {_paused_by(figures, pause)}" if pause else ""),
            remedy(pause)
            if pause
            else "Add workers, or see what most rows wait for: the runbook lists causes.",
            since=since,
            ageing=figures.ageing(platform),
            action="resume" if by_operator else None,
            subject={"all": "1"} if everywhere else {"platform": platform},
            rows={"platform": platform},
        )


def _pause_of(figures: Figures, platform: str) -> PauseInForce | None:
    """Return the pause that holds a whole platform for longest, if one does."""
    whole = [
        pause
        for pause in figures.pauses
        if pause.platform in {platform, EVERY_PLATFORM}
        and (pause.kind.subject is PauseSubject.PLATFORM or not pause.subject)
    ]
    return max(whole, key=lambda pause: pause.paused_until, default=None)


def _paused_by(figures: Figures, pause: PauseInForce) -> str:
    operator = figures.operators.get(pause.key)
    return f"it is paused{f' by {operator}' if operator else ''}: {_half(pause.reason)}"


def _paused(figures: Figures) -> Iterator[Need]:
    for pause in figures.pauses:
        left = pause.paused_until - figures.now
        if pause.kind in _LIMITS and left > timedelta(seconds=thresholds.PAUSED_SECONDS):
            yield Need(
                "DravoParked",
                "warning",
                f"{scope_name(pause.key)} is paused: {_half(pause.reason)}",
                remedy(pause),
                since=pause.paused_at,
                ageing=figures.ageing(pause.platform),
                subject={"platform": pause.platform},
                rows={"platform": pause.platform},
            )


def _failing(figures: Figures) -> Iterator[Need]:
    for platform, (failing, refreshes) in figures.failing.items():
        if refreshes and failing > thresholds.FAILING_SHARE * refreshes:
            yield Need(
                "DravoRefreshesFail",
                "warning",
                f"{Platform(platform).label}: {failing / refreshes:.0%} of the refreshes fail",
                "See the failures by cause: each sentence says what the platform answered.",
                ageing=failing,
                subject={"platform": platform},
                rows={"platform": platform, "reason": "retry"},
            )


def _reconnect(figures: Figures) -> Iterator[Need]:
    counts: dict[str, dict[str, int]] = {}
    for platform, state, accounts in figures.live.get("accounts", []):
        counts.setdefault(platform, {})[state] = accounts
    for platform, by_state in counts.items():
        locked = by_state.get(AccountState.REQUIRES_RECONNECT, 0)
        connected = locked + by_state.get(AccountState.ACTIVE, 0)
        if locked > thresholds.RECONNECT_SHARE * connected:
            yield Need(
                "DravoAccountsNeedReconnect",
                "warning",
                f"{Platform(platform).label}: {locked} of {connected} accounts must be connected again",
                _how_to_reconnect(locked, connected),
                ageing=figures.locked(platform),
                subject={"platform": platform},
                rows={"platform": platform, "status": "requires_reconnect"},
            )


def _how_to_reconnect(locked: int, connected: int) -> str:
    if locked >= thresholds.MANY_RECONNECTS and locked >= thresholds.MANY_RECONNECTS_SHARE * connected:
        return (
            "So many have one cause: revoked permissions, a changed application secret, or a scope that the"
            " consent screen lost. Compare the reasons in `dravo accounts`."
        )
    if locked == 1:
        return "Ask its owner to connect it again; `dravo accounts` says why it must be."
    return "Ask their owners to connect them again; `dravo accounts` says why each must be."


def _quarantine(figures: Figures) -> Iterator[Need]:
    if rows := figures.live.get("quarantined") or 0:
        cause = f"{_rows(rows)} in quarantine: each refresh was started several times and never finished"
        to_do = "`dravo quarantine list` names them: look for their ids in the workers' logs. Then"
        to_do += " `dravo quarantine release ID`."
        yield Need("DravoQuarantine", "warning", cause, to_do, ageing=rows, rows={"reason": "quarantined"})


def _rows(number: int) -> str:
    return "1 publication" if number == 1 else f"{number:,} publications"


def _half(sentence: str) -> str:
    """Return a sentence as the half of another one."""
    return sentence.rstrip(".")


_RULES: Final = (
    _services,
    _stops,
    _stuck,
    _overdue,
    _refused,
    _not_fresh,
    _paused,
    _failing,
    _reconnect,
    _quarantine,
    disabled_webhooks,
)
