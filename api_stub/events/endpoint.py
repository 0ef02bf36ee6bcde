"""``POST /internal/events``: the endpoint through which the rest of Dravo reports what happened."""

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api_stub.auth.authenticator import require_service_token
from api_stub.events.batch import BatchResult, Event, EventType, RejectedEvent
from api_stub.http import metrics
from api_stub.http.bodies import read_body
from api_stub.http.errors import ApiError, error_body, json_response, quotable, unavailable
from api_stub.service import service_of
from shared.observability import failpoints

MAX_BATCH: Final = 500
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
BODY_SECONDS: Final = 30.0
_MAX_ID_LENGTH: Final = 255
_TYPES: Final = {kind.value: kind for kind in EventType}


async def receive_events(request: Request) -> Response:
    """Commit a batch and answer 200; 400 when some events are refused: the answer names each of them."""
    service = service_of(request)
    require_service_token(request, service.settings.internal_token)
    payload = _decode(await read_body(request, max_bytes=MAX_BODY_BYTES, seconds=BODY_SECONDS))
    batch = payload if isinstance(payload, list) else [payload]
    if len(batch) > MAX_BATCH:
        raise ApiError(400, "too_many_events", f"At most {MAX_BATCH} events are accepted at once.")
    events, malformed = _validate(batch)
    try:
        result = await run_in_threadpool(service.event_processor.process, events)
    except (DBAPIError, PoolTimeoutError) as error:
        raise unavailable("database_unavailable", "Nothing was committed: send it again.", 2) from error
    failpoints.hit("event_committed")
    refused = sorted((*malformed, *result.refused), key=lambda event: event.index)
    _count(events, result)
    return _response(result, refused)


def _response(result: BatchResult, refused: Sequence[RejectedEvent]) -> Response:
    body = {
        "accepted": result.accepted,
        "duplicates": result.duplicates,
        "errors": [
            {"index": event.index, "event_id": event.event_id, "message": event.message} for event in refused
        ],
    }
    if not refused:
        return json_response(body)
    message = "Some events were refused, each named in errors; the others are committed."
    return json_response({**error_body("events_refused", message), **body}, 400)


def _count(events: Sequence[Event], result: BatchResult) -> None:
    refused = {event.index for event in result.refused}
    for event in events:
        metrics.EVENTS.labels(event.type.value, "refused" if event.index in refused else "taken").inc()


def _decode(body: bytes) -> Any:
    try:
        payload = json.loads(body.decode(), parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise ApiError(400, "invalid_body", "The body must be JSON in UTF-8.") from None
    if not isinstance(payload, dict | list):
        raise ApiError(400, "invalid_body", "The body must be one event or an array of events.")
    return payload


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _validate(batch: Sequence[object]) -> tuple[list[Event], list[RejectedEvent]]:
    events, refused = [], []
    for index, one in enumerate(batch):
        event_id = one.get("event_id") if isinstance(one, dict) else None
        valid_id = event_id if isinstance(event_id, str) and _is_id(event_id) else None
        error = _error_of(one, valid_id)
        if error is None and isinstance(one, dict) and valid_id is not None:
            events.append(Event(index, valid_id, _TYPES[one["type"]], one["data"]))
        else:
            refused.append(RejectedEvent(index, valid_id, error or "an event must be an object"))
    return events, refused


def _error_of(one: object, event_id: str | None) -> str | None:
    if not isinstance(one, dict):
        return "an event must be a JSON object"
    if event_id is None:
        return f"event_id must be a string of 1 to {_MAX_ID_LENGTH} printable characters"
    if not isinstance(one.get("type"), str) or one["type"] not in _TYPES:
        return f"type must be one of {', '.join(_TYPES)}"
    data = one.get("data")
    if not isinstance(data, dict):
        return "data must be a JSON object"
    invalid = next((name for name, value in data.items() if not _is_text(name, value)), None)
    return (
        None if invalid is None else f"data.{quotable(invalid)} is not valid Unicode text: a lone surrogate"
    )


def _is_text(name: str, value: object) -> bool:
    """Return whether every string of a field is valid text: JSON can hold lone surrogates."""
    if name.isascii() and (value is None or (isinstance(value, str) and value.isascii())):
        return True
    try:
        json.dumps({name: value}, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _is_id(value: str) -> bool:
    return 1 <= len(value) <= _MAX_ID_LENGTH and value.isprintable()
