"""Pages about parts of the fleet: what holds a platform, an account or a workspace back, and the workers."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api_stub.ops import queries
from api_stub.ops.authentication import Session
from api_stub.ops.context import OpsContext
from api_stub.ops.filters import FilterError
from api_stub.ops.views.pages import render_for
from shared.operations.holds.subjects import SubjectKind, subject_state
from shared.vocabulary import Platform

_KINDS: tuple[SubjectKind, ...] = ("platform", "account", "workspace")


async def show_holds(context: OpsContext, request: Request, session: Session) -> Response:
    """Show what holds a platform, an account or a workspace back, who set it, until when, and what to do."""
    kind, name = _subject(request)
    state, now = await context.read(
        lambda connection: (subject_state(connection, kind, name), queries.database_now(connection))
    )
    return render_for(session, "holds.html", state=state, now=now)


def _subject(request: Request) -> tuple[SubjectKind, str]:
    for kind in _KINDS:
        if name := request.query_params.get(kind, "").strip().replace("\0", ""):
            if kind == "platform" and name not in {platform.value for platform in Platform}:
                raise FilterError(f"platform must be one of: {', '.join(Platform)}")
            return kind, name
    raise FilterError("name a platform, an account or a workspace")


async def show_workers(context: OpsContext, _request: Request, session: Session) -> Response:
    """Show the worker processes: threads, current jobs, uptime and version."""
    live, now = await context.read(_live)
    workers = live.get("workers")
    return render_for(
        session,
        "workers.html",
        workers=None if workers is None else sorted(workers.items()),
        details=live.get("worker_details") or {},
        redis_error=live.get("redis_error"),
        versions=sorted({one["version"] for one in (live.get("worker_details") or {}).values()}),
        since=lambda started_at: (now - datetime.fromisoformat(started_at)).total_seconds(),
    )


def _live(connection: Connection) -> tuple[dict[str, Any], Any]:
    parts = queries.summary(connection)
    live: dict[str, Any] = parts["live"].payload if "live" in parts else {}
    return live, queries.database_now(connection)
