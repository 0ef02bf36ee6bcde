"""A connection that died in the pool is replaced before its use, and a live one costs no query."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError

from shared import database
from shared.driver import idle
from shared.driver.statement import Statement

_PID = text("SELECT pg_backend_pid()")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = database.connect(database_url, application="idle", pool_size=1)
    yield engine
    engine.dispose()


def backend(engine: Engine) -> int:
    with engine.connect() as connection:
        pid: int = connection.execute(_PID).scalar_one()
        return pid


def end_session(database_url: str, pid: int) -> None:
    other = database.connect(database_url, application="other")
    with other.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    other.dispose()


def pings(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    made: list[object] = []
    ping = engine.dialect.do_ping

    def counted(connection: DBAPIConnection) -> bool:
        made.append(connection)
        return ping(connection)

    monkeypatch.setattr(engine.dialect, "do_ping", counted)
    return made


def test_session_that_the_server_has_ended_is_replaced(engine: Engine, database_url: str) -> None:
    first = backend(engine)
    end_session(database_url, first)

    assert backend(engine) != first


def test_connection_used_just_now_is_not_pinged(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pings(engine, monkeypatch)

    assert backend(engine) == backend(engine)
    assert made == []


def test_connection_that_was_idle_for_long_is_pinged(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pings(engine, monkeypatch)
    first = backend(engine)
    monkeypatch.setattr(idle, "PING_AFTER_SECONDS", -1)

    assert backend(engine) == first
    assert len(made) == 1


def test_connection_is_pinged_from_five_seconds_after_its_return_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(idle, "time", SimpleNamespace(monotonic=lambda: now[0]))
    made = pings(engine, monkeypatch)
    backend(engine)
    pinged = []
    for seconds in (5.0, 5.0, 5.25, 0.0):
        now[0] += seconds
        backend(engine)
        pinged.append(len(made))

    assert pinged == [0, 0, 1, 1]


def test_connection_that_does_not_answer_the_ping_is_replaced(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = backend(engine)
    monkeypatch.setattr(idle, "PING_AFTER_SECONDS", -1)
    ping = engine.dialect.do_ping
    dead = [first]

    def answer(connection: object) -> bool:
        if connection.info.backend_pid in dead:  # type: ignore[attr-defined] # psycopg's connection
            raise engine.dialect.loaded_dbapi.OperationalError("no answer")
        return ping(connection)  # type: ignore[arg-type] # the same

    monkeypatch.setattr(engine.dialect, "do_ping", answer)

    assert backend(engine) != first


def test_statement_reports_a_lost_connection_like_sqlalchemy(engine: Engine, database_url: str) -> None:
    statement = Statement("SELECT :number + 1 AS next")

    def lost(connection: Connection) -> None:
        end_session(database_url, connection.execute(_PID).scalar_one())
        statement.all(connection, {"number": 1})

    with pytest.raises(OperationalError) as raised, engine.begin() as connection:
        lost(connection)

    assert raised.value.connection_invalidated
    with engine.begin() as connection:
        assert statement.all(connection, {"number": 1})[0].next == 2


def test_statement_runs_inside_the_transaction_of_its_connection(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE probe (n int)"))
        Statement("INSERT INTO probe VALUES (:n)").run(connection, {"n": 7})
        connection.rollback()
    with engine.begin() as connection:
        assert Statement("SELECT to_regclass('probe') AS found").all(connection, {})[0].found is None
