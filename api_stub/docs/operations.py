"""The operations of the OpenAPI document, made from the constants that the endpoints use."""

from typing import Any, Final

from api_stub.changes.parameters import DEFAULT_LIMIT, PRESENT
from api_stub.docs import samples
from api_stub.docs.schemas import Schema, ref
from api_stub.posts.parameters import MAX_ID_LENGTH, MAX_LIMIT, MAX_PAGE
from shared.changes.cursor import MAX_LENGTH
from shared.changes.feed import MAX_LIMIT as MAX_CHANGES
from shared.vocabulary import Platform

_REQUEST_ID: Final = {
    "X-Request-ID": {"schema": {"type": "string"}, "description": "The id of the request, also in the logs."}
}
_RETRY_AFTER: Final = {
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."},
    **_REQUEST_ID,
}
_BEARER: Final = {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}, **_REQUEST_ID}
_VALIDATED: Final = {
    "ETag": {"schema": {"type": "string"}, "description": "Send it as If-None-Match to ask for changes."},
    **_REQUEST_ID,
}
_PAGED: Final = {
    "Link": {
        "schema": {"type": "string"},
        "description": "The first, previous, next and last page (RFC 8288).",
    },
    **_VALIDATED,
}
ANALYTICS, EVENTS, SERVICE = "Analytics", "Events", "Service"
TAGS: Final[list[Schema]] = [
    {"name": ANALYTICS, "description": "The metrics of published posts, and their history."},
    {"name": EVENTS, "description": "How the rest of Dravo reports what happened to accounts and posts."},
    {"name": SERVICE, "description": "For monitoring and tools."},
]
_CALLER: Final[list[Schema]] = [{"apiKey": []}, {"dashboardToken": []}]


def _json(description: str, schema: str, headers: Schema = _REQUEST_ID) -> Schema:
    content = {"application/json": {"schema": ref(schema)}}
    return {"description": description, "headers": headers, "content": content}


def _text(description: str, media_type: str) -> Schema:
    return {
        "description": description,
        "headers": _REQUEST_ID,
        "content": {media_type: {"schema": {"type": "string"}}},
    }


_UNCHANGED: Final[Schema] = {
    "description": "The answer is still the one with the ETag in If-None-Match.",
    "headers": _VALIDATED,
}
_FAILURES: Final[Schema] = {
    "400": _json("A parameter is wrong: it is named, with what is allowed.", "Error"),
    "401": _json("No valid credential; the body does not say which rule failed.", "Error", _BEARER),
    "404": _json("No publication of this workspace has the id.", "Error"),
    "410": _json("The cursor has expired: start again without one.", "Error"),
    "408": _json("The body did not arrive in time.", "Error"),
    "413": _json("The body is too large.", "Error"),
    "429": _json("Too many forced refreshes with this credential.", "Error", _RETRY_AFTER),
    "500": _json("Something failed on our side; request_id finds it in the logs.", "Error"),
    "503": _json("Overload, or the database does not answer: try again later.", "Error", _RETRY_AFTER),
}


def _failures(*statuses: str) -> Schema:
    return {status: _FAILURES[status] for status in (*statuses, "500", "503")}


def _parameter(name: str, schema: Schema, description: str, example: Any, where: str = "query") -> Schema:
    required = {"required": True} if where == "path" else {}
    return {
        "name": name,
        "in": where,
        "description": description,
        "schema": schema,
        "example": example,
        **required,
    }


_ID: Final = {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH, "pattern": r"^[^\u0000]+$"}
_DATE: Final = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
_FROM: Final = _parameter(
    "fromDate",
    _DATE,
    "The first instant or UTC day. An instant without offset is UTC.",
    "2026-06-01",
)
_TO: Final = _parameter("toDate", _DATE, "The last instant or UTC day, included.", "2026-06-23")
_POST_PARAMETERS: Final = [
    _parameter("postId", _ID, "A Dravo post id or a platform post id.", "post_2a7f93"),
    _parameter("accountId", _ID, "A connected account's id.", "acc_8f2c1d"),
    _parameter("platform", {"type": "string", "enum": [one.value for one in Platform]}, "A platform.", "x"),
    _FROM,
    _TO,
    _parameter(
        "refresh",
        {"type": "string", "enum": ["true", "false", "1", "0"], "default": "false"},
        "true: every row of the page is read from its platform again, and waited for up to a limit. A row"
        " that was not refreshed in time has the warning refresh_pending; one that was read moments ago has"
        " refresh_debounced.",
        "false",
    ),
    _parameter("page", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 1}, "From 1.", 1),
    _parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 25}, "Rows a page.", 25
    ),
    _parameter(
        "include",
        {"type": "string", "enum": ["freshness"]},
        "freshness: each item says which error of its leading counter is expected now.",
        "freshness",
    ),
]
_HISTORY_PARAMETERS: Final = [
    _parameter("post_id", _ID, "A Dravo post id or a platform post id.", "post_2a7f93", "path"),
    _FROM,
    _TO,
    _parameter(
        "interval",
        {"type": "string", "enum": ["raw", "hour", "day"], "default": "raw"},
        "raw: every snapshot. hour, day: the last one of each.",
        "day",
    ),
]

