"""Scheduler and worker may do in the database what their work needs, and nothing else."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from structlog.testing import capture_logs

from shared import database
from shared.partitions import ensure_partitions
from tests.scenarios import House, house


@pytest.fixture
def home(database_url: str) -> Iterator[House]:
    with house(database_url) as opened:
        opened.publications(opened.account("acc_1"))
        yield opened


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("dravo_scheduler", "UPDATE accounts SET sealed_access_token = ''"),
        ("dravo_scheduler", "UPDATE post_analytics SET metrics = '{}'"),
        ("dravo_scheduler", "SELECT * FROM api_keys"),
        ("dravo_scheduler", "SELECT * FROM snapshots"),
        ("dravo_scheduler", "DELETE FROM publications"),
        ("dravo_scheduler", "DROP TABLE snapshots"),
        ("dravo_worker", "INSERT INTO accounts (account_id) VALUES ('acc_2')"),
        ("dravo_worker", "UPDATE publications SET workspace_id = 'ws_2'"),
        ("dravo_worker", "DELETE FROM publications"),
        ("dravo_worker", "DELETE FROM snapshots"),
        ("dravo_worker", "SELECT * FROM api_keys"),
        ("dravo_worker", "SELECT * FROM operator_acts"),
        ("dravo_worker", "SELECT make_snapshot_partition('2040-01-01')"),
    ],
)
def test_role_is_refused_what_its_service_does_not_do(home: House, role: str, statement: str) -> None:
    engine = home.scheduler if role == "dravo_scheduler" else home.tools.engine
    with engine.begin() as connection:
        assert connection.execute(text("SELECT current_user")).scalar_one() == role

        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            connection.execute(text(statement))


def test_scheduler_makes_partitions_of_a_table_that_it_does_not_own(home: House) -> None:
    with home.engine.begin() as connection:
        newest = connection.execute(
            text("SELECT max(relname) FROM pg_class WHERE relname ~ '^snapshots_[0-9]{4}_[0-9]{2}$'")
        ).scalar_one()
        connection.execute(text(f"DROP TABLE {newest}"))

    with home.scheduler.begin() as connection:
        made = ensure_partitions(connection)

    assert made == [newest]
    with home.tools.engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM snapshots")).scalar_one() == 0


def test_function_of_the_owner_does_not_look_tables_up_in_the_schema_of_its_caller(home: House) -> None:
    with home.scheduler.begin() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE snapshots_2040_01 ()"))
        connection.execute(text("CREATE TEMPORARY TABLE snapshots_default (taken_at timestamptz)"))

        assert connection.execute(text("SELECT make_snapshot_partition('2040-01-01')")).scalar_one() is True


def test_every_session_of_a_pool_keeps_its_role_after_an_error(home: House) -> None:
    engine = home.scheduler
    for _ in range(2):
        with engine.connect() as connection, pytest.raises(ProgrammingError):
            connection.execute(text("SELECT * FROM api_keys"))

    with engine.connect() as one, engine.connect() as other:
        for connection in (one, other):
            assert connection.execute(text("SELECT current_user")).scalar_one() == "dravo_scheduler"


def test_missing_role_is_a_warning_and_the_user_s_rights_stay(empty_database_url: str, home: House) -> None:
    engine = database.connect(empty_database_url, application="tests", role="dravo_worker")
    with capture_logs() as logged:
        database.warn_without_role(engine, "dravo_worker")
        database.warn_without_role(home.tools.engine, "dravo_worker")

    engine.dispose()
    assert [(line["event"], line["role"]) for line in logged] == [("database_role_missing", "dravo_worker")]
