"""LinkedIn Community Management API: the statistics of organizations' and of members' posts.

Organizations: ``GET /rest/organizationalEntityShareStatistics`` with ``shares=List(…)`` and ``ugcPosts=List(…)``,
scope ``rw_organization_admin`` and the page role ADMINISTRATOR: 20 posts cost one call. Organic numbers only,
lifetime totals, of the last 12 months. LinkedIn leaves out posts without activity, so an absent post younger
than that is looked up with ``GET /rest/posts?ids=List(…)`` (scope ``r_organization_social``). A job adds at most:

- one call more where a page of ten came back instead of the whole list;
- where the call is refused (403, 400): one for the organization alone, which tells a lost role from a foreign
  post, and 38 to find the posts by halves (8 for one bad post in 20);
- one lookup for all absent posts.

Members: ``GET /rest/memberCreatorPostAnalytics``, scope ``r_member_postAnalytics``, one metric of one post a
call: six calls a post.

Quirks: Rest.li 2.0 wants each URN encoded and ``List(``, commas and ``)`` literal; the version header is
mandatory and a version ends after a year with a 426; 65601 ("revoked") is also said of tokens minted seconds
ago; limits are daily, end at 00:00 UTC, and no header tells them.

https://learn.microsoft.com/en-us/linkedin/marketing/community-management/organizations/share-statistics
https://learn.microsoft.com/en-us/linkedin/marketing/community-management/members/post-statistics
https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/posts-api
https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/rate-limits
https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NoReturn
from urllib.parse import quote, unquote

from shared.settings import Settings
from shared.vocabulary import BucketKind, WarningCode, warn
from worker.adapters import oauth, untrusted
from worker.adapters.contract import Response, Upstream
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Account, Answer, Publication, Reading, Tokens

STATISTICS, ANALYTICS, POSTS = "organizationalEntityShareStatistics", "memberCreatorPostAnalytics", "posts"
TOKEN_ENDPOINT = "oauth/accessToken"  # noqa: S105 - names an endpoint
SCOPES = {STATISTICS: "rw_organization_admin", ANALYTICS: "r_member_postAnalytics", POSTS: "r_organization_social"}
POST_URN = re.compile(r"urn:li:(share|ugcPost):[0-9]{1,19}")
METRIC = re.compile(r"[a-z][A-Za-z0-9]{0,63}")
PREFIX = "share_statistics_"
COUNTS = frozenset(
    {"impressionCount", "uniqueImpressionsCount", "clickCount", "likeCount", "commentCount", "shareCount"}
)
RATIO = "engagement"
MEMBER_METRICS = {
    "IMPRESSION": f"{PREFIX}impression_count",
    "MEMBERS_REACHED": f"{PREFIX}unique_impressions_count",
    "REACTION": f"{PREFIX}like_count",
    "COMMENT": f"{PREFIX}comment_count",
    "RESHARE": f"{PREFIX}share_count",
    "LINK_CLICKS": f"{PREFIX}click_count",
}
PAGE = 10
WINDOW = timedelta(days=365)
REVOKED = 65601
SETTLING = timedelta(seconds=60)
SETTLING_RETRY = timedelta(seconds=8)
LIMIT_PAUSE = timedelta(seconds=90)
MIDNIGHT_JITTER_SECONDS = 600.0
RECONNECT = "LinkedIn no longer accepts this account's authorization: reconnect the account."
ABSENT = "LinkedIn does not know this post for this account."
CLOSED = "LinkedIn reports on the last 12 months only, and this post is older."
