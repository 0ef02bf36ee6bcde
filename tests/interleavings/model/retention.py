"""Retention as operations: the rolling up of a month, rows that expire, and the end of a month."""

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine

from shared.retention import months
from shared.retention.expiry import units
from shared.retention.months import READINGS, Month
from shared.retention.policy import Retention
from shared.retention.roll_up import roll_up
from shared.retention.run import WaitingError, step
from tests.interleavings.model.environment import Environment, operation
from tests.interleavings.model.world import CLAIMED

_POLICY: Final = Retention.parse("on,tiktok:gone=24h,tiktok:disconnected=24h,tiktok:readings=6h")
_MONTHS: Final = Retention.parse("on,readings=400d,linkedin:readings=300d")


def _expire(unit_name: str, _environment: Environment, engine: Engine) -> Any:
    (unit,) = (one for one in units(_POLICY) if one.name == unit_name)
    with engine.begin() as connection:
        return unit.run(connection)


def _this_month(connection: Connection) -> Month:
    first = datetime.now(UTC).date().replace(day=1)
    return next(one for one in months.months(connection, READINGS) if one.start == first)


def _roll_up(_environment: Environment, engine: Engine) -> Any:
    with engine.begin() as connection:
        return roll_up(connection, _this_month(connection), _POLICY)


def _step(_environment: Environment, engine: Engine) -> Any:
    with suppress(WaitingError):
        return step(engine, _MONTHS)
    return None


_GONE: Final = f"""
UPDATE post_analytics SET outcome = 'gone', sync_status = 'failed', attempted_at = now() - interval '2 days'
 WHERE publication_id = {CLAIMED};
"""
_LONG_DISCONNECTED: Final = "UPDATE accounts SET state_changed_at = now() - interval '2 days';"
_EXPIRES: Final = "INSERT INTO retention_runs (unit) VALUES ('explored') ON CONFLICT DO NOTHING;"
RETENTION: Final = [
    operation("purge_gone_post", partial(_expire, "gone tiktok"), "active", _GONE),
    operation(
        "erase_disconnected", partial(_expire, "disconnected tiktok"), "disconnected", _LONG_DISCONNECTED
    ),
    operation("expire_readings", partial(_expire, "snapshots tiktok"), "active", _EXPIRES),
    operation("roll_up", _roll_up, "active", "DELETE FROM retention_runs;"),
    operation("detach_month", _step, "ended_month"),
]
