"""The rows of the benchmark: publications of many accounts in the order of their creation."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

WORKSPACES: Final = 100
_ACCOUNTS: Final = """
INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id, state)
SELECT 'acc_' || g, 'ws_' || g %% %s, 'instagram', 'pa_' || g, 'active' FROM generate_series(0, %s) g
"""
_FIRST: Final = datetime(2025, 6, 1, tzinfo=UTC)
_TEXT: Final = "A text of about the length that captions of pictures usually have, with a link or two."


def make_accounts(connection: "psycopg.Connection[Any]", accounts: int) -> None:
    """Store accounts, over `WORKSPACES` workspaces."""
    connection.execute(_ACCOUNTS, [WORKSPACES, accounts - 1])


def publications(first: int, number: int, accounts: int) -> Iterator[dict[str, object]]:
    """Yield rows of an import file, one a minute, the accounts in turn."""
    for n in range(first, first + number):
        created_at = _FIRST + timedelta(seconds=30 * n)
        yield {
            "post_id": f"post_{n:09}",
            "account_id": f"acc_{n % accounts}",
            "platform_post_id": f"1800000{n:010}",
            "platform_post_url": f"https://www.instagram.com/p/{n:010}/",
            "media_type": "IMAGE",
            "text": _TEXT,
            "created_at": created_at.isoformat(),
            "published_at": (created_at + timedelta(seconds=20)).isoformat(),
        }


def write(path: Path, number: int, accounts: int) -> None:
    """Write an import file as JSON Lines."""
    with path.open("w") as file:
        for row in publications(0, number, accounts):
            file.write(json.dumps(row) + "\n")
