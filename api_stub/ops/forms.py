"""The forms of the operators' page: login, logout, re-sync, release, pause and resume."""

import asyncio
import hmac
from datetime import timedelta
from functools import partial
from typing import Final
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api_stub.http.bodies import read_body
from api_stub.ops import queries
from api_stub.ops.authentication import COOKIE, Session, same_site
from api_stub.ops.context import OpsContext
from api_stub.ops.filters import Filter, FilterError
from api_stub.ops.rendering import redirect, render, seconds
from api_stub.ops.views.pages import render_for
from shared.operations import audit_log
from shared.operations.audit_log import Operator
from shared.operations.bulk_resync import unfinished_selection
from shared.operations.pause import Scope, pause_scope, resume_scope
from shared.operations.quarantine import release_from_quarantine
from shared.operations.resync import resync_one
from shared.operations.selection import next_rows
from shared.operations.trial import NothingToTryError, try_stops
from shared.vocabulary import Platform, Reason
from shared.webhooks import endpoints

_MAX_FORM_BYTES: Final = 16_384
_FORM_SECONDS: Final = 10.0
_MAX_FIELDS: Final = 50
_MAX_NAME: Final = 80
_MAX_REASON: Final = 500
_DURATIONS: Final = {
    "": None,
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
}
_MAX_RELEASED: Final = 10_000


class FormError(ValueError):
    """A form with an invalid value; the message is shown to the operator."""


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form. Raises `FormError` for another content type, `ApiError` for a bad body."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise FormError("The content type of a form is required.")
    body = await read_body(request, max_bytes=_MAX_FORM_BYTES, seconds=_FORM_SECONDS)
    try:
        fields = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise FormError(f"The form may have at most {_MAX_FIELDS} fields.") from None
    return {name: value.replace("\0", "") for name, value in fields}


def is_genuine(request: Request, session: Session, form: dict[str, str]) -> bool:
    """Return whether a form was sent from a page of this session (its CSRF token and its site match)."""
    token = form.get("csrf", "").encode("utf-8", "replace")
    return same_site(request) and hmac.compare_digest(token, session.csrf.encode())


async def login(context: OpsContext, request: Request) -> Response:
    """Show the login page, or log an operator in."""
    if request.method != "POST":
        target = _local(request.query_params.get("next", ""))
        return _login_page(target, token=request.query_params.get("token", ""))
    if not same_site(request):
        return _login_page("/ops", 403, "Sign in from this page.")
    form = await read_form(request)
    target = _local(form.get("next", ""))
    name = " ".join(form.get("name", "").split())[:_MAX_NAME]
    if not name:
        return _login_page(target, 400, "A name is required: the audit log shows it.")
    result = context.authenticator.log_in(request, form.get("token", ""), name)
    if result is None:
        return _login_page(target, 403, "This is not the token.", name=name)
    if isinstance(result, Session):
        response = redirect(target)
        context.authenticator.set_cookie(request, response, result)
        return response
    response = _login_page(target, 429, f"Too many tries: wait {seconds(result + 1)}.", name=name)
    response.headers["Retry-After"] = str(int(result) + 1)
    return response


def _login_page(
    target: str, status: int = 200, error: str | None = None, *, name: str = "", token: str = ""
) -> Response:
    return render("login.html", {"target": target, "error": error, "name": name, "token": token}, status)


async def logout(
    _context: OpsContext, _request: Request, _session: Session, _form: dict[str, str]
) -> Response:
    """Delete the session's cookie."""
    response = redirect("/ops/login")
    response.delete_cookie(COOKIE, path="/ops", httponly=True, samesite="strict")
    return response


async def resync(context: OpsContext, _request: Request, session: Session, form: dict[str, str]) -> Response:
    """Make one publication due now, or all rows of a filter in the background."""
    operator = _operator(session)
    if publication := form.get("publication"):
        number = _id("publication", publication)
        requested = await context.write(partial(resync_one, operator=operator, publication_id=number))
        result = "requested" if requested else "not-requested"
        return redirect(f"/ops/publications/{number}?result={result}")
    wanted = Filter.parse(form)
    await asyncio.to_thread(context.resyncs.begin, operator, wanted)
    return redirect("/ops/audit-log")


async def resume_resync(
    context: OpsContext, _request: Request, _session: Session, form: dict[str, str]
) -> Response:
    """Resume an unfinished bulk re-sync."""
    entry_id = _id("entry_id", form.get("entry_id", ""))
    entry = await context.read(partial(audit_log.entry, entry_id=entry_id))
    if unfinished_selection(entry) is None:
        raise FormError(f"No unfinished re-sync has the entry_id {entry_id}.")
    context.resyncs.resume(entry_id)
    return redirect("/ops/audit-log")


