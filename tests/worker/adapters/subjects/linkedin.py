"""LinkedIn's organizations and members."""

from typing import Any

from deploy.simulators.server import HOSTS
from deploy.simulators.world import Post
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.harness import Subject
from tests.worker.adapters.subjects.parts import DAY, NOW, account, settings, used_up

ORGANIZATION_COUNTERS = {
    "impressionCount": 1190,
    "uniqueImpressionsCount": 812,
    "clickCount": 41,
    "likeCount": 17,
    "commentCount": 6,
    "shareCount": 4,
}
ORGANIZATION_METRICS = {
    "share_statistics_impression_count": 1190,
    "share_statistics_unique_impressions_count": 812,
    "share_statistics_click_count": 41,
    "share_statistics_like_count": 17,
    "share_statistics_comment_count": 6,
    "share_statistics_share_count": 4,
}
LINKEDIN_LIMITS = (
    used_up("the application's day", "application_day", BucketKind.ENDPOINT, sliding=False),
    used_up("the member's day", "member_day", BucketKind.ACCOUNT, sliding=False),
)


def linkedin(kind: str, owner: str, **others: Any) -> Subject:
    """Return what organizations and members have in common."""

    def post(number: int) -> Post:
        what = "share" if number % 2 else "ugcPost"
        urn = f"urn:li:{what}:{7_390_000_000_000_000_000 + number}"
        return Post("linkedin", urn, owner, NOW - 2 * DAY, counters=ORGANIZATION_COUNTERS)

    values: dict[str, Any] = {
        "label": f"linkedin-{kind}",
        "platform": Platform.LINKEDIN,
        "settings": settings,
        "post": post,
        "refusals": LINKEDIN_LIMITS,
        "renewable": True,
        "renews": True,
        "misconfigured": {"sunset_versions": [settings(dict.fromkeys(HOSTS, "http://x")).linkedin_version]},
    }
    return Subject(**(values | others))


LINKEDIN_ORGANIZATION = linkedin(
    "organization",
    "5550001",
    account=account(
        Platform.LINKEDIN,
        "5550001",
        "AQlinkedin-secret-0005",
        kind="organization",
        refresh_token="AQlinkedin-refresh-0005",
        scopes=frozenset({"rw_organization_admin", "r_organization_social"}),
    ),
    metrics={**ORGANIZATION_METRICS, "share_statistics_engagement": 68 / 1190},
    requests_for_a_full_batch=1,
    scope="rw_organization_admin",
)
LINKEDIN_MEMBER = linkedin(
    "member",
    "AbCdEfGh",
    account=account(
        Platform.LINKEDIN,
        "AbCdEfGh",
        "AQlinkedin-secret-0006",
        kind="member",
        refresh_token="AQlinkedin-refresh-0006",
        scopes=frozenset({"r_member_postAnalytics", "r_member_social"}),
    ),
    metrics=ORGANIZATION_METRICS,
    requests_for_a_full_batch=120,
    scope="r_member_postAnalytics",
)
