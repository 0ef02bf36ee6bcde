"""The check of a pooled connection before its use, without a round trip where that is possible.

A server that ended a session has closed its socket, which can be seen without a query. Only a server that
vanished without a word, with its machine or network, must be asked; a connection that was used seconds ago is
not.
"""

import select
import time
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

PING_AFTER_SECONDS: Final = 5.0
"""A connection that has been idle for this long is asked with a query before its use."""

_RETURNED: Final = "returned_at"


def check_before_use(engine: Engine) -> None:
    """Replace the engine's dead connections when they are taken from the pool."""

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info[_RETURNED] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def check(connection: Any, record: Any, _proxy: Any) -> None:
        if _is_closed(connection):
            raise DisconnectionError("the server has ended this session")
        idle = time.monotonic() - record.info.get(_RETURNED, time.monotonic())
        if idle > PING_AFTER_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except psycopg.Error as error:
                raise DisconnectionError("the server does not answer") from error


def _is_closed(connection: "psycopg.Connection[Any]") -> bool:
    """Return whether the server has sent anything to an idle session: its end, or a notice before that."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
