"""What an operator looks at: overview, publications, one publication, accounts, acts."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row
from starlette.requests import Request
from starlette.responses import Response

from api_stub.http.errors import quotable
from api_stub.ops import charts, overview, queries
from api_stub.ops.authentication import Session
from api_stub.ops.context import Office
from api_stub.ops.filters import Filter
from api_stub.ops.rendering import away, page
from shared.freshness import Freshness
from shared.operations import audit_log, explain
from shared.operations.bulk_resync import unfinished_selection
from shared.quota.pauses import pauses_of_accounts
from shared.vocabulary import AccountState, Platform

View = Callable[[Office, Request, Session], Awaitable[Response]]
_SAID: Final = frozenset({"asked", "not-asked", "released"})
_CHART: Final = (240, 56)


def shown(session: Session, template: str, status: int = 200, **context: Any) -> Response:
    """Return a page for somebody who was let in."""
    return page(template, {"session": session, "notice": None, **context}, status)


async def first(office: Office, request: Request, session: Session) -> Response:
    """Show the overview."""
    seen = await office.ask(overview.read)
    return shown(session, "overview.html", seen=seen, now=await office.ask(queries.clock), request=request)


async def publications(office: Office, request: Request, session: Session) -> Response:
    """Show the rows of a filter, or the one that was searched for."""
    if name := request.query_params.get("q", "").strip():
        ids = [] if "\0" in name else await office.ask(partial(explain.find, name=name[:500]))
        if len(ids) == 1:
            return away(f"/ops/publications/{ids[0]}")
        rows = await office.ask(partial(_named, ids=ids))
        return shown(session, "search.html", rows=rows, name=name)
    wanted = Filter.parse(request.query_params)
    below = _number(request.query_params.get("below"))
    now, found = await office.ask(
        lambda connection: (
            queries.clock(connection),
            queries.publications(connection, wanted, below=below),
        )
    )
    return shown(session, "publications.html", found=found, wanted=wanted, below=below, now=now)


def _named(connection: Connection, ids: Sequence[int]) -> list[explain.Explanation]:
    return explain.explain(connection, ids[: queries.PAGE])


async def publication(office: Office, request: Request, session: Session) -> Response:
    """Show one publication: how it stands, why, its history, what to do."""
    number = _number(request.path_params["publication_id"])

    def read(connection: Connection) -> Any:
        explained = explain.explain(connection, [number]) if number is not None else []
        if not explained:
            return None
        return explained[0], queries.snapshots(connection, explained[0].row.id), queries.clock(connection)

    found = await office.ask(read)
    if found is None:
        sentence = f"No publication has the id {quotable(request.path_params['publication_id'])}."
        return shown(session, "trouble.html", 404, title="Not found", sentence=sentence)
    explanation, snapshots, now = found
    said = request.query_params.get("said", "")
    return shown(
        session,
        "publication.html",
        explanation=explanation,
        row=explanation.row,
        metrics=_metrics(explanation.row, snapshots),
        snapshots=snapshots,
        now=now,
        policy=Freshness.parse(office.freshness).explain(),
        said=said if said in _SAID else None,
        link=_safe_link(explanation.row.platform_post_url),
    )


def _metrics(row: Row[Any], snapshots: Sequence[Row[Any]]) -> list[tuple[str, Any, charts.Line]]:
    """Return each metric with its value and the line of its history; a value holds until the next one."""
    names = list(dict.fromkeys([*row.metrics, *(name for one in snapshots for name in one.metrics)]))
    made = []
    for name in names:
        points: list[tuple[float, float | None]] = []
        for one in snapshots:
            value = one.metrics.get(name)
            points.append((one.taken_at.timestamp(), value if isinstance(value, int | float) else None))
        if snapshots and snapshots[-1].last_seen_at > snapshots[-1].taken_at:
            points.append((snapshots[-1].last_seen_at.timestamp(), points[-1][1]))
        made.append(
            (name, row.metrics.get(name), charts.line(points, width=_CHART[0], height=_CHART[1], steps=True))
        )
    return made


def _safe_link(url: str | None) -> str | None:
    """Return the address of a post if it is one of the web; what others stored must not run in this page."""
    return url if url and urlsplit(url).scheme in {"http", "https"} else None


async def accounts(office: Office, request: Request, session: Session) -> Response:
    """Show the accounts of a filter."""
    given: Mapping[str, str] = request.query_params
    names = ("state", "platform", "workspace")
    wanted = {name: given.get(name, "").strip().replace("\0", "") for name in names}
    after = given.get("after", "").replace("\0", "")

    def read(connection: Connection) -> Any:
        found = queries.accounts(connection, **wanted, after=after)
        pauses = pauses_of_accounts(connection, [row.account_id for row in found])
        return found, pauses, queries.clock(connection)

    rows, pauses, now = await office.ask(read)
    return shown(
        session,
        "accounts.html",
        rows=rows[: queries.PAGE],
        more=rows[queries.PAGE - 1].account_id if len(rows) > queries.PAGE else None,
        pauses=pauses,
        wanted=wanted,
        states=list(AccountState),
        all_platforms=list(Platform),
        now=now,
    )


async def acts(office: Office, request: Request, session: Session) -> Response:
    """Show what operators did, the newest first."""
    before = _number(request.query_params.get("before"))
    found, now = await office.ask(
        lambda connection: (
            audit_log.entries(connection, most=queries.PAGE + 1, before=before),
            queries.clock(connection),
        )
    )
    return shown(
        session,
        "acts.html",
        acts=found[: queries.PAGE],
        more=found[queries.PAGE - 1].entry_id if len(found) > queries.PAGE else None,
        resumable=unfinished_selection,
        told=lambda subject: ", ".join(f"{name} {_told(value)}" for name, value in subject.items()),
        now=now,
    )


async def confirm(office: Office, request: Request, session: Session) -> Response:
    """Show what an act on all rows of a filter would be done to, and ask."""
    wanted = Filter.parse(request.query_params)
    counted = await office.ask(partial(queries.count, wanted=wanted))
    return shown(
        session,
        "confirm.html",
        wanted=wanted,
        counted=counted,
        total=sum(counted.values()),
        most=queries.COUNTED,
        releasing=request.query_params.get("act") == "release",
    )


def _told(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)[:120]


def _number(value: str | None) -> int | None:
    """Return an id from an address; what is none matches nothing."""
    if value and value.isascii() and value.isdigit() and len(value) < 20:
        return min(int(value), queries.LARGEST_ID)
    return None
