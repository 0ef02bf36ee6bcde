"""Threads as a subject of the conformance suite."""

from collections.abc import Mapping

from deploy.simulators.world import Post
from shared.settings import Settings
from shared.vocabulary import BucketKind
from tests.worker.adapters.harness import Subject
from tests.worker.adapters.subjects.parts import DAY, NOW, account, used_up
from tests.worker.adapters.threads.constants import THREADS, ThreadsSettings

METRICS = {"views": 900, "likes": 41, "replies": 7, "reposts": 3, "quotes": 1, "shares": 2}


def settings(urls: Mapping[str, str]) -> Settings:
    """Return settings for the simulated host."""
    return ThreadsSettings(threads_api_url=urls["threads"])


def post(number: int) -> Post:
    """Return a post on Threads."""
    return Post("threads", str(18_100_000_000_000_000 + number), "7001", NOW - 2 * DAY, counters=METRICS)


SUBJECT = Subject(
    label="threads",
    platform=THREADS,
    settings=settings,
    account=account(
        THREADS,
        "7001",
        "THAAthreads-secret-0008",
        scopes=frozenset({"threads_basic", "threads_manage_insights"}),
    ),
    post=post,
    metrics=METRICS,
    requests_for_a_full_batch=20,
    batch_size=20,
    refusals=(used_up("the profile's limit", "profile", BucketKind.ACCOUNT, sliding=True),),
    scope="threads_manage_insights",
    renewable=False,
    renews=True,
    misconfigured={
        "faults": [{"times": None, "status": 400, "text": '{"error": {"code": 101, "message": ""}}'}]
    },
)
