"""Rows of import files."""

ACCOUNT = {
    "account_id": "acc_1",
    "workspace_id": "ws_1",
    "platform": "tiktok",
    "platform_account_id": "77",
    "access_token": "act.secret-token-of-tiktok",
}
INSTANT = "created_at must be an ISO 8601 instant like 2026-06-23T10:15:30Z"


def publication(number: int, **fields: object) -> dict[str, object]:
    return {
        "post_id": f"post_{number}",
        "account_id": "acc_1",
        "platform_post_id": f"75{number:017}",
        "created_at": "2026-06-23T10:15:30Z",
    } | fields
