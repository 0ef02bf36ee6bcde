"""The ``webhooks`` of the OpenAPI document: what `dravo sender` posts to an endpoint."""

from typing import Any, Final

from shared.webhooks.endpoints import DISABLED, FAILING, TEST

Schema = dict[str, Any]

_STRING: Final = {"type": "string"}


def _header(name: str, description: str) -> Schema:
    return {"name": name, "in": "header", "required": True, "schema": _STRING, "description": description}


_HEADERS: Final = [
    _header("webhook-id", "The same for the same content: drop a delivery whose id you have seen."),
    _header("webhook-timestamp", "When the attempt was made, in Unix seconds."),
    _header("webhook-signature", "v1 and the HMAC-SHA256 of id, timestamp and body; two during a rotation."),
]


def _webhook(operation_id: str, summary: str, schema: str) -> Schema:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {
        "post": {
            "operationId": operation_id,
            "summary": summary,
            "parameters": _HEADERS,
            "requestBody": {"required": True, "content": content},
            "responses": {
                "2XX": {"description": "Accepted; the body is not read."},
                "410": {"description": "The endpoint is disabled."},
                "default": {"description": "A failure: it is tried again later."},
            },
        }
    }


WEBHOOKS: Final[Schema] = {
    "changes": _webhook(
        "changesDelivered", "A run of changes of one type, in the order of the feed", "ChangesDelivery"
    ),
    "notices": _webhook("noticeDelivered", "A test, or news of the workspace's other endpoints", "Notice"),
}

WEBHOOK_SCHEMAS: Final[Schema] = {
    "ChangesDelivery": {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {**_STRING, "description": "The type of all its changes."},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {
                "type": "object",
                "required": ["workspace_id", "cursor", "has_more"],
                "properties": {
                    "workspace_id": _STRING,
                    "changes": {
                        "type": "array",
                        "items": {"$ref": "#/components/schemas/Change"},
                        "description": "Absent in thin deliveries: pull them from the cursor.",
                    },
                    "cursor": {**_STRING, "maxLength": 200},
                    "has_more": {"type": "boolean"},
                    "reset": {"type": "boolean", "description": "The endpoint starts over: forget its copy."},
                },
            },
        },
    },
    "Notice": {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"type": "string", "enum": [TEST, FAILING, DISABLED]},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {
                "type": "object",
                "required": ["workspace_id", "endpoint_id"],
                "properties": {
                    "workspace_id": _STRING,
                    "endpoint_id": _STRING,
                    "failing_since": {"type": "string", "format": "date-time"},
                    "failure": _STRING,
                    "reason": _STRING,
                },
            },
        },
    },
}
