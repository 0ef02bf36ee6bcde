"""``dravo status``: shows rows, queues, pauses and workers of the whole fleet, once or live."""

import time
from contextlib import closing
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from deploy import console, stores
from deploy.commands import why
from deploy.commands.presentation.fleet import fleet_screen
from deploy.commands.presentation.needs import attention_shape
from deploy.commands.presentation.pauses import shape
from deploy.console import AsJson, UsageError, instant
from deploy.watch.screen import UNKNOWN, Watch, run
from shared.freshness.policy import Freshness
from shared.operations.attention.needs import needs_you_now
from shared.operations.fleet import (
    Delay,
    accounts_by_state,
    claimed,
    due,
    oldest_overdue,
    quarantined,
    scheduling_delays,
)
from shared.operations.thresholds import OVERDUE_SECONDS
from shared.quota import spending
from shared.quota.pauses import pauses_in_force
from shared.refresh_state.invariants import stuck
from shared.settings import Settings, SettingsError, load
from shared.vocabulary import AccountState, Lane, SyncStatus
from shared.webhooks.endpoints import list_endpoints

_ROWS = """
SELECT p.platform, pa.sync_status, count(*) AS rows
  FROM post_analytics pa JOIN publications p ON p.id = pa.publication_id
 GROUP BY 1, 2
"""

Interval = Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two screens of --watch.")]


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog="Examples: dravo status\n\ndravo status --watch\n\ndravo status --json | jq .due")(
        status
    )


def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Update the screen until Ctrl-C.")] = False,
    interval: Interval = 2.0,
    as_json: AsJson = False,
) -> None:
    """Show the fleet: rows by status, due and claimed rows, queues, pauses, workers.

    Exits 1 when Redis cannot be reached: queues and workers are then unknown.

    JSON: ``needs_you`` (what needs an operator now, the most urgent first, at most five: array of ``alert``,
    ``severity``, ``cause``, ``since``, ``ageing`` (publications whose numbers grow old meanwhile), ``to_do``,
    ``subject``, ``rows``), ``more_needs`` (how many others there are), ``all_well`` (false also while the
    figures are not known); ``at``; ``rows`` (array of ``platform``, each sync status, ``total``, ``due``,
    ``claimed``, ``oldest_overdue_at``); ``due``, ``claimed``, ``quarantined``; ``stuck`` (array of
    ``publication_id``, ``account_id``, ``platform``, ``breach``: rows that need an operator, at most 1,000);
    ``oldest_overdue_at``, ``oldest_overdue_seconds`` (of rows that no pause holds up); ``delays`` (from due
    to started, the workspaces that wait longest first, at most 20: array of ``workspace_id``,
    ``waiting_seconds`` (of its longest due row; null: none waits), ``started_seconds`` (of those that are
    being refreshed; null: none is), ``late`` (beyond ``delay_threshold_seconds``)),
    ``delay_threshold_seconds`` (that of the alert DravoOverdue); ``accounts`` (count
    by state); ``pauses`` (as in
    `dravo pauses`); ``spending`` (``reads_today``, ``reads_this_month``, ``dollars_today``,
    ``dollars_this_month`` of post reads that X bills, in UTC); ``webhooks`` (array of ``endpoint_id``,
    ``workspace_id``, ``state``, ``failing_since``, ``failure``: those that fail for an hour or are disabled);
    ``queues`` (waiting messages by lane),
    ``workers`` (array of ``worker_id``, ``threads``), both null when Redis is out of reach, and
    ``redis_error`` (a sentence, or null).
    """
    if watch and as_json:
        raise UsageError("--watch updates a screen: give --json without it, as often as needed")
    settings = load("database_url")
    with stores.engine(settings) as engine:
        if watch:
            _watch(engine, settings, interval)
            return
        fleet = fleet_status(engine, settings)
    if as_json:
        console.emit(fleet)
    else:
        console.show(fleet_screen(fleet))
    if fleet["redis_error"]:
        console.complain(f"dravo: {fleet['redis_error']}")
        raise typer.Exit(1)


def fleet_status(engine: Engine, settings: Settings) -> dict[str, Any]:
    """Return the fleet's state in the JSON shape of `status`."""
    with engine.connect() as connection:
        fleet = {
            **attention_shape(needs_you_now(connection)),
            **_from_database(connection),
            "spending": _spending(connection, settings),
        }
    queues, workers, error = _from_redis(settings)
    return fleet | {"queues": queues, "workers": workers, "redis_error": error}


