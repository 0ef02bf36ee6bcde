"""The doorbell: a listening connection that wakes the scheduler between its ticks."""

import threading
from collections.abc import Callable, Sequence

import psycopg
import structlog
from sqlalchemy.engine import make_url

from shared.database import CONNECT_TIMEOUT_SECONDS
from shared.refresh_state.notifications import DUE_CHANNEL

_POLL_SECONDS = 1.0
_RECONNECT_SECONDS = 2.0
_log = structlog.get_logger(__name__)


def listen(url: str, wake: Callable[[Sequence[str]], object], stopping: threading.Event) -> None:
    """Call ``wake`` with what was said whenever rows were made due, until ``stopping``.

    Without it everything still happens, a tick later; so trouble here is only logged, and tried again.
    """
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    while not stopping.is_set():
        try:
            with psycopg.connect(
                conninfo,
                autocommit=True,
                application_name="dravo-scheduler-doorbell",
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
            ) as connection:
                connection.execute(f"LISTEN {DUE_CHANNEL}")
                while not stopping.is_set():
                    # Rings that came together are answered by one tick.
                    if rings := list(connection.notifies(timeout=_POLL_SECONDS, stop_after=1)):
                        wake([ring.payload for ring in rings])
        except psycopg.OperationalError as error:
            _log.warning("doorbell_lost", detail=type(error).__name__)
            stopping.wait(_RECONNECT_SECONDS)
