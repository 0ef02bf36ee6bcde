"""A simulated TikTok with one account, and a TikTok with prepared answers."""

from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.tiktok.tiktok import TikTok as SimulatedTikTok
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Post, World
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.answers import read_from
from tests.worker.adapters.harness import Outcome, drain
from tests.worker.adapters.support import NOW, account, publication, reply, upstream
from worker.adapters.tiktok import METRICS, TikTok
from worker.readings import Publication, Reading

OWNER, TOKEN = "_000dravo", "act.very-secret"
COUNTERS = {key: number for number, key in enumerate(METRICS, 10)}
OWN = account(Platform.TIKTOK, platform_account_id=OWNER, access_token=SecretStr(TOKEN))
FIRST = 7_560_000_000_000_000_000
PUBLISH_ID = "v_pub_file~v2.123456789"


class Harness:
    """A simulated TikTok with one account, on a stopped clock."""

    def __init__(self) -> None:
        self.world = World(0, lambda: NOW)
        self.behaviour = Behaviour()
        self.upstream = upstream(SimulatedTikTok(self.world, self.behaviour).handle, now=NOW)
        self.grant("video.list", "video.publish")

    def grant(self, *scopes: str) -> None:
        """Grant these scopes and no others."""
        self.world.add_accounts([SimulatedAccount("tiktok", OWNER, TOKEN, scopes=frozenset(scopes))])

    def publish(self, count: int, *, resolved_at: datetime | None = None, **others: Any) -> list[Publication]:
        """Publish that many videos, and return them as the worker sees them."""
        known = len(self.world.posts())
        publications = []
        for number in range(known + 1, known + count + 1):
            values = {"owner": OWNER, "counters": COUNTERS, "created_at": NOW - timedelta(days=2), **others}
            post = Post("tiktok", str(FIRST + number), resolved_at=resolved_at, **values)
            self.world.add_posts([post])
            publications.append(publication(number, post.platform_post_id))
        return publications

    def unresolved(self, count: int, *, resolved_at: datetime | None = None) -> list[Publication]:
        """Publish videos of which only the publish ids are known."""
        publications = []
        for _ in range(count):
            publish_id = f"{PUBLISH_ID}{len(self.world.posts())}"
            published = self.publish(1, resolved_at=resolved_at, publish_id=publish_id)[0]
            publications.append(publication(published.id, None, publish_id=publish_id))
        return publications

    def read(self, publications: list[Publication]) -> dict[int, Reading]:
        """Return the reading of each publication; no error may end the fetch early."""
        outcome = self.try_to_read(publications)
        assert outcome.error is None
        return {reading.publication_id: reading for reading in outcome.readings}

    def try_to_read(self, publications: list[Publication]) -> Outcome:
        """Fetch, with or without an error."""
        return drain(TikTok(Settings()).fetch(self.upstream, OWN, publications))


def read(answer: httpx.Response, count: int = 1) -> Outcome:
    """Fetch videos from a platform with this answer."""
    publications = [publication(number, str(FIRST + number)) for number in range(1, count + 1)]
    return read_from(TikTok(Settings()), OWN, publications, answer)


def ok(*videos: object) -> httpx.Response:
    return reply({"data": {"videos": list(videos)}, "error": {"code": "ok", "message": "", "log_id": "1"}})


def video(number: int, **others: Any) -> dict[str, Any]:
    return {"id": str(FIRST + number), **COUNTERS, **others}


def refused(status: int, code: str) -> httpx.Response:
    return reply({"data": {}, "error": {"code": code, "message": "", "log_id": "1"}}, status)
