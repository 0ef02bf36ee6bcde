"""The platforms that take part in the conformance suite, one `Subject` each."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from deploy.simulators import linkedin_oauth, tiktok_oauth, x_oauth
from deploy.simulators.world import Account, Application, Post
from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.rig import Refusal, Subject

NOW: Final = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
APP_ID, APP_SECRET = "1234567890", "meta-app-secret-0123456789abcdef"
URLS: Final = {
    "meta_graph": "meta_graph_url",
    "instagram_graph": "instagram_graph_url",
    "x": "x_api_url",
    "linkedin": "linkedin_api_url",
    "linkedin_oauth": "linkedin_oauth_url",
    "tiktok": "tiktok_api_url",
}


def settings(urls: Mapping[str, str], **others: Any) -> Settings:
    """Return settings for simulated platforms at these URLs, with our applications' credentials."""
    values: dict[str, Any] = {
        "meta_app_id": APP_ID,
        "meta_app_secret": APP_SECRET,
        "x_client_id": x_oauth.CLIENT_ID,
        "x_client_secret": x_oauth.CLIENT_SECRET,
        "linkedin_client_id": linkedin_oauth.CLIENT_ID,
        "linkedin_client_secret": linkedin_oauth.CLIENT_SECRET,
        "tiktok_client_key": tiktok_oauth.CLIENT_KEY,
        "tiktok_client_secret": tiktok_oauth.CLIENT_SECRET,
    }
    hosts = {setting: urls[host] for host, setting in URLS.items()}
    return Settings(**(values | hosts | others))


def account(platform: Platform, platform_account_id: str, token: str, **others: Any) -> Account:
    """Return a simulated account that was connected two days ago."""
    values: dict[str, Any] = {
        "access_token_expires_at": NOW + 30 * DAY,
        "minted_at": NOW - 2 * DAY,
        "name": "Dravo",
    }
    return Account(platform.value, platform_account_id, token, **(values | others))


def used_up(label: str, bucket: str, kind: BucketKind, *, sliding: bool, **others: Any) -> Refusal:
    """Return the refusal after the one good read that the suite begins with."""
    limit = {"calls": 1, "seconds": 86_400 if not sliding else 60, "sliding": sliding}
    return Refusal(label, {"limits": {bucket: limit}, **others}, kind)


def answered(label: str, kind: BucketKind, status: int, text: str, **headers: str) -> Refusal:
    """Return a refusal that the platform is known to send, word by word."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    fault = {"times": None, "status": status, "text": text, "headers": named}
    return Refusal(label, {"faults": [fault]}, kind)


def graph_error(code: int, message: str = "", **more: Any) -> str:
    """Return Meta's error envelope."""
    error = {"message": f"(#{code}) {message}", "type": "OAuthException", "code": code, **more}
    return json.dumps({"error": error})


# Meta

META_LIMITS = (
    used_up("the app's limit", "app", BucketKind.APP, sliding=True),
    answered("code 4", BucketKind.APP, 403, graph_error(4, is_transient=True)),
    answered("code 4 in a 200", BucketKind.APP, 200, graph_error(4)),
    answered("code 341", BucketKind.APP, 400, graph_error(341)),
    answered("code 17", BucketKind.ACCOUNT, 400, graph_error(17)),
    answered("code 613", BucketKind.ACCOUNT, 400, graph_error(613, error_subcode=1996)),
    answered("code 80002", BucketKind.ACCOUNT, 429, graph_error(80002)),
    answered("code 80014", BucketKind.ACCOUNT, 400, graph_error(80014)),
)
INSTAGRAM_METRICS = {
    "views": 2257,
    "reach": 1408,
    "likes": 76,
    "comments": 23,
    "shares": 15,
    "saved": 2,
    "total_interactions": 119,
}
INSTAGRAM_SCOPES = frozenset({"instagram_basic", "instagram_manage_insights", "pages_read_engagement"})
INSTAGRAM_LOGIN_SCOPES = frozenset({"instagram_business_basic", "instagram_business_manage_insights"})
META_APPLICATIONS = (Application("meta", APP_ID, APP_SECRET, proof_required=True),)
NO_PROOF = graph_error(100, "API calls from the server require an appsecret_proof argument")


def media(number: int) -> Post:
    """Return an Instagram post."""
    return Post(
        "instagram",
        str(17_900_000_000_000_000 + number),
        "17841400000000000",
        NOW - 2 * DAY,
        media_type="IMAGE",
        counters=INSTAGRAM_METRICS,
    )


def instagram(login: str, **others: Any) -> Subject:
    """Return what both ways to log in have in common."""
    values: dict[str, Any] = {
        "label": f"instagram-{login}-login",
        "platform": Platform.INSTAGRAM,
        "settings": settings,
        "post": media,
        "metrics": INSTAGRAM_METRICS,
        "refusals": (
            *META_LIMITS,
            used_up("the account's limit", "account", BucketKind.ACCOUNT, sliding=True),
        ),
        "renewable": False,
        "misconfigured": {"faults": [{"times": None, "status": 400, "text": NO_PROOF}]},
    }
    return Subject(**(values | others))


