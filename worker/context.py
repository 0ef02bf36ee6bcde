"""What a refresh works with: the collaborators of its process, and the values known once it has started."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine

from shared.accounts.vault import Vault
from shared.quota.pauses import PauseInForce
from shared.settings import Settings
from shared.vocabulary import Lane, Platform
from worker.adapters.contract import Adapter
from worker.claims import StartedRow
from worker.clock import DatabaseClock
from worker.credentials.tokens import StoredAccount
from worker.http.client import Client
from worker.outcomes.outcome import Policy
from worker.predictions import PredictionCounter
from worker.queue.lending import Lending, nothing_lent
from worker.quota.fleet import FleetBudgets


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The collaborators that all jobs of a worker process share."""

    settings: Settings
    engine: Engine
    vault: Vault
    client: Client
    clock: DatabaseClock
    adapters: Mapping[Platform, Adapter]
    budgets: FleetBudgets
    predictions: PredictionCounter = field(default_factory=PredictionCounter)
    lending: Lending = field(default_factory=nothing_lent)
    worker_id: str = "unnamed"
    """The name under which this process reports that it is alive."""


@dataclass(frozen=True, slots=True)
class RefreshRun:
    """One refresh whose claims have started: its account, its rows, and the rules that hold for it."""

    stored: StoredAccount
    rows: tuple[StartedRow, ...]
    """The rows to fetch."""
    poison: tuple[StartedRow, ...]
    """The rows that were started too often without a finish: they are quarantined, not fetched."""
    pauses: tuple[PauseInForce, ...]
    """The pauses in force for the account and for its platform's endpoints, the longest first."""
    lane: Lane
    policy: Policy
    request_id: str
    """Of this job, in the log and in the timelines of its publications."""
    began: float
    """The instant of `DatabaseClock.monotonic` at which the job began."""
    lease_began: float
    """The instant of `DatabaseClock.monotonic` before the claims were started."""
