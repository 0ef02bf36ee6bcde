"""The JSON schemas of requests and responses for ``/openapi.json``, with examples."""

from typing import Any, Final

from api_stub.docs.change_schemas import change_schemas
from api_stub.events.batch import EventType
from api_stub.events.endpoint import MAX_BATCH
from shared.vocabulary import Platform, SyncStatus

Schema = dict[str, Any]

_INSTANT: Final = {"type": "string", "format": "date-time", "description": "UTC, RFC 3339, with Z."}
_INSTANT_OR_NULL: Final = {**_INSTANT, "type": ["string", "null"]}
_STRING: Final = {"type": "string"}
_STRING_OR_NULL: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_METRICS: Final = {
    "type": "object",
    "description": "What the platform reported. A metric that it did not report is absent. 0 is a value.",
    "additionalProperties": {"type": "number"},
}


def ref(name: str) -> Schema:
    """Return a reference to one of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema, *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties, **more}


ITEM_EXAMPLE: Final[Schema] = {
    "publication_id": "4711",
    "post_id": "post_2a7f93",
    "account_id": "acc_8f2c1d",
    "platform": "instagram",
    "platform_post_id": "18000000000000000",
    "platform_post_url": "https://www.instagram.com/p/example/",
    "text": "Shipping Dravo",
    "created_at": "2026-06-23T10:15:30Z",
    "published_at": "2026-06-23T10:16:02Z",
    "metrics": {"views": 1240, "reach": 980, "likes": 84, "comments": 6, "shares": 12},
    "warnings": [],
    "sync_status": "synced",
    "error_message": None,
    "last_updated_at": "2026-06-29T09:00:00Z",
    "stale_after": "2026-06-29T15:00:00Z",
}
_STATUS_TEXT: Final = (
    "Outcome of the last completed sync. synced: every expected metric came. partial: some did not, each"
    " named by a warning. pending: none has completed yet. failed: error_message says why, the last good"
    " metrics are served. requires_reconnect: error_message says what the account's owner must do."
)
_PLATFORM: Final = {"type": "string", "enum": [platform.value for platform in Platform]}
_STATUS: Final = {
    "type": "string",
    "enum": [status.value for status in SyncStatus],
    "description": _STATUS_TEXT,
}
_WARNING: Final = {
    "type": "string",
    "pattern": "^[a-z][a-z_]*: ",
    "description": "A stable code (one of the table of warnings, or a newer one), a colon, a sentence.",
    "example": "refresh_pending: a worker is refreshing it; these are the last known values",
}

_PART: Final = {"type": "number", "minimum": 0, "maximum": 1}
_PROMISE: Final = {
    "anyOf": [
        _object(
            {
                "expected_error": {**_PART, "description": "|true - served| / (true + 20) as expected."},
                "within_5_percent": {**_PART, "description": "Probability that it is at most 0.05."},
            }
        ),
        {"type": "null"},
    ],
    "description": "With include=freshness: how near the leading counter (views, impressions; at Facebook"
    " clicks and reactions) probably is to the platform's. Null until the platform has reported it.",
}

_OVERVIEW: Final = _object(
    {
        "posts": {**_COUNT, "description": "Distinct post_ids on this page."},
        "metrics": {
            **_METRICS,
            "description": "Counters of this page's rows, added up by key. The ratio"
            " share_statistics_engagement is averaged, weighted by share_statistics_impression_count.",
        },
    }
)
_SNAPSHOT: Final = _object(
    {
        "interval_start": {**_INSTANT, "description": "Start of the hour or day; absent with interval=raw."},
        "taken_at": _INSTANT,
        "last_seen_at": {**_INSTANT, "description": "The latest read that found the same values."},
        "sync_status": ref("SyncStatus"),
        "metrics": _METRICS,
    },
    optional=("interval_start",),
)
_REFUSED_EVENT: Final = _object({"index": _COUNT, "event_id": _STRING_OR_NULL, "message": _STRING})
_BATCH_RESULT: Final = {
    "accepted": {**_COUNT, "description": "Events that were committed now."},
    "duplicates": {**_COUNT, "description": "Events that were committed before; they changed nothing."},
    "errors": {
        "type": "array",
        "items": ref("RefusedEvent"),
        "description": "Events that were refused, by index.",
    },
}
_ERROR: Final = _object(
    {
        "code": {**_STRING, "description": "A stable code, for programs."},
        "message": {**_STRING, "description": "A sentence for people."},
        "parameter": {**_STRING, "description": "The parameter that is wrong, if one is."},
        "request_id": {**_STRING, "description": "With a 5xx: the logs carry it too."},
    },
    optional=("parameter", "request_id"),
    example={
        "code": "invalid_parameter",
        "message": "limit must be a whole number from 1 to 100",
        "parameter": "limit",
    },
)

CHANGE_SCHEMAS: Final = change_schemas(_INSTANT, ref("Platform"), ITEM_EXAMPLE)

SCHEMAS: Final[Schema] = {
    "Page": _object(
        {
            "items": {"type": "array", "items": ref("Item")},
            "total": {**_COUNT, "description": "All rows that match, exact."},
            "page": {"type": "integer", "minimum": 1},
            "limit": {"type": "integer", "minimum": 1},
            "overview": ref("Overview"),
        },
        example={
            "items": [ITEM_EXAMPLE],
            "total": 1,
            "page": 1,
            "limit": 25,
            "overview": {"posts": 1, "metrics": ITEM_EXAMPLE["metrics"]},
        },
    ),
    "Overview": _OVERVIEW,
    "Item": _object(
        {
            "publication_id": {**_STRING, "description": "Stable for life; the key of a copy of these rows."},
            "post_id": {**_STRING, "description": "The Dravo post; it may have several publications."},
            "account_id": _STRING,
            "platform": ref("Platform"),
            "platform_post_id": {
                **_STRING_OR_NULL,
                "description": "The platform's id; TikTok's publish id until the public one is known.",
            },
            "platform_post_url": _STRING_OR_NULL,
            "text": _STRING_OR_NULL,
            "created_at": _INSTANT,
            "published_at": _INSTANT_OR_NULL,
            "metrics": _METRICS,
            "warnings": {"type": "array", "items": _WARNING},
            "sync_status": ref("SyncStatus"),
            "error_message": {**_STRING_OR_NULL, "description": "Null unless failed or requires_reconnect."},
            "last_updated_at": {
                **_INSTANT_OR_NULL,
                "description": "When the served metrics were read from the platform; null while pending.",
            },
            "stale_after": {**_INSTANT_OR_NULL, "description": "After this instant the row is refreshed."},
            "freshness": _PROMISE,
        },
        optional=("freshness",),
        example=ITEM_EXAMPLE,
    ),
    "History": _object(
        {
            "post_id": _STRING,
            "interval": {"type": "string", "enum": ["raw", "hour", "day"]},
            "publications": {
                "type": "array",
                "items": ref("PublicationHistory"),
            },
            "truncated": {
                "type": "boolean",
                "description": "Older snapshots were left out: narrow the range.",
            },
        },
        example={
            "post_id": "post_2a7f93",
            "interval": "day",
            "publications": [
                {
                    "publication_id": "4711",
                    "account_id": "acc_8f2c1d",
                    "platform": "instagram",
                    "platform_post_id": "18000000000000000",
                    "snapshots": [
                        {
                            "interval_start": "2026-06-29T00:00:00Z",
                            "taken_at": "2026-06-29T09:00:00Z",
                            "last_seen_at": "2026-06-29T09:00:00Z",
                            "sync_status": "synced",
                            "metrics": {"views": 1240, "likes": 84},
                        }
                    ],
                }
            ],
            "truncated": False,
        },
    ),
    **CHANGE_SCHEMAS,
    "PublicationHistory": _object(
        {
            "publication_id": _STRING,
            "account_id": _STRING,
            "platform": ref("Platform"),
            "platform_post_id": _STRING_OR_NULL,
            "snapshots": {"type": "array", "items": ref("Snapshot")},
        }
    ),
    "Snapshot": _SNAPSHOT,
    "SyncStatus": _STATUS,
    "Platform": _PLATFORM,
    "Event": _object(
        {
            "event_id": {"type": "string", "minLength": 1, "maxLength": 255},
            "type": {"type": "string", "enum": [kind.value for kind in EventType]},
            "data": {
                "type": "object",
                "description": "An account or a publication as in the import files. A reconnected,"
                " disconnected or erased account may hold account_id alone, an erased workspace its"
                " workspace_id; a deleted publication its post_id, and its account_id where it is deleted"
                " from one account only.",
            },
        },
        example={
            "event_id": "evt_91b2",
            "type": "publication.published",
            "data": {
                "post_id": "post_2a7f93",
                "account_id": "acc_8f2c1d",
                "platform_post_id": "18000000000000000",
                "created_at": "2026-06-23T10:15:30Z",
            },
        },
    ),
    "Events": {
        "oneOf": [
            ref("Event"),
            {
                "type": "array",
                "items": ref("Event"),
                "maxItems": MAX_BATCH,
            },
        ]
    },
    "RefusedEvent": _REFUSED_EVENT,
    "EventsAccepted": _object(_BATCH_RESULT, example={"accepted": 1, "duplicates": 0, "errors": []}),
    "EventsRefused": _object(
        {"error": ref("ErrorDetail"), **_BATCH_RESULT},
        example={
            "error": {"code": "events_refused", "message": "Some events were refused, each named in errors."},
            "accepted": 1,
            "duplicates": 0,
            "errors": [{"index": 1, "event_id": "evt_91b3", "message": "no account has the id acc_1"}],
        },
    ),
    "EventsOrError": {"anyOf": [ref("EventsRefused"), ref("Error")]},
    "Health": _object({"status": _STRING}, example={"status": "alive"}),
    "Readiness": _object(
        {
            "status": _STRING,
            "replica": _object(
                {
                    "state": {"enum": ["starting", "serving", "behind", "unreachable", "foreign"]},
                    "lag_seconds": {"type": ["number", "null"], "minimum": 0},
                },
                description="The replica that serves pages, if there is one; else the primary does.",
            ),
        },
        optional=("replica",),
        example={"status": "ready"},
    ),
    "ErrorDetail": _ERROR,
    "Error": _object(
        {"error": ref("ErrorDetail")},
        example={
            "error": {
                "code": "invalid_parameter",
                "message": "limit must be a whole number from 1 to 100",
                "parameter": "limit",
            }
        },
    ),
}
