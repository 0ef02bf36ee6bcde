"""Routes of the operators' page, with what every request passes: the session, and error pages."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api_stub.http.errors import not_found
from api_stub.ops import forms
from api_stub.ops.authentication import Session
from api_stub.ops.context import OpsContext
from api_stub.ops.filters import FilterError
from api_stub.ops.forms import FormError
from api_stub.ops.rendering import HEADERS, STATIC
from api_stub.ops.views import fleet_pages, pages, retention, webhooks
from api_stub.ops.views.pages import render_for

FormHandler = Callable[[OpsContext, Request, Session, dict[str, str]], Awaitable[Response]]
_TOO_SLOW: Final = "57014"
_NO_SCHEMA: Final = ("42P01", "42703")
_log = structlog.get_logger(__name__)


def routes(context: OpsContext) -> list[Route]:
    """Return the routes of the operators' page."""
    pages_by_path = {
        "/ops": pages.show_overview,
        "/ops/publications": pages.list_publications,
        "/ops/publications/{publication_id}": pages.show_publication,
        "/ops/accounts": pages.list_accounts,
        "/ops/holds": fleet_pages.show_holds,
        "/ops/workers": fleet_pages.show_workers,
        "/ops/audit-log": pages.list_audit_log,
        "/ops/webhooks": webhooks.list_webhooks,
        "/ops/retention": retention.show_retention,
        "/ops/confirm": pages.confirm_bulk_action,
    }
    forms_by_path: dict[str, FormHandler] = {
        "/ops/resync": forms.resync,
        "/ops/resume-resync": forms.resume_resync,
        "/ops/release": forms.release,
        "/ops/pause": forms.pause,
        "/ops/resume": forms.resume,
        "/ops/try": forms.attempt,
        "/ops/enable-webhook": forms.enable_webhook,
        "/ops/logout": forms.logout,
    }
    return [
        Route("/ops/login", _login_endpoint(context, forms.login), methods=["GET", "POST"]),
        Route("/ops/static/{version}/{name}", _static(context)),
        *(Route(path, _page_endpoint(context, view)) for path, view in pages_by_path.items()),
        *(
            Route(path, _form_endpoint(context, view), methods=["POST"])
            for path, view in forms_by_path.items()
        ),
    ]


def _login_endpoint(
    context: OpsContext, view: Callable[[OpsContext, Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not context.authenticator.enabled:
            raise not_found("There is nothing at this address; see /openapi.json.")
        try:
            return await view(context, request)
        except FormError as error:
            return Response(str(error), 400, HEADERS, "text/plain; charset=utf-8")

    return endpoint


def _page_endpoint(context: OpsContext, view: pages.View) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await _with_session(context, request, partial(view, context, request))

    return endpoint


def _form_endpoint(context: OpsContext, handler: FormHandler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        async def handle(session: Session) -> Response:
            form = await forms.read_form(request)
            if not forms.is_genuine(request, session, form):
                sentence = "The form does not belong to your session: go back, reload the page and try again."
                return render_for(session, "error.html", 403, title="Nothing was done", sentence=sentence)
            return await handler(context, request, session, form)

        return await _with_session(context, request, handle)

    return endpoint


async def _with_session(
    context: OpsContext, request: Request, respond: Callable[[Session], Awaitable[Response]]
) -> Response:
    session = context.authenticator.session(request)
    if session is None:
        if context.authenticator.enabled:
            return forms.redirect_to_login(request)
        raise not_found("There is nothing at this address; see /openapi.json.")
    try:
        response = await respond(session)
    except (FilterError, FormError) as error:
        response = await forms.invalid_input_page(session, error)
    except (DBAPIError, PoolTimeout) as error:
        response = _database_error_page(session, error)
    return response


def _database_error_page(session: Session, error: DBAPIError | PoolTimeout) -> Response:
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    _log.warning("ops_page_failed", detail=type(error).__name__, sqlstate=state)
    if state == _TOO_SLOW:
        title, sentence = "The query takes too long", "Add a filter: an account, a status, a platform."
    elif state in _NO_SCHEMA:
        title, sentence = "The database schema is older than this version", "Run `dravo migrate`."
    else:
        title = "PostgreSQL does not answer"
        sentence = "No figures are shown until it answers."
    return render_for(session, "error.html", 503, title=title, sentence=sentence)


def _static(context: OpsContext) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        static_file: Any = STATIC.get(request.path_params["name"])
        if static_file is None or not context.authenticator.enabled:
            raise not_found("There is nothing at this address; see /openapi.json.")
        content, media_type = static_file
        headers = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(content, headers=headers, media_type=media_type)

    return endpoint
