"""The fleet's state as `dravo status` shows it to people."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from deploy import console
from deploy.commands.presentation.needs import attention_lines
from deploy.commands.presentation.pauses import subject_name, until
from deploy.console import duration
from deploy.local import running
from deploy.tables import readable
from shared.vocabulary import SyncStatus

_MOST_DELAYS: Final = 5
_COLUMNS: Final = {
    "platform": "platform",
    SyncStatus.SYNCED.value: "synced",
    SyncStatus.PARTIAL.value: "partial",
    SyncStatus.PENDING.value: "pending",
    SyncStatus.FAILED.value: "failed",
    SyncStatus.REQUIRES_RECONNECT.value: "reconnect",
    "total": "total",
    "due": "due",
    "claimed": "claimed",
}
"""The columns of the table, under headings that fit 80 columns."""


def fleet_screen(fleet: Mapping[str, Any]) -> Group:
    """Return the fleet's state, in the JSON shape of `dravo status`, as a screen."""
    headings = list(_COLUMNS.values())
    rows = ([row[name] for name in _COLUMNS] for row in fleet["rows"])
    parts: list[Any] = [
        *attention_lines(fleet),
        Text(),
        console.table(headings, rows, right=headings[1:], optional=("total", "claimed", "pending")),
        Text(),
        Text(_overdue(fleet)),
        *_delays(fleet),
        Text("accounts: " + ", ".join(f"{count} {state}" for state, count in fleet["accounts"].items())),
        Text(f"quarantined: {fleet['quarantined']}"),
        Text(_stuck(fleet["stuck"])),
        Text(_spent(fleet["spending"])),
        Text(_queues(fleet)),
        Text(_workers(fleet)),
        *(Text(console.readable(console.plain(_paused(pause))), style="yellow") for pause in fleet["pauses"]),
        *(Text(console.plain(_webhook(one))) for one in fleet["webhooks"]),
        *([Text(f"here: {api}/docs, {api}/ops")] if (api := os.environ.get(running.API_URL)) else []),
        Text(readable(f"at {fleet['at']}", now=None), style="dim"),
    ]
    return Group(*parts)


def _webhook(one: dict[str, Any]) -> str:
    since = f" since {one['failing_since']}" if one["failing_since"] else ""
    return f"webhook {one['endpoint_id']} of {one['workspace_id']}: {one['state']}{since}: {one['failure']}"


def _paused(pause: dict[str, Any]) -> str:
    return f"paused: {subject_name(pause)} {until(pause)}"


def _stuck(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "stuck: none"
    first = ", ".join(f"{row['publication_id']} ({row['breach']})" for row in rows[:3])
    return f"stuck: {len(rows)}, see `dravo why`: {first}" + (", …" if len(rows) > 3 else "")


def _spent(spent: dict[str, Any]) -> str:
    today = f"{spent['reads_today']} reads (${spent['dollars_today']:.2f}) today"
    return f"spent at X: {today}, {spent['reads_this_month']} (${spent['dollars_this_month']:.2f}) this month"


def _overdue(fleet: Mapping[str, Any]) -> str:
    seconds = fleet["oldest_overdue_seconds"]
    oldest = f", the oldest for {duration(timedelta(seconds=seconds))}" if seconds is not None else ""
    return f"due: {fleet['due']}{oldest}; claimed: {fleet['claimed']}"


def _queues(fleet: Mapping[str, Any]) -> str:
    if fleet["queues"] is None:
        return f"queues: {fleet['redis_error']}"
    return "queues: " + ", ".join(f"{lane} {waiting}" for lane, waiting in fleet["queues"].items())


def _workers(fleet: Mapping[str, Any]) -> str:
    workers = fleet["workers"]
    if workers is None:
        return "workers: unknown"
    threads = sum(worker["threads"] for worker in workers)
    return f"workers: {len(workers)} alive, {threads} threads" if workers else "workers: none is alive"


def _delays(fleet: Mapping[str, Any]) -> list[Table | Text]:
    """Return how long rows wait from when they are due until they are started, by workspace."""
    limit = duration(timedelta(seconds=fleet["delay_threshold_seconds"]))
    delays = fleet["delays"]
    if not delays:
        return [Text("scheduling delay: no row waits that is due")]
    rows = [
        (one["workspace_id"], _waited(one["waiting_seconds"]), _waited(one["started_seconds"]), _state(one))
        for one in delays[:_MOST_DELAYS]
    ]
    headings = ("workspace", "due row waits", "waited until started", "scheduling delay")
    more = len(delays) - len(rows)
    return [
        Text(),
        console.table(headings, rows, right=headings[1:3]),
        Text(f"late: more than {limit}, as DravoOverdue" + (f"; {more} more with --json" if more else "")),
        Text(),
    ]


def _waited(seconds: float | None) -> str | None:
    return None if seconds is None else duration(timedelta(seconds=seconds))


def _state(delay: Mapping[str, Any]) -> str:
    return "late" if delay["late"] else "in time"
