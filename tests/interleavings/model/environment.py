"""What every operation runs in, and how an operation is described."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy import Connection, Engine

from shared.accounts.vault import Vault, new_key
from shared.operations.audit_log import Operator
from shared.refresh_queue import RefreshJob
from shared.vocabulary import Platform
from tests.harness import Harness, Script, ScriptedAdapter, open_harness
from tests.interleavings.model.world import ACCOUNT, CLAIMED, CLAIMED_WITHOUT_ID
from worker.clock import DatabaseClock
from worker.context import WorkerContext
from worker.errors import RefreshError
from worker.readings import Tokens

OPERATOR: Final = Operator("explorer", "command")
JOB: Final = RefreshJob(ACCOUNT, ((CLAIMED_WITHOUT_ID, 5), (CLAIMED, 5)))
"""In an order that is not that of the ids, as a claim may return its rows."""
PLATFORM_JOBS: Final = 4
_ALL: Final = frozenset({"active", "disconnected", "expiring", "paused", "spent"})


@dataclass(frozen=True, slots=True)
class Environment:
    """What operations need in addition to their connection."""

    harness: Harness
    rotated_vault: Vault
    """The harness's vault with the other key first."""
    received: set[str] = field(default_factory=set)
    """The rows that a webhook's receiver has got in this run."""

    def context(
        self, engine: Engine, script: Script, renewal: Tokens | RefreshError | None = None
    ) -> WorkerContext:
        """Return the context of a separate worker on a session's connection."""
        adapter = ScriptedAdapter(script, renewal=renewal)
        return replace(
            self.harness.context,
            engine=engine,
            clock=DatabaseClock(),
            adapters=dict.fromkeys(Platform, adapter),
        )


@contextmanager
def environment(url: str) -> Iterator[Environment]:
    """Open the environment. Its vault has two keys, and a raised budget at X ends the pause."""
    first, second = SecretStr(new_key()), SecretStr(new_key())
    with open_harness(url, x_monthly_budget_dollars=1000) as harness:
        context = replace(harness.context, vault=Vault([first, second]))
        yield Environment(replace(harness, context=context), Vault([second, first]))


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation, and the worlds in which it has an effect."""

    name: str
    run: Callable[[Environment, Engine], Any]
    worlds: frozenset[str]
    prepare: str = ""
    """Statements that prepare its world."""


def operation(
    name: str, run: Callable[[Environment, Engine], Any], worlds: str = "", prepare: str = ""
) -> Operation:
    """Describe an operation; ``worlds`` are separated by spaces, and all worlds when it is empty."""
    return Operation(name, run, frozenset(worlds.split()) or _ALL, prepare)


def new_tokens() -> Tokens:
    """Return the pair of tokens that a renewal brings."""
    return Tokens(
        SecretStr("access-2"), datetime.now(UTC) + timedelta(days=1), refresh_token=SecretStr("refresh-2")
    )


def in_transaction(function: Callable[[Connection], Any], _environment: Environment, engine: Engine) -> Any:
    """Run a function of a connection in a transaction of its own."""
    with engine.begin() as connection:
        return function(connection)
