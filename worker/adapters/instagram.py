"""Instagram professional accounts: lifetime insights of media, with either login.

Login      Facebook Login: graph.facebook.com, scopes ``instagram_basic``, ``instagram_manage_insights`` and
           ``pages_read_engagement``. Instagram Login: graph.instagram.com, ``instagram_business_basic`` and
           ``instagram_business_manage_insights``. A token of one login cannot be read by the other's host
Endpoint   Facebook Login: a batch of up to 50 ``GET /{media-id}/insights?metric=…``: 2 requests for 100 posts.
           Instagram Login has no batches: ``GET /?ids=…&fields=insights.metric(…)`` with up to 50 ids, one
           request per set of metrics: feed posts and stories of 100 posts make 4 at most. Each id is a call
Limits     per account, in percents (X-Business-Use-Case-Usage), the app's hourly one beside it (X-App-Usage)
Metrics    feed posts and reels have all seven, stories four; the product type decides, not the media type
Renewal    Instagram Login: tokens of 60 days, renewable from the age of 24 hours until they end. Facebook
           Login: none

Quirks: one bad metric name fails an object's whole insights, and one bad id fails a whole ``?ids=`` request.
No data is an error, an empty list or a missing row, never a zero. Stories have insights for 24 hours, all
other media for two years; numbers may lag 48 hours, are organic only, and may fall. Media posted before the
account became a business account never get any.

Extra requests: for a batch, one for each metric newly refused (then remembered, none), one to learn the true
kind of media that refuse one of theirs, one more for those. For ``?ids=`` the same, one for each bad id that
the error names, 2·log2(50) for one that it does not name, and one to ask posts of a kind unknown to us for
the metrics that stories do not have; no more than `EXTRA` in a job, what is left then is read the next time.
Where no post reads fine, one to tell lost authorization from missing posts.

https://developers.facebook.com/docs/instagram-platform/reference/instagram-media/insights
https://developers.facebook.com/docs/instagram-platform/overview
https://developers.facebook.com/docs/instagram-platform/reference/refresh_access_token
"""

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from urllib.parse import urlencode

from pydantic import SecretStr

from shared.settings import Settings
from shared.vocabulary import WarningCode, warn
from worker.adapters.contract import Upstream
from worker.adapters.graph import MAX_BATCH, Doubts, Graph
from worker.adapters.graph_errors import Answered, Meaning, Refusal, concerns_kind_of_media, named_metrics
from worker.adapters.graph_readings import RETENTION, count, rows, unaskable, unread, without_numbers
from worker.errors import Reauthorize, TryAgain
from worker.readings import Account, Answer, Publication, Reading, Tokens

