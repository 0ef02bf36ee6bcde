"""The JSON schemas of the delta feed."""

from typing import Any, Final

from shared.changes.feed import ACCOUNT, DELETED, UPDATED
from shared.vocabulary import AccountState

Schema = dict[str, Any]

_STRING: Final = {"type": "string"}
_STRING_OR_NULL: Final = {"type": ["string", "null"]}
_CHANGE: Final = {
    "type": "string",
    "pattern": "^[0-9]+$",
    "description": "A decimal number that rises. Ignore a change of a publication or account that is not"
    " greater than the one you have of it.",
}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def change_schemas(instant: Schema, platform: Schema, item_example: Schema) -> Schema:
    """Return the schemas of a page of changes and of its parts."""
    head = {"change": _CHANGE, "changed_at": instant}
    publication = {**head, "publication_id": {**_STRING, "description": "Stable for life; upsert by it."}}
    erased = {**_STRING_OR_NULL, "description": "null: the publication was erased; only its number is kept."}
    ids = {
        "post_id": erased,
        "account_id": erased,
        "platform": platform,
        "platform_post_id": _STRING_OR_NULL,
    }
    account = {
        "account_id": _STRING,
        "platform": platform,
        "name": _STRING_OR_NULL,
        "state": {"type": "string", "enum": [state.value for state in AccountState]},
        "reason": {**_STRING_OR_NULL, "description": "What its owner must do while it is not active."},
    }
    account_types = [ACCOUNT + state.value for state in AccountState]
    return {
        "Changes": _page(item_example),
        "Change": {
            "oneOf": [
                {"$ref": f"#/components/schemas/{name}"}
                for name in ("AnalyticsUpdated", "AnalyticsDeleted", "AccountChanged")
            ]
        },
        "AnalyticsUpdated": _object(
            {
                "type": {"type": "string", "const": UPDATED},
                **publication,
                "item": {"$ref": "#/components/schemas/Item"},
            }
        ),
        "AnalyticsDeleted": _object(
            {"type": {"type": "string", "const": DELETED}, **publication, "item": _object(ids)}
        ),
        "AccountChanged": _object(
            {"type": {"type": "string", "enum": account_types}, **head, "account": _object(account)}
        ),
    }


def _page(item_example: Schema) -> Schema:
    """Return the schema of a page of changes."""
    return {
        **_object(
            {
                "changes": {"type": "array", "items": {"$ref": "#/components/schemas/Change"}},
                "cursor": {
                    **_STRING,
                    "maxLength": 200,
                    "description": "Where to continue, also after an empty page.",
                },
                "has_more": {"type": "boolean", "description": "false: caught up for now, not the end."},
            }
        ),
        "example": {
            "changes": [
                {
                    "type": UPDATED,
                    "change": "8431207",
                    "changed_at": "2026-06-29T09:00:01Z",
                    "publication_id": "4711",
                    "item": item_example,
                }
            ],
            "cursor": "c1_AAAB",
            "has_more": True,
        },
    }