def _from_database(connection: Connection) -> dict[str, Any]:
    now = connection.execute(text("SELECT now()")).scalar_one()
    platforms: dict[str, dict[str, Any]] = {}
    for row in connection.execute(text(_ROWS)):
        platforms.setdefault(row.platform, _no_rows(row.platform))[row.sync_status] = row.rows
    for name, by_platform in (("due", due(connection)), ("claimed", claimed(connection))):
        for platform, number in by_platform.items():
            if number:
                platforms.setdefault(platform, _no_rows(platform))[name] = number
    waiting = [one for one in oldest_overdue(connection) if not one.paused]
    overdue = {one.platform: one.due_at for one in waiting if one.due_at}
    for platform, due_at in overdue.items():
        platforms.setdefault(platform, _no_rows(platform))["oldest_overdue_at"] = instant(due_at)
    oldest = min(overdue.values(), default=None)
    for counts in platforms.values():
        counts["total"] = sum(counts[one.value] for one in SyncStatus)
    states = dict.fromkeys((one.value for one in AccountState), 0)
    for (_, state), number in accounts_by_state(connection).items():
        states[state] += number
    rows = [platforms[name] for name in sorted(platforms)]
    return {
        "at": instant(now),
        "rows": rows,
        "due": sum(counts["due"] for counts in rows),
        "claimed": sum(counts["claimed"] for counts in rows),
        "quarantined": quarantined(connection),
        "stuck": [{**asdict(row), "publication_id": str(row.publication_id)} for row in stuck(connection)],
        "oldest_overdue_at": instant(oldest),
        "oldest_overdue_seconds": (now - oldest).total_seconds() if oldest else None,
        "delays": [_delay(one) for one in scheduling_delays(connection)],
        "delay_threshold_seconds": OVERDUE_SECONDS,
        "accounts": states,
        "pauses": [shape(pause) for pause in pauses_in_force(connection)],
        "webhooks": _webhooks(connection),
    }


def _delay(delay: Delay) -> dict[str, Any]:
    known = [one for one in (delay.waiting_seconds, delay.started_seconds) if one is not None]
    return {**asdict(delay), "late": max(known, default=0.0) > OVERDUE_SECONDS}


_FAILING_FOR = timedelta(hours=1)


def _webhooks(connection: Connection) -> list[dict[str, Any]]:
    """Return the webhook endpoints that have failed for an hour or were disabled."""
    now = connection.execute(text("SELECT now()")).scalar_one()
    return [
        {
            "endpoint_id": one.endpoint_id,
            "workspace_id": one.workspace_id,
            "state": one.state,
            "failing_since": instant(one.failing_since),
            "failure": one.failure or one.state_reason,
        }
        for one in list_endpoints(connection)
        if one.state == "disabled" or (one.failing_since and now - one.failing_since >= _FAILING_FOR)
    ]


def _spending(connection: Connection, settings: Settings) -> dict[str, Any]:
    billed = spending.billed_reads(connection)
    return {
        "reads_today": billed.today,
        "reads_this_month": billed.this_month,
        "dollars_today": spending.dollars(billed.today, settings),
        "dollars_this_month": spending.dollars(billed.this_month, settings),
    }


def _no_rows(platform: str) -> dict[str, Any]:
    return {
        "platform": platform,
        **dict.fromkeys((one.value for one in SyncStatus), 0),
        "total": 0,
        "due": 0,
        "claimed": 0,
        "oldest_overdue_at": None,
    }


def _from_redis(
    settings: Settings,
) -> tuple[dict[str, int] | None, list[dict[str, Any]] | None, str | None]:
    """Return queue depths, workers, and why both are unknown; unknown is ``None``, never 0."""
    from redis import RedisError  # here: no other command uses the queue

    from shared.redis_client import connect
    from shared.refresh_queue import depth, workers_alive

    try:
        with closing(connect(settings.redis)) as client:
            queues = {lane.value: depth(client, lane) for lane in Lane}
            alive = sorted(workers_alive(client).items())
    except SettingsError as error:
        return None, None, f"{error}: queues and workers are unknown"
    except RedisError:
        return None, None, "Redis does not answer: queues and workers are unknown (check DRAVO_REDIS_URL)"
    return queues, [{"worker_id": worker, "threads": threads} for worker, threads in alive], None


def _watch(engine: Engine, settings: Settings, interval: float) -> None:
    out = console.stdout_console()
    if not out.is_terminal:
        while console.show(_current_fleet_screen(engine, settings), Text()):
            time.sleep(interval)
        return
    policy = Freshness.parse(settings.freshness)
    watch = Watch(
        engine,
        overview=lambda: fleet_screen(fleet_status(engine, settings)),
        explain=lambda connection, publication_id: why.screen_of(connection, publication_id, policy),
    )
    run(watch, out, interval)


def _current_fleet_screen(engine: Engine, settings: Settings) -> Group:
    """Return the screen; while the database does not answer, it says so, and the watch continues."""
    try:
        return fleet_screen(fleet_status(engine, settings))
    except OperationalError:
        return Group(Text(UNKNOWN))
