"""A Facebook Page with posts on the simulated platform, the adapter that reads it, and answers by hand."""

import json
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
from tests.worker.adapters.support import PlainMemory, PlainUpstream, account, publication, reply
from worker.adapters.meta.facebook import Facebook
from worker.errors import RefreshError
from worker.readings import Account, Publication, Reading

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PAGE = "1000"
SCOPES = frozenset({"read_insights", "pages_read_engagement"})
GONE = "metric_unavailable: post_engaged_users is no longer offered by Facebook"
NUMBERS = {"post_clicks": 41, "post_reactions_by_type_total": 39}
COUNTERS = {"post_clicks": 41, "like": 30, "love": 7, "haha": 1, "wow": 0, "sorry": 1, "anger": 0}


class Harness:
    """A Page with posts on the simulated Facebook, on a stopped clock."""

    def __init__(self, **settings: Any) -> None:
        self.at = NOW
        self.simulators = Simulators(now=lambda: self.at)
        self.simulators.world.add_accounts(
            [SimulatedAccount("facebook", PAGE, "EAAsecret-token", kind="page", scopes=SCOPES)]
        )
        self.memory = PlainMemory(lambda: self.at)
        self.adapter = Facebook(Settings(**settings))

    def publish(self, count: int = 1, **changes: Any) -> list[Publication]:
        """Add posts, and return them as the worker sees them."""
        made = []
        for _ in range(count):
            number = len(self.simulators.world.posts("facebook")) + 1
            values: dict[str, Any] = {
                "platform_post_id": f"{PAGE}_{2000 + number}",
                "owner": PAGE,
                "created_at": NOW - timedelta(days=1),
                "counters": COUNTERS,
            }
            post = Post("facebook", **(values | changes))
            self.simulators.world.add_posts([post])
            made.append(publication(number, post.platform_post_id, created_at=post.created_at))
        return made

    def connected(self, **changes: Any) -> Account:
        """Return the account as the worker sees it."""
        token = SecretStr("EAAsecret-token")
        return account(Platform.FACEBOOK, **({"platform_account_id": PAGE, "access_token": token} | changes))

    def upstream(self) -> PlainUpstream:
        """Return a job's way to the simulated platform."""
        client = httpx.Client(transport=self.simulators.transport())
        return PlainUpstream(client, now=lambda: self.at, memory=self.memory)

    def read(self, publications: list[Publication]) -> tuple[dict[int, Reading], int]:
        """Read once; return the readings by publication, and how many requests that took."""
        way = self.upstream()
        readings = list(self.adapter.fetch(way, self.connected(), publications))
        assert sorted(one.publication_id for one in readings) == sorted(one.id for one in publications)
        return {one.publication_id: one for one in readings}, len(way.sent)

    def refused(self, publications: list[Publication]) -> tuple[list[Reading], RefreshError]:
        """Read what ends early; return what came and what ended it."""
        readings: list[Reading] = []
        with pytest.raises(RefreshError) as caught:
            readings.extend(self.adapter.fetch(self.upstream(), self.connected(), publications))
        return readings, caught.value


def items(request: httpx.Request) -> list[str]:
    """Return the relative URLs of a batch."""
    form = httpx.QueryParams(request.content.decode())
    return [one["relative_url"] for one in json.loads(form["batch"])]


def batch(*items: object) -> httpx.Response:
    """Return the answer to a batch."""
    return reply(list(items))


def item(body: object, code: int = 200) -> dict[str, object]:
    """Return one item of a batch's answer."""
    return {"code": code, "body": json.dumps(body)}


def error(code: int, message: str, **more: object) -> dict[str, object]:
    """Return Meta's error envelope."""
    return {"error": {"code": code, "message": message, "type": "OAuthException", **more}}
