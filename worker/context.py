"""What a refresh works with: the context of its process, and the fetch under way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from shared.accounts.vault import Vault
from shared.quota.pauses import PauseInForce
from shared.quota.spending import Reservation
from shared.settings import Settings
from shared.vocabulary import Lane, PauseSubject, Platform
from worker import outcomes
from worker.adapters.contract import Adapter
from worker.claims import StartedRow
from worker.clock import DatabaseClock
from worker.errors import RefreshError
from worker.http.client import Client
from worker.outcomes import Outcome
from worker.quota.gate import FleetBudgets, JobBudget
from worker.readings import Account


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker process holds for all of its jobs."""

    settings: Settings
    engine: Engine
    vault: Vault
    client: Client
    clock: DatabaseClock
    adapters: Mapping[Platform, Adapter]
    observe: Callable[[Platform, Outcome], None] = lambda _platform, _outcome: None
    budgets: FleetBudgets | None = None
    """``None``: no limit but the platforms' own pauses; for tests of everything else."""


def budget_of(
    context: WorkerContext, account: Account, lane: Lane, paused: Sequence[PauseInForce]
) -> JobBudget:
    """Return the budgets of a job for this account; ``paused``: the pauses in force, the longest first."""
    return JobBudget(
        context.budgets, account.account_id, account.platform, lane, paused, now=context.clock.now
    )


def pause_of_whole_job(paused: Sequence[PauseInForce], lane: Lane) -> PauseInForce | None:
    """Return the pause that ends a whole job; one of an endpoint ends what asks that endpoint."""
    for pause in paused:
        if pause.kind.background_only and lane is not Lane.BACKGROUND:
            continue
        if not _of_endpoint(pause) or not pause.subject:
            return pause
    return None


def _of_endpoint(pause: PauseInForce) -> bool:
    return pause.kind.subject is PauseSubject.ENDPOINT


@dataclass(slots=True)
class Read:
    """A read under way: what has been judged, and what still waits for its reading."""

    waiting: dict[int, StartedRow]
    budget: JobBudget
    judged: list[Outcome] = field(default_factory=list)
    """Outcomes that are not recorded yet."""
    kept: list[Outcome] = field(default_factory=list)
    """Outcomes that were recorded while the job was under way."""
    ended_by: RefreshError | None = None
    reservation: Reservation | None = None
    """Reads that cost money, set aside for this job."""

    def judge(self, verdict: Callable[[StartedRow], Outcome]) -> None:
        """Judge every row that still waits, all by the same verdict."""
        self.judged += [verdict(row) for row in self.waiting.values()]
        self.waiting.clear()

    def block(self, state_reason: str | None) -> None:
        """Judge every row that still waits: its account may not be read."""
        sentence = state_reason or "The account is not connected."
        self.judge(lambda row: outcomes.blocked(row, sentence))
