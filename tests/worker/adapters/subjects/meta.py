"""Facebook Pages, and Instagram with both logins."""

import json
from typing import Any

from deploy.simulators.world import Application, Post
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.harness import Subject
from tests.worker.adapters.subjects.parts import (
    APP_ID,
    APP_SECRET,
    DAY,
    NOW,
    account,
    answered,
    settings,
    used_up,
)


def graph_error(code: int, message: str = "", **more: Any) -> str:
    """Return Meta's error envelope."""
    error = {"message": f"(#{code}) {message}", "type": "OAuthException", "code": code, **more}
    return json.dumps({"error": error})


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
