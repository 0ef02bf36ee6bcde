"""A simulated LinkedIn with an organization or a member, and the adapter that reads its posts."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.linkedin.linkedin import LinkedIn as SimulatedLinkedIn
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Post, World
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.harness import Outcome, drain
from tests.worker.adapters.support import NOW, account, publication, upstream
from worker.adapters.linkedin.linkedin import LinkedIn
from worker.readings import Publication, Reading

OWNER, TOKEN = "5550001", "AQ-very-secret"
FIRST = 7_390_000_000_000_000_000
COUNTERS = {
    "impressionCount": 1190,
    "uniqueImpressionsCount": 812,
    "clickCount": 41,
    "likeCount": 17,
    "commentCount": 6,
    "shareCount": 4,
}
COUNTS = {
    "share_statistics_impression_count": 1190,
    "share_statistics_unique_impressions_count": 812,
    "share_statistics_click_count": 41,
    "share_statistics_like_count": 17,
    "share_statistics_comment_count": 6,
    "share_statistics_share_count": 4,
}
METRICS: dict[str, Any] = {**COUNTS, "share_statistics_engagement": pytest.approx(68 / 1190)}
ZEROS = dict.fromkeys(COUNTS, 0)
ALL_SCOPES = ("rw_organization_admin", "r_organization_social", "r_member_postAnalytics")


class Harness:
    """A simulated LinkedIn with one account, on a stopped clock."""

    def __init__(self, kind: str = "organization") -> None:
        self.world = World(0, lambda: NOW)
        self.behaviour = Behaviour()
        self.upstream = upstream(SimulatedLinkedIn(self.world, self.behaviour).handle, now=NOW)
        self.kind = kind
        self.grant(*ALL_SCOPES)

    def grant(self, *scopes: str, **others: Any) -> None:
        """Grant these scopes and no others."""
        known = SimulatedAccount(
            "linkedin", OWNER, TOKEN, kind=self.kind, scopes=frozenset(scopes), minted_at=NOW, **others
        )
        self.world.add_accounts([known])

    def publish(self, count: int, **others: Any) -> list[Publication]:
        """Publish that many posts, shares and ugcPosts alternately; return them as the worker sees them."""
        known = len(self.world.posts())
        publications = []
        for number in range(known + 1, known + count + 1):
            urn = f"urn:li:{'share' if number % 2 else 'ugcPost'}:{FIRST + number}"
            values = {"owner": OWNER, "counters": COUNTERS, "created_at": NOW - timedelta(days=2), **others}
            self.world.add_posts([Post("linkedin", urn, **values)])
            publications.append(publication(number, urn, created_at=values["created_at"]))
        return publications

    def read(self, publications: list[Publication]) -> dict[int, Reading]:
        """Return the reading of each publication; no error may end the fetch early."""
        outcome = self.try_to_read(publications)
        assert outcome.error is None
        return {reading.publication_id: reading for reading in outcome.readings}

    def try_to_read(self, publications: list[Publication], **account_changes: Any) -> Outcome:
        """Fetch, with or without an error."""
        values = {"platform_account_id": OWNER, "access_token": SecretStr(TOKEN), "kind": self.kind}
        mine = account(Platform.LINKEDIN, **values | account_changes)
        return drain(LinkedIn(Settings()).fetch(self.upstream, mine, publications))
