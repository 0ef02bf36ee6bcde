"""``dravo up | migrate | api | worker | scheduler | sender``: start services, or migrate the schema."""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from deploy import console, stores
from deploy.console import AsJson
from shared.settings import load


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(epilog="Example: dravo up --data-dir /var/tmp/dravo")(up)
    app.command(epilog="It is safe to run twice, also at the same time.")(migrate)
    app.command(epilog="Example: DRAVO_API_PORT=9000 dravo api")(api)
    app.command(epilog="Example: DRAVO_WORKER_THREADS=16 dravo worker")(worker)
    app.command(epilog="Any number of senders may run: an endpoint has one claim at a time.")(sender)
    app.command(epilog="Any number of schedulers may run: a row has one claim at a time.")(scheduler)


def up(
    data_dir: Annotated[
        Path | None, typer.Option(help="Directory that keeps the data between runs.", show_default=".dravo/")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Run the whole system on this machine until Ctrl-C."""
    from deploy.local.up import run  # here: no other command needs servers, simulators and demo data

    _log_as(as_json=as_json)
    raise typer.Exit(run(data_dir=data_dir or Path(load().data_dir)))


def migrate(*, as_json: AsJson = False) -> None:
    """Migrate the database schema to the newest revision.

    JSON: ``from`` and ``revision`` (the schema's revision before and after; ``from`` is null for a new one).
    """
    from alembic.runtime.migration import MigrationContext  # here: no other command needs Alembic

    from shared.database import check_reachable
    from shared.database import migrate as bring_to_head

    settings = load("database_url")
    with stores.engine(settings) as engine:
        check_reachable(engine)
        with engine.connect() as connection:
            before = MigrationContext.configure(connection).get_current_revision()
        bring_to_head(settings.database)
        with engine.connect() as connection:
            after = MigrationContext.configure(connection).get_current_revision()
    if as_json:
        console.emit({"from": before, "revision": after})
    else:
        console.show(
            f"schema at {after}" + (" already" if before == after else f", from {before or 'nothing'}")
        )


def api(*, as_json: AsJson = False) -> None:
    """Serve the read API until stopped.

    With ``--json``, logs are JSON.
    """
    _become("api_stub", as_json=as_json)


def worker(*, as_json: AsJson = False) -> None:
    """Fetch analytics from the platforms, job by job, until stopped.

    With ``--json``, logs are JSON.
    """
    _become("worker", as_json=as_json)


def scheduler(*, as_json: AsJson = False) -> None:
    """Claim due rows and enqueue refresh jobs for them until stopped.

    With ``--json``, logs are JSON.
    """
    _become("scheduler", as_json=as_json)


def sender(*, as_json: AsJson = False) -> None:
    """Deliver changes to webhook endpoints until stopped.

    With ``--json``, logs are JSON.
    """
    _become("worker.webhooks", as_json=as_json)


def _become(package: str, *, as_json: bool) -> NoReturn:
    """Replace this process by a service, so that it keeps the process id for signals and supervisors."""
    _log_as(as_json=as_json)
    console.flush()
    # -P: a package of the same name in the current directory must not run instead.
    os.execv(sys.executable, [sys.executable, "-P", "-m", package])  # noqa: S606 - our own package


def _log_as(*, as_json: bool) -> None:
    if as_json:
        os.environ["DRAVO_LOG_FORMAT"] = "json"
