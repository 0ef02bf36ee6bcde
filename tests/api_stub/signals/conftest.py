"""A service that receives signals."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.api_stub import support
from tests.api_stub.signals.platforms import SETTINGS
from tests.api_stub.support import Api


@pytest.fixture
def api(database_url: str) -> Iterator[Api]:
    """Give a service that receives signals, with an account and two posts on each platform."""
    with support.api(database_url, **SETTINGS) as running:
        for platform in ("instagram", "facebook", "x", "linkedin", "tiktok"):
            running.rows.account(
                f"acc_{platform}",
                platform=platform,
                platform_account_id=f"owner_{platform}",
                platform_user_id=f"user_{platform}",
                sealed_access_token="sealed",
                state_changed_at=datetime.now(UTC) - timedelta(days=9),
            )
            running.rows.publication(
                f"acc_{platform}", platform_post_id=f"there_{platform}", post_id=platform
            )
        yield running
