"""Listens for notifications that rows became due, and wakes the scheduler between its ticks."""

import threading
from collections.abc import Callable, Sequence

import psycopg
import structlog
from sqlalchemy.engine import make_url

from shared.database import CONNECT_TIMEOUT_SECONDS, PSYCOPG_AWAY
from shared.refresh_state.notifications import DUE_CHANNEL

_POLL_SECONDS = 1.0
_RECONNECT_SECONDS = 2.0
_log = structlog.get_logger(__name__)


def listen(url: str, wake: Callable[[Sequence[str]], object], stopping: threading.Event) -> None:
    """Call ``wake`` with the payloads of notifications whenever rows were made due, until ``stopping``.

    Without notifications the same happens a tick later; so a lost connection is only logged and made again.
    """
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    while not stopping.is_set():
        try:
            with psycopg.connect(
                conninfo,
                autocommit=True,
                application_name="dravo-scheduler-listener",
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
            ) as connection:
                connection.execute(f"LISTEN {DUE_CHANNEL}")
                while not stopping.is_set():
                    # Notifications that arrive together are answered by one tick.
                    if notifications := list(connection.notifies(timeout=_POLL_SECONDS, stop_after=1)):
                        wake([one.payload for one in notifications])
        except PSYCOPG_AWAY as error:
            _log.warning("listener_disconnected", detail=type(error).__name__)
            stopping.wait(_RECONNECT_SECONDS)
        except Exception:  # noqa: BLE001 - without this thread, rows that became due wait for the clock
            _log.exception("listener_failed")
            stopping.wait(_RECONNECT_SECONDS)
