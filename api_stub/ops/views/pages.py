"""The pages of the operators' page: overview, publications, accounts, audit log, confirmation."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row
from starlette.requests import Request
from starlette.responses import Response

from api_stub.http.errors import quotable
from api_stub.ops import queries
from api_stub.ops.authentication import Session
from api_stub.ops.context import OpsContext
from api_stub.ops.drawing import charts, timecharts
from api_stub.ops.drawing.timecharts import DEFAULT_RANGE
from api_stub.ops.filters import Filter
from api_stub.ops.rendering import redirect, render
from api_stub.ops.sorting import ORDERS, sorted_publications
from api_stub.ops.views import overview, webhooks
from shared.attempt_log import attempts_of
from shared.freshness.policy import Freshness
from shared.operations import audit_log, explain
from shared.operations.bulk_resync import unfinished_selection
from shared.operations.estimate import estimate
from shared.operations.holds.subjects import SubjectKind, find_subject
from shared.quota.pauses import pauses_of_accounts
from shared.vocabulary import AccountState, Platform

View = Callable[[OpsContext, Request, Session], Awaitable[Response]]
_RESULTS: Final = frozenset({"requested", "not-requested", "released"})
_CHART: Final = (240, 56)


def render_for(session: Session, template: str, status: int = 200, **context: Any) -> Response:
    """Return a rendered template for an operator who is logged in."""
    return render(template, {"session": session, "notice": None, **context}, status)


async def show_overview(context: OpsContext, request: Request, session: Session) -> Response:
    """Show the overview."""
    shown = timecharts.RANGES.get(request.query_params.get("range", ""), timecharts.RANGES[DEFAULT_RANGE])
    summary = await context.read(partial(overview.read, shown=shown))
    return render_for(
        session,
        "overview.html",
        overview=summary,
        ranges=list(timecharts.RANGES.values()),
        sentence=audit_log.sentence,
        webhooks=await context.read(webhooks.count_endpoints),
        runbook_url=context.runbook_url,
        now=await context.read(queries.database_now),
        request=request,
    )


async def list_publications(context: OpsContext, request: Request, session: Session) -> Response:
    """Show the publications of a filter, or those with the id that is searched for."""
    if name := request.query_params.get("q", "").strip():
        ids = [] if "\0" in name else await context.read(partial(explain.find, name=name[:500]))
        if len(ids) == 1:
            return redirect(f"/ops/publications/{ids[0]}")
        rows, subject, accounts = await context.read(
            partial(_named, ids=ids, name=name[:500].replace("\0", ""))
        )
        return render_for(
            session,
            "search.html",
            rows=rows,
            name=name,
            subject=subject,
            accounts=accounts,
            most=queries.PAGE,
        )
    wanted = Filter.parse(request.query_params)
    below = _number(request.query_params.get("below"))
    sort = request.query_params.get("sort", "")
    oldest_first, order = sort == "oldest", ORDERS.get(sort)
    skip = min(_number(request.query_params.get("skip")) or 0, queries.MAX_SCANNED)

    def load(connection: Connection) -> queries.PublicationPage:
        if order is not None:
            return sorted_publications(connection, wanted, order, skip=skip)
        return queries.publications(connection, wanted, below=below, oldest_first=oldest_first)

    now, loaded, counted = await context.read(
        lambda connection: (
            queries.database_now(connection),
            load(connection),
            sum(queries.count(connection, wanted).values()),
        )
    )
    return render_for(
        session,
        "publications.html",
        loaded=loaded,
        wanted=wanted,
        below=below,
        now=now,
        oldest_first=oldest_first,
        order=order,
        sort=sort if order or oldest_first else "",
        orders=ORDERS,
        total=counted,
        most=queries.MAX_COUNTED,
    )


def _named(
    connection: Connection, ids: Sequence[int], name: str
) -> tuple[list[explain.Explanation], tuple[SubjectKind, str] | None, Sequence[Row[Any]]]:
    """Return the publications with an id or, without any, with these words; what a name names; accounts."""
    wanted = ids or queries.with_words(connection, name)
    accounts = queries.accounts_named(connection, name)
    return explain.explain(connection, wanted[: queries.PAGE]), find_subject(connection, name), accounts


async def show_publication(context: OpsContext, request: Request, session: Session) -> Response:
    """Show one publication: its status and the reason, its history, and what to do."""
    number = _number(request.path_params["publication_id"])

    def read(connection: Connection) -> Any:
        explained = explain.explain(connection, [number]) if number is not None else []
        if not explained:
            return None
        return (
            explained[0],
            queries.snapshots(connection, explained[0].row.id),
            attempts_of(connection, explained[0].row.id),
            queries.database_now(connection),
        )

    loaded = await context.read(read)
    if loaded is None:
        sentence = f"No publication has the id {quotable(request.path_params['publication_id'])}."
        return render_for(session, "error.html", 404, title="Not found", sentence=sentence)
    explanation, snapshots, attempts, now = loaded
    result = request.query_params.get("result", "")
    return render_for(
        session,
        "publication.html",
        explanation=explanation,
        row=explanation.row,
        metrics=_metrics(explanation.row, snapshots),
        snapshots=snapshots,
        attempts=attempts,
        now=now,
        policy=Freshness.parse(context.freshness).explain(),
        result=result if result in _RESULTS else None,
        link=_web_url(explanation.row.platform_post_url),
    )


def _metrics(row: Row[Any], snapshots: Sequence[Row[Any]]) -> list[tuple[str, Any, charts.Line]]:
    """Return each metric with its value and its history as a step chart."""
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


def _web_url(url: str | None) -> str | None:
    """Return the URL of a post if its scheme is http or https: a stored URL must not run a script here."""
    return url if url and urlsplit(url).scheme in {"http", "https"} else None


async def list_accounts(context: OpsContext, request: Request, session: Session) -> Response:
    """Show the accounts of a filter."""
    parameters: Mapping[str, str] = request.query_params
    names = ("state", "platform", "workspace")
    wanted = {name: parameters.get(name, "").strip().replace("\0", "") for name in names}
    after = parameters.get("after", "").replace("\0", "")

    def read(connection: Connection) -> Any:
        loaded = queries.accounts(connection, **wanted, after=after)
        pauses = pauses_of_accounts(connection, [row.account_id for row in loaded])
        return loaded, pauses, queries.count_accounts(connection, **wanted), queries.database_now(connection)

    rows, pauses, total, now = await context.read(read)
    return render_for(
        session,
        "accounts.html",
        rows=rows[: queries.PAGE],
        more=rows[queries.PAGE - 1].account_id if len(rows) > queries.PAGE else None,
        pauses=pauses,
        total=total,
        most=queries.MAX_COUNTED,
        wanted=wanted,
        states=list(AccountState),
        all_platforms=list(Platform),
        now=now,
    )


async def list_audit_log(context: OpsContext, request: Request, session: Session) -> Response:
    """Show the audit log, the newest entry first."""
    before = _number(request.query_params.get("before"))
    loaded, now = await context.read(
        lambda connection: (
            audit_log.entries(connection, most=queries.PAGE + 1, before=before),
            queries.database_now(connection),
        )
    )
    return render_for(
        session,
        "audit_log.html",
        entries=loaded[: queries.PAGE],
        more=loaded[queries.PAGE - 1].entry_id if len(loaded) > queries.PAGE else None,
        resumable=unfinished_selection,
        sentence=audit_log.sentence,
        running=context.resyncs.running,
        now=now,
    )


async def confirm_bulk_action(context: OpsContext, request: Request, session: Session) -> Response:
    """Show how many publications a bulk action would change, and ask for confirmation."""
    wanted = Filter.parse(request.query_params)
    counted = await context.read(partial(queries.count, wanted=wanted))
    releasing = request.query_params.get("action") == "release"
    expected = None
    if not releasing and sum(counted.values()) <= queries.MAX_COUNTED:
        expected = await context.read(
            partial(estimate, selection=wanted.selection, settings=context.settings)
        )
    return render_for(
        session,
        "confirm.html",
        wanted=wanted,
        counted=counted,
        total=sum(counted.values()),
        most=queries.MAX_COUNTED,
        releasing=releasing,
        expected=expected,
    )


def _number(value: str | None) -> int | None:
    """Return an id from a URL, or ``None`` for a value that is no id."""
    if value and value.isascii() and value.isdigit() and len(value) < 20:
        return min(int(value), queries.LARGEST_ID)
    return None