_CHANGES_PARAMETERS: Final = [
    _parameter(
        "cursor",
        {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH},
        "The cursor of the page before. Absent: from the beginning. now: no changes, the present's cursor.",
        PRESENT,
    ),
    _parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_CHANGES, "default": DEFAULT_LIMIT},
        "Changes a page.",
        DEFAULT_LIMIT,
    ),
]


def _operation(tag: str, operation_id: str, summary: str, responses: Schema, **more: Any) -> Schema:
    return {"tags": [tag], "operationId": operation_id, "summary": summary, **more, "responses": responses}


PATHS: Final[Schema] = {
    "/v1/analytics/posts": {
        "get": _operation(
            ANALYTICS,
            "listPosts",
            "List posts",
            {"200": _json("The page.", "Page", _PAGED), "304": _UNCHANGED, **_failures("400", "401", "429")},
            description="A page of analytics rows, the newest first, with exact totals. Rows past their"
            " `stale_after` are served as they stand and refreshed.",
            security=_CALLER,
            parameters=_POST_PARAMETERS,
            **samples.LIST_POSTS,
        )
    },
    "/v1/analytics/posts/{post_id}/history": {
        "get": _operation(
            ANALYTICS,
            "listHistory",
            "Get a post's history",
            {
                "200": _json("The snapshots.", "History", _VALIDATED),
                "304": _UNCHANGED,
                **_failures("400", "401", "404"),
            },
            description="The snapshots of a post over time, by publication, the oldest first: for charts.",
            security=_CALLER,
            parameters=_HISTORY_PARAMETERS,
            **samples.LIST_HISTORY,
        )
    },
    "/v1/analytics/changes": {
        "get": _operation(
            ANALYTICS,
            "listChanges",
            "List changes",
            {"200": _json("The changes.", "Changes"), **_failures("400", "401", "410")},
            description="What changed since a cursor, in an order that one cursor follows for ever: of each"
            " publication the newest state, at least once; states in between may be left out, and a change"
            " may come twice. The first walk and following the present are the same loop. Reading makes"
            " nothing due.",
            security=_CALLER,
            parameters=_CHANGES_PARAMETERS,
            **samples.LIST_CHANGES,
        )
    },
    "/internal/events": {
        "post": _operation(
            EVENTS,
            "receiveEvents",
            "Report events",
            {
                "200": _json("Every event is committed, now or before.", "EventsAccepted"),
                **_failures("401", "408", "413"),
                "400": _json(
                    "The body is wrong and nothing is committed, or events were refused: each is named in"
                    " errors, and all others are committed.",
                    "EventsOrError",
                ),
            },
            description="What happened elsewhere in Dravo: one event or an array, processed in order."
            " Idempotent by `event_id`; after a 2xx every event is committed.",
            security=[{"serviceToken": []}],
            **samples.RECEIVE_EVENTS,
            requestBody={
                "required": True,
                "content": {"application/json": {"schema": ref("Events")}},
            },
        )
    },
    "/healthz": {
        "get": _operation(SERVICE, "alive", "Liveness", {"200": _json("The process runs.", "Health")}),
    },
    "/readyz": {
        "get": _operation(
            SERVICE,
            "ready",
            "Readiness",
            {"200": _json("The service can answer.", "Readiness"), **_failures()},
        ),
    },
    "/metrics": {
        "get": _operation(
            SERVICE,
            "metrics",
            "Metrics of this process",
            {"200": _text("The metrics of this process.", "text/plain")},
        ),
    },
    "/openapi.json": {
        "get": _operation(
            SERVICE,
            "openapi",
            "OpenAPI document",
            {
                "200": {
                    "description": "OpenAPI 3.1.",
                    "headers": _REQUEST_ID,
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        ),
    },
}
