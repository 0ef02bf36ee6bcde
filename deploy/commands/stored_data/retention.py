"""``dravo retention``: what is kept how long, what would go, and a run by hand."""

import time
from collections.abc import Iterator
from typing import Any

import typer
from sqlalchemy import Engine

from deploy import console, stores
from deploy.console import AsJson, CommandError
from shared.bounded import Count
from shared.retention.policy import Limit, Retention
from shared.retention.run import Done, Run, WaitingError, may_run, rest_after
from shared.retention.status import ClassStatus, Forecast, forecast
from shared.retention.status import status as status_of
from shared.settings import load

retention = typer.Typer(help="Show and run the removal of old data.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(retention, name="retention")


@retention.command(epilog="Example: dravo retention status --json")
def status(*, as_json: AsJson = False) -> None:
    """Show each class of data: how long it is kept, its size, and what is beyond its limit.

    Nothing is removed unless DRAVO_RETENTION begins with on; the command shows what that would do.

    JSON: ``enabled``, ``classes`` (array of ``class``, ``group``, ``limit_seconds`` (null: without end),
    ``rows``, ``bytes``, ``expired``, ``estimated``, ``expired_bytes``), ``forecast`` (``bytes_now``,
    ``bytes_a_day``, ``steady_bytes``).
    """
    settings = load("database_url")
    policy = Retention.parse(settings.retention)
    with stores.transaction(settings) as connection:
        classes, disk = status_of(connection, policy), forecast(connection, policy)
    if as_json:
        console.emit(
            {"enabled": policy.enabled, "classes": [_shape(one) for one in classes], "forecast": _disk(disk)}
        )
        return
    headings = ["class", "of", "kept for", "rows", "size", "expired", "their size"]
    rows = [
        [
            one.kind,
            one.group or "all",
            limit_text(one.limit),
            _number(one.rows),
            None if one.bytes is None else _size(one.bytes),
            _number(one.expired),
            _size(one.expired_bytes) if one.expired_bytes else None,
        ]
        for one in classes
    ]
    console.show(console.table(headings, rows, right=["rows", "size", "expired", "their size"]))
    steady = "without end" if disk.steady_bytes is None else f"up to {_size(disk.steady_bytes)}"
    console.show(f"readings grow by {_size(disk.bytes_a_day)} a day, {steady}")
    if not policy.enabled:
        console.show("DRAVO_RETENTION is off: nothing is removed")


@retention.command(epilog="Example: dravo retention run")
def run(*, as_json: AsJson = False) -> None:
    """Remove what is beyond its limit now, at most one month of history; for fleets whose schedulers may not.

    Rests after each step, so that refreshes and readers go on; it may take hours. Killed anywhere, the next
    run continues.

    JSON: an array of ``what``, ``subject``, ``rows``.
    """
    settings = load("database_url")
    policy = Retention.parse(settings.retention)
    if not policy.enabled:
        raise CommandError("DRAVO_RETENTION is off: nothing is removed")
    steps: list[dict[str, Any]] = []
    with stores.engine(settings) as engine:
        for done in _steps(engine, policy):
            step = {"what": done.what, "subject": done.subject, "rows": done.rows}
            if steps and (steps[-1]["what"], steps[-1]["subject"]) == (done.what, done.subject):
                steps[-1]["rows"] += done.rows
                continue
            steps.append(step)
            if not as_json:
                console.show(f"{done.what} {done.subject}")
    if as_json:
        console.emit(steps)
    else:
        console.show("nothing else is due" if steps else "nothing is due")


def _steps(engine: Engine, policy: Retention) -> Iterator[Done]:
    """Yield the steps of a run, with rests between them."""
    with engine.connect() as connection:
        if not may_run(connection):
            raise CommandError(
                "only the owner of the tables may remove a month: use the DRAVO_DATABASE_URL of"
                " `dravo migrate`"
            )
    one_run = Run(engine, policy)
    try:
        began = time.monotonic()
        while (done := one_run.step()) is not None:
            took = time.monotonic() - began
            yield done
            if not done.again:
                break
            time.sleep(rest_after(took).total_seconds())
            began = time.monotonic()
    except WaitingError as error:
        raise CommandError(f"another session holds a lock: try again later ({error})") from error


def limit_text(limit: Limit) -> str:
    """Return a limit for people."""
    if limit is None:
        return "without end"
    if not limit:
        return "not at all"
    return f"{limit.days} d" if limit.days > 2 else f"{int(limit.total_seconds() // 3600)} h"


def _number(counted: Count | None) -> str | int | None:
    if counted is None:
        return None
    return f"about {counted.rows}" if counted.estimated else counted.rows


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _shape(one: ClassStatus) -> dict[str, Any]:
    return {
        "class": one.kind.value,
        "group": one.group.value if one.group else None,
        "limit_seconds": None if one.limit is None else int(one.limit.total_seconds()),
        "rows": None if one.rows is None else one.rows.rows,
        "bytes": one.bytes,
        "expired": None if one.expired is None else one.expired.rows,
        "estimated": any(counted is not None and counted.estimated for counted in (one.rows, one.expired)),
        "expired_bytes": one.expired_bytes,
    }


def _disk(disk: Forecast) -> dict[str, Any]:
    steady = None if disk.steady_bytes is None else int(disk.steady_bytes)
    return {"bytes_now": disk.bytes_now, "bytes_a_day": int(disk.bytes_a_day), "steady_bytes": steady}