async def release(context: OpsContext, _request: Request, session: Session, form: dict[str, str]) -> Response:
    """Let a quarantined publication, or all quarantined rows of a filter, be tried again."""
    operator = _operator(session)
    if publication := form.get("publication"):
        number = _id("publication", publication)
        await context.write(partial(release_from_quarantine, operator=operator, publication_ids=[number]))
        return redirect(f"/ops/publications/{number}?result=released")
    wanted = Filter.parse({**form, "reason": Reason.QUARANTINED})

    def release_all(connection: Connection) -> int:
        rows, _ = next_rows(connection, wanted.selection, after=0, most=_MAX_RELEASED)
        return len(release_from_quarantine(connection, operator, [row.id for row in rows]))

    await context.write(release_all)
    return redirect("/ops/audit-log")


async def pause(context: OpsContext, _request: Request, session: Session, form: dict[str, str]) -> Response:
    """Pause a scope for a while: nothing in it is refreshed."""
    reason = " ".join(form.get("reason", "").split())[:_MAX_REASON]
    if not reason:
        raise FormError("reason is required: other operators read it.")
    if form.get("length", "") not in _DURATIONS:
        raise FormError(f"length must be one of {', '.join(filter(None, _DURATIONS))}, or empty.")
    duration = _DURATIONS[form.get("length", "")]
    scope = _scope(form)

    def add_pause(connection: Connection) -> None:
        until = queries.database_now(connection) + duration if duration else None
        pause_scope(connection, _operator(session), scope, reason, until)

    await context.write(add_pause)
    return redirect(_local(form.get("next", "")))


async def resume(context: OpsContext, _request: Request, session: Session, form: dict[str, str]) -> Response:
    """End an operator's pause."""
    await context.write(partial(resume_scope, operator=_operator(session), scope=_scope(form)))
    return redirect(_local(form.get("next", "")))


async def attempt(context: OpsContext, _request: Request, session: Session, form: dict[str, str]) -> Response:
    """Let one call test whether the cause of a stop is gone; the overview shows what became of it."""
    try:
        await context.write(partial(try_stops, operator=_operator(session), scope=_scope(form)))
    except NothingToTryError as error:
        raise FormError(f"Nothing was tried: {error}.") from None
    return redirect(_local(form.get("next", "")))


async def enable_webhook(
    context: OpsContext, _request: Request, session: Session, form: dict[str, str]
) -> Response:
    """Let a disabled webhook endpoint go on; the next delivery shows whether its receiver answers."""

    def enable(connection: Connection) -> None:
        endpoint = endpoints.find(connection, form.get("endpoint", ""))
        endpoints.enable(connection, endpoint)
        subject = {"endpoint_id": endpoint.endpoint_id, "workspace_id": endpoint.workspace_id}
        audit_log.record(connection, _operator(session), "webhooks enable", subject)

    try:
        await context.write(enable)
    except endpoints.EndpointError as error:
        raise FormError(f"Nothing was enabled: {error}.") from None
    return redirect("/ops/webhooks")


def _scope(form: dict[str, str]) -> Scope:
    names = ("platform", "account", "workspace")
    platform, account, workspace = (form.get(name, "").strip() for name in names)
    if platform and platform not in {one.value for one in Platform}:
        raise FormError(f"platform must be one of {', '.join(Platform)}.")
    if not (platform or account or workspace or form.get("all")):
        raise FormError("A scope is required: a platform, an account, a workspace, or everything.")
    return Scope(Platform(platform) if platform else None, account or None, workspace or None)


def _operator(session: Session) -> Operator:
    return Operator(session.operator, "page")


def _id(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise FormError(f"{name} must be the number of a row.")
    return int(value)


def _local(target: str) -> str:
    """Return the target of a redirect if it is below ``/ops``, else ``/ops``."""
    is_local = target == "/ops" or target.startswith(("/ops/", "/ops?"))
    return target if is_local and "\\" not in target and target.isascii() and target.isprintable() else "/ops"


async def invalid_input_page(session: Session, error: FilterError | FormError) -> Response:
    """Return the page that explains an invalid filter or form."""
    return render_for(session, "error.html", 400, title="Invalid input", sentence=str(error))


def redirect_to_login(request: Request) -> Response:
    """Redirect to the login page, which leads back to the requested page."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return redirect(f"/ops/login?{urlencode({'next': target})}" if request.method == "GET" else "/ops/login")
