"""A simulated X with one account, and an X with prepared answers."""

from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Post, World
from deploy.simulators.x.oauth import CLIENT_ID, CLIENT_SECRET
from deploy.simulators.x.x import X as SimulatedX
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.answers import read_from
from tests.worker.adapters.harness import Outcome
from tests.worker.adapters.support import NOW, account, publication, upstream
from worker.adapters.x.x import PUBLIC, X
from worker.readings import Account, Publication, Reading

OWNER, TOKEN = "2244994945", "x-access-very-secret"
OLD, YOUNG = NOW - timedelta(days=45), NOW - timedelta(days=2)
COUNTERS = {key: number for number, key in enumerate(PUBLIC, 10)}
PRIVATE = {"url_link_clicks": 5, "user_profile_clicks": 6, "engagements": 70}
PROBLEM = "https://api.twitter.com/2/problems/"
SETTINGS = Settings(x_client_id=CLIENT_ID, x_client_secret=SecretStr(CLIENT_SECRET))
OWN = account(
    Platform.X,
    platform_account_id=OWNER,
    access_token=SecretStr(TOKEN),
    refresh_token=SecretStr("x-refresh-very-secret"),
)


class Harness:
    """A simulated X with one account, on a stopped clock."""

    def __init__(self) -> None:
        self.world = World(0, lambda: NOW)
        self.behaviour = Behaviour()
        self.simulator = SimulatedX(self.world, self.behaviour)
        self.upstream = upstream(self.simulator.handle, now=NOW)
        scopes = frozenset({"tweet.read", "users.read"})
        for owner, token in ((OWNER, TOKEN), ("1", "x-other-very-secret")):
            known = SimulatedAccount("x", owner, token, refresh_token=f"{token}-refresh", scopes=scopes)
            self.world.add_accounts([known])

    def publish(self, count: int, created_at: datetime = OLD, **others: Any) -> list[Publication]:
        """Publish that many posts, and return them as the worker sees them."""
        known = len(self.world.posts())
        publications = []
        for number in range(known + 1, known + count + 1):
            values = {"owner": OWNER, "counters": COUNTERS | PRIVATE, **others}
            post = Post("x", str(1_990_000_000_000_000_000 + number), created_at=created_at, **values)
            self.world.add_posts([post])
            publications.append(publication(number, post.platform_post_id, created_at=created_at))
        return publications

    def read(
        self, publications: list[Publication], *, adapter: X | None = None, by: Account = OWN
    ) -> dict[int, Reading]:
        """Return the reading of each publication."""
        adapter = adapter or X(SETTINGS)
        return {one.publication_id: one for one in adapter.fetch(self.upstream, by, publications)}


def read(
    *answers: httpx.Response,
    count: int = 1,
    created_at: datetime = OLD,
    by: Account = OWN,
    settings: Settings = SETTINGS,
) -> Outcome:
    """Fetch posts 1, 2 … from a platform with these answers."""
    publications = [publication(number, str(number), created_at=created_at) for number in range(1, count + 1)]
    return read_from(X(settings), by, publications, *answers)


def post(number: int, **others: Any) -> dict[str, Any]:
    return {"id": str(number), "public_metrics": COUNTERS, **others}
