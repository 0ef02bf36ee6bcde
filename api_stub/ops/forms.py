"""What an operator does: come in, leave, pause, resume, re-sync, release; forms that only our page sends."""

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
from api_stub.ops.context import Office
from api_stub.ops.filters import Filter, FilterError
from api_stub.ops.pages import shown
from api_stub.ops.rendering import away, page, seconds
from shared.operations import audit_log
from shared.operations.audit_log import Operator
from shared.operations.bulk_resync import unfinished_selection
from shared.operations.pause import Scope, pause_scope, resume_scope
from shared.operations.quarantine import release_from_quarantine
from shared.operations.resync import resync_one
from shared.operations.selection import next_rows
from shared.vocabulary import Platform, Reason

_LARGEST_FORM: Final = 16_384
_FORM_SECONDS: Final = 10.0
_MOST_FIELDS: Final = 50
_LONGEST_NAME: Final = 80
_LONGEST_REASON: Final = 500
_LENGTHS: Final = {
    "": None,
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
}
_MOST_RELEASED: Final = 10_000


class FormError(ValueError):
    """A form that cannot be obeyed; the message is for people."""


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form. Raises `FormError` for what is none, `ApiError` for a bad body."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise FormError("This is not a form.")
    body = await read_body(request, max_bytes=_LARGEST_FORM, seconds=_FORM_SECONDS)
    try:
        fields = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise FormError(f"The form may have at most {_MOST_FIELDS} fields.") from None
    return {name: value.replace("\0", "") for name, value in fields}


def genuine(request: Request, session: Session, form: dict[str, str]) -> bool:
    """Return whether a form was sent from a page of this session."""
    given = form.get("csrf", "").encode("utf-8", "replace")
    return same_site(request) and hmac.compare_digest(given, session.csrf.encode())


async def login(office: Office, request: Request) -> Response:
    """Show the door, or knock on it."""
    goal = _local(request.query_params.get("next", ""))
    if request.method != "POST":
        shown = {"goal": goal, "said": None, "name": "", "token": request.query_params.get("token", "")}
        return page("login.html", shown)
    if not same_site(request):
        return page(
            "login.html", {"goal": goal, "said": "Sign in from this page.", "name": "", "token": ""}, 403
        )
    form = await read_form(request)
    name = " ".join(form.get("name", "").split())[:_LONGEST_NAME]
    goal = _local(form.get("next", ""))
    if not name:
        said = "Please give your name: it is kept with what you do."
        return page("login.html", {"goal": goal, "said": said, "name": "", "token": ""}, 400)
    entered = office.door.enter(request, form.get("token", ""), name)
    if isinstance(entered, Session):
        answer = away(goal)
        office.door.remember(request, answer, entered)
        return answer
    if entered is None:
        return page(
            "login.html", {"goal": goal, "said": "This is not the token.", "name": name, "token": ""}, 403
        )
    answer = page(
        "login.html",
        {"goal": goal, "said": f"Too many tries: wait {seconds(entered + 1)}.", "name": name, "token": ""},
        429,
    )
    answer.headers["Retry-After"] = str(int(entered) + 1)
    return answer


async def logout(_office: Office, _request: Request, _session: Session, _form: dict[str, str]) -> Response:
    """Forget the session."""
    answer = away("/ops/login")
    answer.delete_cookie(COOKIE, path="/ops", httponly=True, samesite="strict")
    return answer


async def resync(office: Office, _request: Request, session: Session, form: dict[str, str]) -> Response:
    """Make one publication due now, or all rows of a filter in the background."""
    operator = _operator(session)
    if publication := form.get("publication"):
        number = _id("publication", publication)
        asked = await office.do(partial(resync_one, operator=operator, publication_id=number))
        said = "asked" if asked else "not-asked"
        return away(f"/ops/publications/{number}?said={said}")
    wanted = Filter.parse(form)
    act_id = await asyncio.to_thread(office.resyncs.begin, operator, wanted)
    return away(f"/ops/acts?begun={act_id}")


async def go_on(office: Office, _request: Request, _session: Session, form: dict[str, str]) -> Response:
    """Go on with a re-sync that was stopped half-way."""
    entry_id = _id("act_id", form.get("act_id", ""))
    entry = await office.ask(partial(audit_log.entry, entry_id=entry_id))
    if unfinished_selection(entry) is None:
        raise FormError(f"No unfinished re-sync has the act_id {entry_id}.")
    office.resyncs.resume(entry_id)
    return away(f"/ops/acts?begun={entry_id}")


async def release(office: Office, _request: Request, session: Session, form: dict[str, str]) -> Response:
    """Let a quarantined publication, or all quarantined rows of a filter, be tried again."""
    operator = _operator(session)
    if publication := form.get("publication"):
        number = _id("publication", publication)
        await office.do(partial(release_from_quarantine, operator=operator, publication_ids=[number]))
        return away(f"/ops/publications/{number}?said=released")
    wanted = Filter.parse({**form, "reason": Reason.QUARANTINED})

    def all_of(connection: Connection) -> int:
        rows, _ = next_rows(connection, wanted.selection, after=0, most=_MOST_RELEASED)
        return len(release_from_quarantine(connection, operator, [row.id for row in rows]))

    await office.do(all_of)
    return away("/ops/acts")


async def pause(office: Office, _request: Request, session: Session, form: dict[str, str]) -> Response:
    """Ask nothing within a scope for a while."""
    reason = " ".join(form.get("reason", "").split())[:_LONGEST_REASON]
    if not reason:
        raise FormError("reason is required: say why, other operators read it.")
    if form.get("length", "") not in _LENGTHS:
        raise FormError(f"length must be one of {', '.join(filter(None, _LENGTHS))}, or empty.")
    length = _LENGTHS[form.get("length", "")]
    scope = _scope(form)

    def place(connection: Connection) -> None:
        until = queries.clock(connection) + length if length else None
        pause_scope(connection, _operator(session), scope, reason, until)

    await office.do(place)
    return away(_local(form.get("next", "")))


async def resume(office: Office, _request: Request, session: Session, form: dict[str, str]) -> Response:
    """Lift an operator's pause."""
    await office.do(partial(resume_scope, operator=_operator(session), scope=_scope(form)))
    return away(_local(form.get("next", "")))


def _scope(form: dict[str, str]) -> Scope:
    names = ("platform", "account", "workspace")
    platform, account, workspace = (form.get(name, "").strip() for name in names)
    if platform and platform not in {one.value for one in Platform}:
        raise FormError(f"platform must be one of {', '.join(Platform)}.")
    if not (platform or account or workspace or form.get("all")):
        raise FormError("Say what: a platform, an account, a workspace, or everything.")
    return Scope(Platform(platform) if platform else None, account or None, workspace or None)


def _operator(session: Session) -> Operator:
    return Operator(session.operator, "page")


def _id(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise FormError(f"{name} must be the number of a row.")
    return int(value)


def _local(goal: str) -> str:
    """Return an address of this page: whatever else was asked for leads to its beginning."""
    inside = goal == "/ops" or goal.startswith(("/ops/", "/ops?"))
    return goal if inside and "\\" not in goal and goal.isascii() and goal.isprintable() else "/ops"


async def refused(session: Session, error: FilterError | FormError) -> Response:
    """Say why an address or a form makes no sense."""
    return shown(session, "trouble.html", 400, title="That does not work", sentence=str(error))


def to_login(request: Request) -> Response:
    """Lead to the door, and from there back to where somebody wanted to go."""
    goal = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return away(f"/ops/login?{urlencode({'next': goal})}" if request.method == "GET" else "/ops/login")