STORY_METRICS = ("views", "reach", "shares", "total_interactions")
METRICS = ("views", "reach", "likes", "comments", "shares", "saved", "total_interactions")
STORY = "STORY"
FEED = frozenset({"IMAGE", "VIDEO", "CAROUSEL_ALBUM"})
KINDS = FEED | {"REELS", STORY}
"""Object types in the fleet's memory of refused metrics, and what a publication's media type may be."""
UNKNOWN = "UNKNOWN"
STORY_LIFE = timedelta(hours=24)
FACEBOOK_SCOPES = ("instagram_manage_insights", "instagram_basic", "pages_read_engagement")
INSTAGRAM_SCOPES = ("instagram_business_manage_insights", "instagram_business_basic")
ROUNDS = 6
EXTRA = 40
MIN_TOKEN_AGE = timedelta(hours=24)
MAX_TOKEN_LIFE = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Instagram:
    """The adapter for Instagram professional accounts."""

    settings: Settings

    @property
    def batch_size(self) -> int:
        """How many publications one job may hold: one batch, or one list of ids."""
        return MAX_BATCH

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Yield one reading per publication; see `worker.adapters.contract.Adapter.fetch`."""
        graph = self._graph(upstream, account)
        asks = []
        for publication in publications:
            unasked = unaskable(publication)
            if unasked is not None:
                yield unasked
                continue
            kind = publication.media_type if publication.media_type in KINDS else UNKNOWN
            asks.append(_Ask(publication, str(publication.platform_post_id), str(kind)))
        yield from _Job(graph, asks, Doubts(graph)).run()

    def renew(self, upstream: Upstream, account: Account) -> Tokens:
        """Return the next long-lived token, perhaps the same string with a new end (Instagram Login only)."""
        if account.login != "instagram":
            raise Reauthorize("Facebook does not renew authorizations: reconnect the account.")
        age = upstream.now() - account.token_minted_at if account.token_minted_at else MIN_TOKEN_AGE
        if age < MIN_TOKEN_AGE:
            raise TryAgain("Instagram renews a token from the age of 24 hours.", after=MIN_TOKEN_AGE - age)
        graph = replace(self._graph(upstream, account), version="")
        query = {"grant_type": "ig_refresh_token"}
        try:
            body = graph.get(RENEWAL, query, endpoint="token")
        except (Reauthorize, Misconfigured):
            body = Refusal(400)
        if isinstance(body, Refusal):
            # Only the parameter is documented here: where the header does not do, there is no other way.
            query["access_token"] = account.access_token.get_secret_value()
            body = graph.get(RENEWAL, query, endpoint="token")
        token = None if isinstance(body, Refusal) else body.get("access_token")
        if isinstance(body, Refusal) or not isinstance(token, str) or not token:
            raise TryAgain("Instagram did not renew the token.", after=timedelta(days=1))
        seconds = count(body.get("expires_in"))
        life = timedelta(seconds=seconds) if seconds and seconds <= MAX_TOKEN_SECONDS else None
        return Tokens(SecretStr(token), expires_at=upstream.now() + life if life else None)

    def _graph(self, upstream: Upstream, account: Account) -> Graph:
        own_login = account.login == "instagram"
        return Graph(
            upstream=upstream,
            account=account,
            platform="Instagram",
            host=self.settings.instagram_graph_url if own_login else self.settings.meta_graph_url,
            version=self.settings.meta_api_version,
            product="instagram",
            scopes=INSTAGRAM_SCOPES if own_login else FACEBOOK_SCOPES,
            facebook_login=not own_login,
            app_secret=self.settings.meta_app_secret,
        )


@dataclass(slots=True, eq=False)
class _Ask:
    """What is asked for one publication, and what came."""

    publication: Publication
    node: str
    kind: str
    values: dict[str, object] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    """Metrics that were asked for without being refused."""
    lost: set[str] = field(default_factory=set)
    """Metrics refused for this post alone."""


@dataclass(slots=True)
class _Job:
    """One fetch, and what was learned on the way."""

    graph: Graph
    asks: list[_Ask]
    doubts: Doubts
    fine: bool = False
    """Some post was read: the token and its permissions are good."""
    retired: dict[str, set[str]] = field(default_factory=dict)
    accepted: set[tuple[str, str]] = field(default_factory=set)
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    odd: list[_Ask] = field(default_factory=list)
    """Read without a metric of their kind: whether it is theirs or their kind's, shows at the end."""

    def run(self) -> Iterator[Reading]:
        yield from self._in_batches() if self.graph.facebook_login else self._by_ids()
        for ask in self.odd:
            yield self._reading(ask)
        yield from self.doubts.settle(read_any=self.fine)

    def _in_batches(self) -> Iterator[Reading]:
        for _ in range(ROUNDS):
            asked = yield from self._worth_asking(self.asks)
            if not asked:
                return
            urls = [f"{ask.node}/insights?metric={','.join(self._metrics(ask))}" for ask in asked]
            answers, ending = self.graph.batch(urls, endpoint="insights")
            refused = []
            for ask, answer in zip(asked, answers, strict=True):
                if not isinstance(answer, Refusal):
                    yield from self._answered(ask, answer)
                elif answer.meaning is Meaning.UNSUPPORTED_METRIC:
                    refused.append((ask, answer))
                else:
                    yield from self._refused(ask, answer)
            if ending is not None:
                raise ending
            self._lighten(refused)
            self.asks = [ask for ask, _ in refused]
        for ask in self.asks:
            yield unread(ask.publication, None)

    def _by_ids(self) -> Iterator[Reading]:
        hopeless = self.graph.upstream.memory.refused(self.graph.version, self._own_media)
        queue = deque([[]])
        for ask in self.asks:
            if ask.node in hopeless:
                self.fine = True
                yield unread(ask.publication, Refusal(400, meaning=Meaning.PRE_BUSINESS))
            else:
                queue[0].append(ask)
        left = EXTRA
        while queue:
            asked = yield from self._worth_asking(queue.popleft())
            if not asked: continue
            chunk, *others = self._by_metrics(asked)
            queue.extendleft(reversed(others))
            if left == 0:
                for ask in chunk: yield unread(ask.publication, None)
                continue
            answer = self._read(chunk)
