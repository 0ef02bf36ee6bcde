"""An operation in a thread with a connection of its own, which stops before every step."""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Self

import psycopg
from sqlalchemy import Engine, event

from shared import database
from tests.interleavings.engine.footprint import Step, step_of

_DEADLOCK = "40P01"
_STEP_SECONDS = 30.0


class Abandoned(BaseException):
    """Raised in an operation to end it and roll back its transaction."""


class _DirectCursor(psycopg.Cursor[Any]):
    """Reports the statements that `shared.driver.statement` runs without SQLAlchemy: their text is bytes."""

    def __init__(
        self,
        before: Callable[[str, psycopg.Connection[Any]], None],
        failed: Callable[[object], None],
        connection: psycopg.Connection[Any],
        **options: Any,
    ) -> None:
        super().__init__(connection, **options)
        self._before, self._failed = before, failed

    def execute(self, query: Any, *arguments: Any, **options: Any) -> Self:
        """Execute it when the explorer lets it."""
        if not isinstance(query, bytes):
            return super().execute(query, *arguments, **options)
        self._before(query.decode(), self.connection)
        try:
            return super().execute(query, *arguments, **options)
        except psycopg.Error as error:
            self._failed(error)
            raise


class Session:
    """A connection that operations run on, one at a time, each stopped before every step until `resume`."""

    def __init__(self, url: str, number: int) -> None:
        self.number = number
        self.engine: Engine = database.connect(url, application=f"session-{number}", pool_size=2)
        self.step: Step | None = None
        """The step that it is about to execute."""
        self.pid = 0
        self.waiting = False
        """Whether its step waits for a lock that another session holds."""
        self.done = True
        self.result: Any = None
        self.error: BaseException | None = None
        self.deadlocks = 0
        self.trace: list[str] = []
        self._arrived = threading.Event()
        self._go = threading.Semaphore(0)
        self._abandoned = False
        self._written: set[str] = set()
        self._begun = False
        self._thread: threading.Thread | None = None
        self._listen()

    def begin(self, run: Callable[[Engine], Any]) -> None:
        """Start an operation; it is stopped before its first step, or done, when this returns."""
        self.step, self.done, self.waiting, self.result, self.error = None, False, False, None, None
        self.deadlocks, self.trace, self._abandoned = 0, [], False
        self._written, self._begun = set(), False
        self._arrived.clear()
        self._go = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(run,), daemon=True)
        self._thread.start()
        if not self.arrived(_STEP_SECONDS):
            raise AssertionError("an operation neither reached a statement nor ended")

    def resume(self) -> None:
        """Let it execute its step and run up to the next one."""
        self._arrived.clear()
        self._go.release()

    def arrived(self, seconds: float) -> bool:
        """Return whether it stops before a step or ends within so many seconds."""
        return self._arrived.wait(seconds)

    def abandon(self) -> None:
        """Abandon the operation, if it has not ended."""
        if not self.done:
            self._abandoned = True
            self._go.release()

    def join(self) -> None:
        """Wait until the operation has ended."""
        if self._thread is not None:
            self._thread.join(_STEP_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def _run(self, run: Callable[[Engine], Any]) -> None:
        try:
            self.result = run(self.engine)
        except Abandoned:
            pass
        except BaseException as error:  # noqa: BLE001 - an operation's error is a result
            self.error = error
        self.step, self.done = None, True
        self._arrived.set()

    def _stop(self, step: Step) -> None:
        self.step = step
        self.trace.append(step.label)
        self._arrived.set()
        self._go.acquire()
        if self._abandoned:
            raise Abandoned

    def _before(self, statement: str, connection: psycopg.Connection[Any]) -> None:
        self.pid = connection.info.backend_pid
        step = step_of(statement, begins=not self._begun)
        if step is not None and connection.autocommit:
            self._stop(replace(step, begins=True, several=bool(step.writes)))
        elif step is not None:
            self._stop(step)
            self._begun = True
            self._written |= step.writes

    def _deadlocked(self, error: object) -> None:
        self.deadlocks += getattr(error, "sqlstate", None) == _DEADLOCK

    def _listen(self) -> None:
        @event.listens_for(self.engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            connection.cursor_factory = partial(_DirectCursor, self._before, self._deadlocked)
            connection.autocommit = True
            connection.execute("SET deadlock_timeout = '10ms'")
            connection.autocommit = False

        @event.listens_for(self.engine, "before_cursor_execute")
        def before(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            self._before(statement, connection.connection.driver_connection)

        @event.listens_for(self.engine, "commit")
        def commit(_connection: Any) -> None:
            written, self._written, self._begun = frozenset(self._written), set(), False
            if written:
                self._stop(Step("COMMIT", writes=written, commits=True))

        @event.listens_for(self.engine, "rollback")
        def rollback(_connection: Any) -> None:
            self._written, self._begun = set(), False

        @event.listens_for(self.engine, "handle_error")
        def error(context: Any) -> None:
            self._deadlocked(context.original_exception)
