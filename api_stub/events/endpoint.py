"""``POST /internal/events``: how the rest of Dravo tells this pipeline what happened."""

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api_stub.auth.authenticator import require_service_token
from api_stub.events.event_log import Committed, Event, EventType, Refused
from api_stub.http import metrics
from api_stub.http.bodies import read_body
from api_stub.http.errors import ApiError, error_body, json_response, quotable, unavailable
from api_stub.service import service_of
from shared.observability import failpoints

LARGEST_BATCH: Final = 500
LARGEST_BODY: Final = 16 * 1024 * 1024
BODY_SECONDS: Final = 30.0
_LONGEST_ID: Final = 255
_TYPES: Final = {kind.value: kind for kind in EventType}


async def take_events(request: Request) -> Response:
    """Commit a batch and answer 200; 400 when events were refused, each named, and all others committed."""
    service = service_of(request)
    require_service_token(request, service.settings.internal_token)
    sent = _decode(await read_body(request, most=LARGEST_BODY, seconds=BODY_SECONDS))
    batch = sent if isinstance(sent, list) else [sent]
    if len(batch) > LARGEST_BATCH:
        raise ApiError(400, "too_many_events", f"At most {LARGEST_BATCH} events are taken at once.")
    events, malformed = _check(batch)
    try:
        committed = await run_in_threadpool(service.event_log.take, events)
    except (DBAPIError, PoolTimeoutError) as error:
        raise unavailable("database_unavailable", "Nothing was committed: send it again.", 2) from error
    failpoints.hit("event_committed")
    refused = sorted((*malformed, *committed.refused), key=lambda one: one.index)
    _count(events, committed)
    return _answer(committed, refused)


def _answer(committed: Committed, refused: Sequence[Refused]) -> Response:
    body = {
        "accepted": committed.accepted,
        "duplicates": committed.duplicates,
        "errors": [{"index": one.index, "event_id": one.event_id, "message": one.message} for one in refused],
    }
    if not refused:
        return json_response(body)
    told = "Some events were refused, each named in errors; the others are committed."
    return json_response({**error_body("events_refused", told), **body}, 400)


def _count(events: Sequence[Event], committed: Committed) -> None:
    refused = {one.index for one in committed.refused}
    for event in events:
        metrics.EVENTS.labels(event.type.value, "refused" if event.index in refused else "taken").inc()


def _decode(body: bytes) -> Any:
    try:
        sent = json.loads(body.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ApiError(400, "invalid_body", "The body must be JSON in UTF-8.") from None
    if not isinstance(sent, dict | list):
        raise ApiError(400, "invalid_body", "The body must be one event or an array of events.")
    return sent


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check(batch: Sequence[object]) -> tuple[list[Event], list[Refused]]:
    events, refused = [], []
    for index, one in enumerate(batch):
        event_id = one.get("event_id") if isinstance(one, dict) else None
        known_id = event_id if isinstance(event_id, str) and _is_id(event_id) else None
        mistake = _mistake(one, known_id)
        if mistake is None and isinstance(one, dict) and known_id is not None:
            events.append(Event(index, known_id, _TYPES[one["type"]], one["data"]))
        else:
            refused.append(Refused(index, known_id, mistake or "an event must be an object"))
    return events, refused


def _mistake(one: object, event_id: str | None) -> str | None:
    if not isinstance(one, dict):
        return "an event must be a JSON object"
    if event_id is None:
        return f"event_id must be a string of 1 to {_LONGEST_ID} printable characters"
    if not isinstance(one.get("type"), str) or one["type"] not in _TYPES:
        return f"type must be one of {', '.join(_TYPES)}"
    data = one.get("data")
    if not isinstance(data, dict):
        return "data must be a JSON object"
    broken = next((name for name, value in data.items() if not _is_text({name: value})), None)
    return None if broken is None else f"data.{quotable(broken)} is not valid Unicode text: a lone surrogate"


def _is_text(value: object) -> bool:
    """Return whether every string in a JSON value is text: JSON can spell a lone surrogate, which is none."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _is_id(value: str) -> bool:
    return 1 <= len(value) <= _LONGEST_ID and value.isprintable()
