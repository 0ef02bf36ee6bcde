"""The page of what is kept how long, what of it is beyond its limit, and what the disk will need."""

from functools import partial
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api_stub.ops.authentication import Session
from api_stub.ops.context import OpsContext
from api_stub.ops.views.pages import render_for
from shared.retention.policy import Limit, Retention
from shared.retention.status import forecast, status

_KILO = 1000
_HOURS_SHOWN_UP_TO = 2  # days


async def show_retention(context: OpsContext, _request: Request, session: Session) -> Response:
    """Show the limits of `DRAVO_RETENTION` as this service knows them, and the sizes of the history."""
    policy = Retention.parse(context.settings.retention)
    loaded = await context.read(partial(_load, policy=policy))
    return render_for(
        session, "retention.html", enabled=policy.enabled, limit=limit_text, size=size, **loaded
    )


def _load(connection: Connection, policy: Retention) -> dict[str, Any]:
    classes = status(connection, policy, counted=False)
    return {"classes": classes, "disk": forecast(connection, policy)}


def limit_text(limit: Limit) -> str:
    """Return a limit for people."""
    if limit is None:
        return "without end"
    if not limit:
        return "not at all"
    if limit.days > _HOURS_SHOWN_UP_TO:
        return f"{limit.days} days"
    return f"{int(limit.total_seconds() // 3600)} hours"


def size(number: float | None) -> str:
    """Return a number of bytes for people."""
    if number is None:
        return "unknown"
    for unit in ("B", "kB", "MB", "GB"):
        if number < _KILO:
            return f"{number:.0f} {unit}"
        number /= _KILO
    return f"{number:.1f} TB"
