"""Which address of the operators' page leads where, and what stands before each: the door, and trouble."""

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
from api_stub.ops import forms, pages
from api_stub.ops.authentication import Session
from api_stub.ops.context import Office
from api_stub.ops.filters import FilterError
from api_stub.ops.forms import FormError
from api_stub.ops.pages import shown
from api_stub.ops.rendering import HEADERS, STATIC

Act = Callable[[Office, Request, Session, dict[str, str]], Awaitable[Response]]
_TOO_SLOW: Final = "57014"
_NO_SCHEMA: Final = ("42P01", "42703")
_log = structlog.get_logger(__name__)


def routes(office: Office) -> list[Route]:
    """Return the routes of the page."""
    look = {
        "/ops": pages.first,
        "/ops/publications": pages.publications,
        "/ops/publications/{publication_id}": pages.publication,
        "/ops/accounts": pages.accounts,
        "/ops/acts": pages.acts,
        "/ops/confirm": pages.confirm,
    }
    act: dict[str, Act] = {
        "/ops/resync": forms.resync,
        "/ops/go-on": forms.go_on,
        "/ops/release": forms.release,
        "/ops/pause": forms.pause,
        "/ops/resume": forms.resume,
        "/ops/logout": forms.logout,
    }
    return [
        Route("/ops/login", _at_the_door(office, forms.login), methods=["GET", "POST"]),
        Route("/ops/static/{version}/{name}", _static(office)),
        *(Route(path, _looking(office, view)) for path, view in look.items()),
        *(Route(path, _acting(office, view), methods=["POST"]) for path, view in act.items()),
    ]


def _at_the_door(
    office: Office, view: Callable[[Office, Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not office.door.leads_anywhere:
            raise not_found("There is nothing at this address; see /openapi.json.")
        try:
            return await view(office, request)
        except FormError as error:
            return Response(str(error), 400, HEADERS, "text/plain; charset=utf-8")

    return endpoint


def _looking(office: Office, view: pages.View) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await _let_in(office, request, partial(view, office, request))

    return endpoint


def _acting(office: Office, act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        async def obey(session: Session) -> Response:
            form = await forms.read_form(request)
            if not forms.genuine(request, session, form):
                sentence = "This form is not of your session: go back, load the page again, and repeat."
                return shown(session, "trouble.html", 403, title="Nothing was done", sentence=sentence)
            return await act(office, request, session, form)

        return await _let_in(office, request, obey)

    return endpoint


async def _let_in(
    office: Office, request: Request, inside: Callable[[Session], Awaitable[Response]]
) -> Response:
    session = office.door.session(request)
    if session is None:
        if office.door.leads_anywhere:
            return forms.to_login(request)
        raise not_found("There is nothing at this address; see /openapi.json.")
    try:
        answer = await inside(session)
    except (FilterError, FormError) as error:
        answer = await forms.refused(session, error)
    except (DBAPIError, PoolTimeout) as error:
        answer = _unreachable(session, error)
    return answer


def _unreachable(session: Session, error: DBAPIError | PoolTimeout) -> Response:
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    _log.warning("ops_page_unanswered", detail=type(error).__name__, sqlstate=state)
    if state == _TOO_SLOW:
        title, sentence = "That takes too long", "Add a filter: an account, a status, a platform."
    elif state in _NO_SCHEMA:
        title, sentence = "The schema is older than this program", "Run `dravo migrate`."
    else:
        title = "PostgreSQL does not answer"
        sentence = "Nothing is known of the fleet until it does: figures are neither shown nor guessed."
    return shown(session, "trouble.html", 503, title=title, sentence=sentence)


def _static(office: Office) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        found: Any = STATIC.get(request.path_params["name"])
        if found is None or not office.door.leads_anywhere:
            raise not_found("There is nothing at this address; see /openapi.json.")
        content, kind = found
        headers = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(content, headers=headers, media_type=kind)

    return endpoint
