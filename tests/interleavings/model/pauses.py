"""Pauses and budgets as operations."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection, Engine

from shared.operations.pause import Scope, pause_scope, resume_scope
from shared.quota import pauses, spending
from shared.quota.pauses import EVERY_PLATFORM, PauseKey
from shared.vocabulary import PauseKind
from tests.interleavings.model.environment import OPERATOR, Environment, in_transaction, operation
from tests.interleavings.model.world import ACCOUNT

MOST_READS: Final = 112
"""Of a day: enough for one of two jobs that read for money, after the 100 that the world begins with."""


def _pause(connection: Connection) -> None:
    pause_scope(connection, OPERATOR, Scope(account_id=ACCOUNT), "explored")


def _shorten_pause(connection: Connection) -> None:
    key = PauseKey(EVERY_PLATFORM, PauseKind.OPERATOR_ACCOUNT, ACCOUNT)
    pauses.shorten(connection, key, datetime.now(UTC) + timedelta(minutes=2))


def _read_for_money(_environment: Environment, engine: Engine) -> None:
    """Reserve reads and settle them, in a transaction each."""
    with engine.begin() as connection:
        reserved = spending.reserve(connection, 10, spending.Caps(MOST_READS, 2**62))
    if isinstance(reserved, spending.Reservation):
        with engine.begin() as connection:
            spending.settle(connection, reserved, 10)


def _raise_budget(connection: Connection) -> bool:
    return spending.lift_pause_after_budget_increase(connection, spending.Caps(2**62, 2**62))


PAUSES: Final = [
    operation("pause", partial(in_transaction, _pause), "active paused disconnected erasing"),
    operation(
        "resume",
        partial(
            in_transaction,
            lambda connection: resume_scope(connection, OPERATOR, Scope(account_id=ACCOUNT)),
        ),
        "paused",
    ),
    operation("shorten_pause", partial(in_transaction, _shorten_pause), "paused"),
    operation("read_for_money", _read_for_money, "spent"),
    operation("raise_budget", partial(in_transaction, _raise_budget), "spent"),
]
