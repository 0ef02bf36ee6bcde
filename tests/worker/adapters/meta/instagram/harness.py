"""An Instagram account with posts on the simulated platform, and the adapter that reads it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from deploy.simulators.server import Simulators
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Post
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.support import PlainMemory, PlainUpstream, account, publication
from worker.adapters.meta.instagram import Instagram
from worker.adapters.meta.instagram_metrics import METRICS
from worker.errors import RefreshError
from worker.readings import Account, Publication, Reading

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
OWNER = "17841400000000000"
INSIGHTS = {"facebook": "instagram_manage_insights", "instagram": "instagram_business_manage_insights"}
SCOPES = {
    "facebook": frozenset({"instagram_basic", "instagram_manage_insights", "pages_read_engagement"}),
    "instagram": frozenset({"instagram_business_basic", "instagram_business_manage_insights"}),
}
FEED_COUNTS = {name: number for number, name in enumerate(METRICS, start=7)}


class Harness:
    """An account with posts on the simulated Instagram, on a stopped clock."""

    def __init__(self, login: str) -> None:
        self.login = login
        self.at = NOW
        self.simulators = Simulators(now=lambda: self.at)
        self.simulators.world.add_accounts(
            [
                SimulatedAccount(
                    "instagram",
                    OWNER,
                    "IGAAsecret-token" if login == "instagram" else "EAAsecret-token",
                    login=login,
                    scopes=SCOPES[login],
                    minted_at=NOW - timedelta(days=3),
                )
            ]
        )
        self.memory = PlainMemory(lambda: self.at)
        self.adapter = Instagram(Settings())

    def publish(self, media_type: str | None, count: int = 1, **changes: Any) -> list[Publication]:
        """Add posts, and return them as the worker sees them."""
        world, made = self.simulators.world, []
        for _ in range(count):
            number = len(world.posts("instagram")) + 1
            values: dict[str, Any] = {
                "owner": OWNER,
                "created_at": self.at - timedelta(hours=12),
                "media_type": media_type,
                "counters": FEED_COUNTS,
            }
            post = Post("instagram", str(17_900_000_000_000_000 + number), **(values | changes))
            world.add_posts([post])
            made.append(
                publication(number, post.platform_post_id, media_type=media_type, created_at=post.created_at)
            )
        return made

    def connected(self, **changes: Any) -> Account:
        """Return the account as the worker sees it."""
        known = self.simulators.world.account("instagram", OWNER)
        assert known is not None
        values: dict[str, Any] = {
            "platform_account_id": OWNER,
            "login": self.login,
            "access_token": SecretStr(known.access_token),
            "scopes": known.scopes,
            "token_minted_at": known.minted_at,
        }
        return account(Platform.INSTAGRAM, **(values | changes))

    def upstream(self) -> PlainUpstream:
        """Return a job's way to the simulated platform."""
        client = httpx.Client(transport=self.simulators.transport())
        return PlainUpstream(client, now=lambda: self.at, memory=self.memory)

    def read(self, publications: list[Publication]) -> tuple[dict[int, Reading], int]:
        """Read once; return the readings by publication, and how many requests that took."""
        way = self.upstream()
        readings = list(self.adapter.fetch(way, self.connected(), publications))
        assert sorted(one.publication_id for one in readings) == sorted(one.id for one in publications)
        assert all(call.cost <= 50 for call in way.sent)
        return {one.publication_id: one for one in readings}, len(way.sent)

    def refused(self, publications: list[Publication]) -> tuple[list[Reading], RefreshError]:
        """Read what ends early; return what came and what ended it."""
        readings: list[Reading] = []
        with pytest.raises(RefreshError) as caught:
            readings.extend(self.adapter.fetch(self.upstream(), self.connected(), publications))
        return readings, caught.value
