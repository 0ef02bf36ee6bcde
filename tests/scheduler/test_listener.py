"""The scheduler goes on listening for rows that became due."""

import threading
from collections.abc import Sequence

import psycopg
from sqlalchemy.engine import make_url

from scheduler.listener import listen
from shared.refresh_state.notifications import DUE_CHANNEL
from tests.faults.harness.waiting import wait_until


def test_failed_tick_does_not_end_the_listening(database_url: str) -> None:
    stopping, woken = threading.Event(), threading.Semaphore(0)

    def wake(_payloads: Sequence[str]) -> None:
        woken.release()
        raise ValueError

    thread = threading.Thread(target=listen, args=(database_url, wake, stopping))
    thread.start()
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)

    def notified() -> bool:
        connection.execute(f"NOTIFY {DUE_CHANNEL}")
        return woken.acquire(timeout=0.1)

    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(2):
            wait_until(notified, 30, "the listener wakes the scheduler")
    stopping.set()
    thread.join(timeout=30)

    assert not thread.is_alive()
