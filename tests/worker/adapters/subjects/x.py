"""X."""

from dataclasses import replace

from deploy.simulators.world import Post
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.harness import Refusal, Subject
from tests.worker.adapters.subjects.parts import DAY, HOUR, NOW, account, answered, settings, used_up

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
