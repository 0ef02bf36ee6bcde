"""The explorer finds lost updates and deadlocks, runs no interleaving twice, and replays schedules."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest
from sqlalchemy import Engine, text

from shared.driver.statement import Statement
from tests.interleavings.engine.explorer import Run, Runnable, SessionController, explore
from tests.interleavings.engine.schedule import Schedule, follow
from tests.servers import connect

_READ = "SELECT refusals FROM pauses WHERE platform = 'x'"
_WRITE = "UPDATE pauses SET refusals = :refusals WHERE platform = 'x'"


@pytest.fixture
def controller(database_url: str) -> Iterator[SessionController]:
    opened = SessionController(database_url, sessions=2)
    try:
        yield opened
    finally:
        opened.close()


def _count_up(lock: str, engine: Engine) -> None:
    with engine.begin() as connection:
        refusals = connection.execute(text(_READ + lock)).scalar_one()
        connection.execute(text(_WRITE), {"refusals": refusals + 1})


def _crossing(first: str, second: str, engine: Engine) -> None:
    with engine.begin() as connection:
        for platform in (first, second):
            connection.execute(text(_WRITE.replace("'x'", ":one")), {"refusals": 9, "one": platform})


@pytest.fixture
def reset(database_url: str) -> Iterator[Callable[[Sequence[Runnable]], Sequence[Runnable]]]:
    with connect(database_url) as connection:

        def put_back(operations: Sequence[Runnable]) -> Sequence[Runnable]:
            connection.execute("DELETE FROM pauses")
            for platform in ("x", "tiktok"):
                connection.execute(
                    "INSERT INTO pauses (platform, kind, subject, paused_until, reason, refusals)"
                    " VALUES (%s, 'app', '', now(), 'r', 0)",
                    [platform],
                )
            return operations

        yield put_back


def _runs(
    controller: SessionController,
    reset: Callable[[Sequence[Runnable]], Sequence[Runnable]],
    *operations: Runnable,
) -> list[Run]:
    return list(explore(controller, partial(reset, operations), most=100))


def test_unlocked_read_before_write_loses_an_update_in_some_interleaving(
    controller: SessionController, reset: Callable[[Sequence[Runnable]], Sequence[Runnable]]
) -> None:
    operations = [partial(_count_up, "")] * 2
    counted = []
    for run in explore(controller, partial(reset, operations), most=100):
        row = controller.watch.execute(_READ).fetchone()
        counted.append((run.switches, row[0] if row else None))

    assert {refusals for _, refusals in counted} == {1, 2}
    assert min(switches for switches, refusals in counted if refusals == 1) == 2


def test_locked_read_before_write_loses_no_update(
    controller: SessionController, reset: Callable[[Sequence[Runnable]], Sequence[Runnable]]
) -> None:
    operations = [partial(_count_up, " FOR UPDATE")] * 2
    for run in explore(controller, partial(reset, operations), most=100):
        assert controller.watch.execute(_READ).fetchone() == (2,), run.choices


def test_locks_taken_in_two_orders_deadlock_in_some_interleaving(
    controller: SessionController, reset: Callable[[Sequence[Runnable]], Sequence[Runnable]]
) -> None:
    runs = _runs(controller, reset, partial(_crossing, "x", "tiktok"), partial(_crossing, "tiktok", "x"))

    assert {run.deadlocks for run in runs} == {0, 1}


def test_statement_that_runs_without_sqlalchemy_is_a_step(
    controller: SessionController, reset: Callable[[Sequence[Runnable]], Sequence[Runnable]]
) -> None:
    def count_up(engine: Engine) -> None:
        with engine.begin() as connection:
            (row,) = Statement(_READ).all(connection, {})
            Statement(_WRITE).run(connection, {"refusals": row.refusals + 1})

    run = _runs(controller, reset, count_up)[0]

    assert run.labels == ("SELECT pauses", "UPDATE pauses", "COMMIT")


def test_statement_that_commits_at_once_is_run_before_and_after_a_read(
    controller: SessionController, reset: Callable[[Sequence[Runnable]], Sequence[Runnable]]
) -> None:
    def write(engine: Engine) -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(_WRITE), {"refusals": 7})

    def read(engine: Engine) -> int:
        with engine.connect() as connection:
            return int(connection.execute(text(_READ)).scalar_one())

    assert {run.results[1] for run in _runs(controller, reset, write, read)} == {0, 7}


def test_no_interleaving_is_run_twice(
    controller: SessionController, reset: Callable[[Sequence[Runnable]], Sequence[Runnable]]
) -> None:
    runs = _runs(controller, reset, partial(_count_up, ""), partial(_count_up, ""))

    assert len({run.choices for run in runs}) == len(runs)


def test_interleavings_with_few_switches_are_run_before_those_with_many(
    controller: SessionController, reset: Callable[[Sequence[Runnable]], Sequence[Runnable]]
) -> None:
    runs = _runs(controller, reset, partial(_count_up, ""), partial(_count_up, ""))

    # The last step of a run may need one switch more than the choice that it was planned for.
    switches = [run.switches for run in runs]
    assert max(switches) > 2
    assert all(one <= later + 1 for place, one in enumerate(switches) for later in switches[place:])


def test_written_schedule_replays_the_run(
    controller: SessionController, reset: Callable[[Sequence[Runnable]], Sequence[Runnable]]
) -> None:
    operations = [partial(_count_up, "")] * 2
    for run in _runs(controller, reset, *operations):
        schedule = Schedule.parse(str(Schedule.of("any", ("one", "two"), run)))
        replayed = follow(controller, reset(operations), schedule)

        first = run.choices[0]  # sessions are numbered by their first segment
        assert replayed.choices == tuple(1 if one == first else 2 for one in run.choices)
