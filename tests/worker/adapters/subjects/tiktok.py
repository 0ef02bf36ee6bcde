"""TikTok."""

from deploy.simulators.world import Post
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.harness import Subject
from tests.worker.adapters.subjects.parts import DAY, HOUR, NOW, account, answered, settings, used_up

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