INSTAGRAM_WITH_FACEBOOK_LOGIN = instagram(
    "facebook",
    account=account(
        Platform.INSTAGRAM,
        "17841400000000000",
        "EAAinstagram-secret-0001",
        login="facebook",
        scopes=INSTAGRAM_SCOPES,
    ),
    requests_for_a_full_batch=1,
    scope="instagram_manage_insights",
    renews=False,
    applications=META_APPLICATIONS,
)
INSTAGRAM_WITH_INSTAGRAM_LOGIN = instagram(
    "instagram",
    account=account(
        Platform.INSTAGRAM,
        "17841400000000000",
        "IGAAinstagram-secret-0002",
        login="instagram",
        scopes=INSTAGRAM_LOGIN_SCOPES,
    ),
    requests_for_a_full_batch=2,
    scope="instagram_business_manage_insights",
    renews=True,
)


def page_post(number: int) -> Post:
    """Return a Facebook Page's post."""
    return Post(
        "facebook",
        f"1000_{2000 + number}",
        "1000",
        NOW - 2 * DAY,
        counters={"post_clicks": 41, "like": 30, "love": 7, "haha": 1, "sorry": 1},
    )


FACEBOOK = Subject(
    label="facebook",
    platform=Platform.FACEBOOK,
    settings=settings,
    account=account(
        Platform.FACEBOOK,
        "1000",
        "EAAfacebook-secret-0003",
        kind="page",
        scopes=frozenset({"read_insights", "pages_read_engagement"}),
    ),
    post=page_post,
    metrics={"post_clicks": 41, "post_reactions_by_type_total": 39},
    requests_for_a_full_batch=1,
    refusals=(
        *META_LIMITS,
        used_up("the Page's limit", "page", BucketKind.ACCOUNT, sliding=True),
        answered("code 32", BucketKind.ACCOUNT, 400, graph_error(32, "Page request limit reached")),
    ),
    scope="pages_read_engagement",
    renewable=False,
    renews=False,
    applications=META_APPLICATIONS,
    misconfigured={"faults": [{"times": None, "status": 400, "text": NO_PROOF}]},
)

# X

X_METRICS = {
    "impression_count": 2913,
    "like_count": 58,
    "retweet_count": 7,
    "reply_count": 3,
    "quote_count": 1,
    "bookmark_count": 4,
}


def x_post(number: int) -> Post:
    """Return a post that is too old for private metrics."""
    post_id = str(1_990_000_000_000_000_000 + number)
    return Post("x", post_id, "2244994945", NOW - 45 * DAY, counters=X_METRICS)


X_USED_UP = ("tweets:user", BucketKind.ACCOUNT)
X = Subject(
    label="x",
    platform=Platform.X,
    settings=settings,
    account=account(
        Platform.X,
        "2244994945",
        "x-access-secret-0004",
        refresh_token="x-refresh-secret-0004",
        scopes=frozenset({"tweet.read", "users.read", "offline.access"}),
        access_token_expires_at=NOW + 2 * HOUR,
    ),
    post=x_post,
    metrics=X_METRICS,
    requests_for_a_full_batch=1,
    refusals=(
        used_up("the user's limit", *X_USED_UP, sliding=False),
        used_up("without headers", *X_USED_UP, sliding=False, limit_headers="absent"),
        used_up("with broken headers", *X_USED_UP, sliding=False, limit_headers="malformed"),
        used_up("in the old envelope", *X_USED_UP, sliding=False, legacy_refusals=True),
        replace(
            used_up("the month's cap", "post_reads_per_month", BucketKind.APP, sliding=False),
            longest=31 * DAY,
        ),
        Refusal("out of credits", {"credits_depleted": True}, BucketKind.APP),
        answered("a bare 402", BucketKind.APP, 402, ""),
    ),
    scope="tweet.read",
    renewable=True,
    renews=True,
    misconfigured={"not_enrolled": True},
)

# LinkedIn

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
        "misconfigured": {"sunset_versions": [settings(dict.fromkeys(URLS, "http://x")).linkedin_version]},
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

# TikTok

TIKTOK_METRICS = {"view_count": 15_420, "like_count": 988, "comment_count": 41, "share_count": 63}


def video(number: int) -> Post:
    """Return a TikTok video."""
    video_id = str(7_560_000_000_000_000_000 + number)
    return Post("tiktok", video_id, "_000dravo", NOW - 2 * DAY, counters=TIKTOK_METRICS)


TIKTOK = Subject(
    label="tiktok",
    platform=Platform.TIKTOK,
    settings=settings,
    account=account(
        Platform.TIKTOK,
        "_000dravo",
        "act.tiktok-secret-0007",
        refresh_token="rft.tiktok-secret-0007",
        scopes=frozenset({"video.list", "video.publish"}),
        access_token_expires_at=NOW + 2 * HOUR,
    ),
    post=video,
    metrics=TIKTOK_METRICS,
    requests_for_a_full_batch=1,
    refusals=(
        used_up("the app's minute", "video/query", BucketKind.ENDPOINT, sliding=True),
        answered(
            "in a 200",
            BucketKind.ENDPOINT,
            200,
            '{"data": {}, "error": {"code": "rate_limit_exceeded", "message": "", "log_id": "1"}}',
        ),
        answered("without an envelope", BucketKind.ENDPOINT, 429, '{"code": "rate_limit_exceeded"}'),
    ),
    scope="video.list",
    renewable=True,
    renews=True,
    misconfigured={
        "faults": [{"times": None, "status": 400, "text": '{"error": {"code": "invalid_params"}}'}]
    },
)

SUBJECTS: Final = (
    INSTAGRAM_WITH_FACEBOOK_LOGIN,
    INSTAGRAM_WITH_INSTAGRAM_LOGIN,
    FACEBOOK,
    X,
    LINKEDIN_ORGANIZATION,
    LINKEDIN_MEMBER,
    TIKTOK,
)
