"""Instagram professional accounts: lifetime insights of media, with either login.

Login      Facebook Login: graph.facebook.com, scopes ``instagram_basic``, ``instagram_manage_insights`` and
           ``pages_read_engagement``. Instagram Login: graph.instagram.com, ``instagram_business_basic`` and
           ``instagram_business_manage_insights``. A token of one login cannot be read by the other's host
Endpoint   Facebook Login: a batch of up to 50 ``GET /{media-id}/insights?metric=…``: 2 requests for 100
           posts. Instagram Login has no batches: ``GET /?ids=…&fields=insights.metric(…)`` with 25 ids,
           or 50 where several sets of metrics are asked for: 4 requests for 100 posts. Each id is a call
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
the error names, 2·log2(25) for one that it does not name, and one to ask posts of a kind unknown to us for
the metrics that stories do not have; no more than `EXTRA` reads in a job, what is left then is UNREADABLE for
now. A metric that an error does not name is found in 3. Where no post reads fine, one to tell lost
authorization from missing or empty posts. One to learn which media are stories (`instagram_stories`).

https://developers.facebook.com/docs/instagram-platform/reference/instagram-media/insights
https://developers.facebook.com/docs/instagram-platform/overview
https://developers.facebook.com/docs/instagram-platform/reference/refresh_access_token
"""

import re
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from pydantic import SecretStr

from shared.batches import IDS_PER_INSTAGRAM_LOGIN_CALL
from shared.settings import Settings
from worker.adapters.contract import Upstream
from worker.adapters.meta.doubts import Doubts
from worker.adapters.meta.errors import Answered, Body, Meaning, Refusal, concerns_these_media
from worker.adapters.meta.graph import MAX_BATCH, Graph
from worker.adapters.meta.instagram_metrics import (
    KIND_FIELDS,
    KINDS,
    METRICS,
    STORY_LIFE,
    UNKNOWN,
    Ask,
    MetricSets,
)
from worker.adapters.meta.readings import count, unaskable, unread, without_numbers
from worker.adapters.meta.stories import OVER, PerhapsStories, is_over
from worker.adapters.oauth import is_token
from worker.errors import Misconfigured, Reauthorize, TryAgain
from worker.readings import Account, Answer, Publication, Reading, Tokens

FACEBOOK_SCOPES = ("instagram_manage_insights", "instagram_basic", "pages_read_engagement")
INSTAGRAM_SCOPES = ("instagram_business_manage_insights", "instagram_business_basic")
ROUNDS = 6
"""How many batches a job may take: the first, and one for each thing that may be refused after it."""
GENTLE = IDS_PER_INSTAGRAM_LOGIN_CALL
"""How many ids a request takes if two requests are due anyway; Meta takes up to 50."""
EXTRA = 40
"""How many reads a job may spend on taking refused ones apart."""
MIN_TOKEN_AGE = timedelta(hours=24)
MAX_TOKEN_SECONDS = 366 * 86_400
RENEWAL = "refresh_access_token"


@dataclass(frozen=True, slots=True)
class Instagram:
    """The adapter for Instagram professional accounts."""

    settings: Settings

    renewal_endpoint = "token"

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
            asks.append(Ask(publication, str(publication.platform_post_id), str(kind)))
        sets, doubts = MetricSets(graph), Doubts(graph)
        yield from _Job(graph, asks, sets, doubts, PerhapsStories(sets, doubts)).run()

    def renew(self, upstream: Upstream, account: Account) -> Tokens:
        """Return the next long-lived token, perhaps the same string with a new end (Instagram Login only)."""
        if account.login != "instagram":
            raise Reauthorize("Facebook does not renew authorizations: reconnect the account.")
        age = upstream.now() - account.token_minted_at if account.token_minted_at else MIN_TOKEN_AGE
        if age < MIN_TOKEN_AGE:
            raise TryAgain("Instagram renews a token from the age of 24 hours.", after=MIN_TOKEN_AGE - age)
        graph = replace(self._graph(upstream, account), version="")
        query = {"grant_type": "ig_refresh_token"}
        body: Answered
        try:
            body = graph.get(RENEWAL, query, endpoint="token")
        except (Reauthorize, Misconfigured):
            body = None
        if not isinstance(body, dict):
            # Only the parameter is documented here: where the header does not do, there is no other way.
            query["access_token"] = account.access_token.get_secret_value()
            body = graph.get(RENEWAL, query, endpoint="token")
        token = body.get("access_token") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not is_token(token):
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
            near_limit_percent=self.settings.meta_steer_percent,
        )


@dataclass(slots=True)
class _Job:
    """One fetch, and what was learned on the way."""

    graph: Graph
    asks: list[Ask]
    sets: MetricSets
    doubts: Doubts
    perhaps_stories: PerhapsStories
    fine: bool = False
    """Some post was reached: the token is good."""
    odd: list[Ask] = field(default_factory=list)
    """Read without a metric of their kind: whether all of the kind lack it, shows at the end."""
    empty: list[Ask] = field(default_factory=list)
    """Answered without any number, which is also how a missing permission may look."""

    def run(self) -> Iterator[Reading]:
        read_any = False
        for reading in self._in_batches() if self.graph.facebook_login else self._by_ids():
            read_any = read_any or reading.answer is Answer.READ
            yield reading
        odd, empty = ([self.sets.reading(ask) for ask in asks] for asks in (self.odd, self.empty))
        yield from odd
        if not (read_any or odd) and any(reading.answer is Answer.UNAVAILABLE for reading in empty):
            self.graph.require_scopes()
        yield from empty
        yield from self.perhaps_stories.settle(reached_any=self.fine)
        yield from self.doubts.settle(reached_any=self.fine, alone=len(self.asks) == 1)

    def _in_batches(self) -> Iterator[Reading]:
        """Read with the Batch API: every post has an answer of its own."""
        asks = self.asks
        for _ in range(ROUNDS):
            groups = yield from self._by_metrics(asks)
            urls = {
                ask: f"{ask.node}/insights?metric={','.join(metrics)}"
                for metrics, asked in groups
                for ask in asked
            }
            if not urls:
                return
            answers, ending = self.graph.batch(list(urls.values()), endpoint="insights")
            refused = []
            for ask, answer in zip(urls, answers, strict=True):
                if not isinstance(answer, Refusal):
                    yield from self._answered(ask, {"insights": answer} if answer else None)
                elif answer.meaning is Meaning.UNSUPPORTED_METRIC:
                    refused.append((ask, answer))
                else:
                    yield from self._refused(ask, answer)
            if ending is not None:
                raise ending
            self.sets.lighten(refused)
            asks = [ask for ask, _ in refused]
        for ask in asks:
            yield unread(ask.publication, None)

    def _by_ids(self) -> Iterator[Reading]:
        """Read with ``?ids=``, where one bad id or metric fails all: refused chunks are taken apart."""
        hopeless = self.graph.upstream.memory.refused(self.graph.version, self._own_media())
        for ask in self.asks:
            if ask.node in hopeless:
                yield unread(ask.publication, Refusal(400, meaning=Meaning.PRE_BUSINESS))
        groups = yield from self._by_metrics([ask for ask in self.asks if ask.node not in hopeless])
        # Gentle where it costs nothing: several sets, or a second look, make the same number of requests.
        whole = len(groups) > 1 or any(ask.kind == UNKNOWN for ask in self.asks)
        size = MAX_BATCH if whole else GENTLE
        queue = deque(asks[at : at + size] for _, asks in groups for at in range(0, len(asks), size))
        left = len(queue) + EXTRA
        while queue:
            groups = yield from self._by_metrics(queue.popleft())
            queue.extendleft([asks for _, asks in reversed(groups[1:])])
            for metrics, chunk in groups[:1]:
                if left == 0:
                    yield from (unread(ask.publication, None) for ask in chunk)
                    continue
                left -= 1
                answer = self._read(chunk, metrics)
                if isinstance(answer, Refusal):
                    yield from self._take_apart(queue, chunk, answer)
                    continue
                for ask in chunk:
                    yield from self._answered(ask, answer.get(ask.node))
                queue.append([ask for ask in chunk if self.sets.has_more(ask)])

    def _by_metrics(
        self, asks: Sequence[Ask]
    ) -> Generator[Reading, None, list[tuple[tuple[str, ...], list[Ask]]]]:
        """Group by what is to be asked now, and yield the readings of those with nothing to ask."""
        groups: dict[tuple[str, ...], list[Ask]] = {}
        for ask in asks:
            groups.setdefault(self.sets.to_ask(ask), []).append(ask)
        for ask in groups.pop((), []):
            yield self.sets.reading(ask)
        return list(groups.items())

    def _read(self, chunk: Sequence[Ask], metrics: Sequence[str]) -> Body | Refusal:
        unknown = any(ask.kind == UNKNOWN for ask in chunk)
        fields = (*(KIND_FIELDS if unknown else ()), f"insights.metric({','.join(metrics)})")
        query = {"ids": ",".join(ask.node for ask in chunk), "fields": ",".join(fields)}
        return self.graph.get("", query, endpoint="insights", cost=len(chunk))

    def _take_apart(self, queue: deque[list[Ask]], chunk: list[Ask], refused: Refusal) -> Iterator[Reading]:
        """Settle what a refusal of a whole chunk shows; put in front of the queue what to ask anew."""
        if refused.meaning is Meaning.UNSUPPORTED_METRIC and (
            len(chunk) == 1 or not concerns_these_media(refused)
        ):
            self.sets.lighten([(ask, refused) for ask in chunk])
            queue.appendleft(chunk)
            return
        missing, denied = refused.meaning is Meaning.MISSING, refused.meaning is Meaning.DENIED
        if missing and not self.fine:
            self.doubts.check_account()
        guilty = chunk[0] if len(chunk) == 1 else _named(refused, chunk) if missing else None
        if guilty is not None:
            yield from self._refused(guilty, refused)
            if denied and len(self.doubts.denied) > 1 and not self.fine:
                self.doubts.check_scopes()
            queue.appendleft([ask for ask in chunk if ask is not guilty])
            return
        # Whether a permission lacks for all, two posts show; who of many is missing, halving finds.
        middle = 1 if denied and not self.fine else len(chunk) // 2
        queue.extendleft((chunk[middle:], chunk[:middle]))

    def _answered(self, ask: Ask, node: object) -> Iterator[Reading]:
        """Take in what came for a post; yield its reading unless more is to be asked or learned."""
        if not self.sets.take_in(ask, node):
            ask.asked.update(METRICS)
            yield unread(ask.publication, None)
            return
        self.fine = True
        if self.sets.has_more(ask):
            return
        if all(value is None for value in ask.values.values()):
            self.empty.append(ask)
        elif ask.lost:
            self.odd.append(ask)
        else:
            yield self.sets.reading(ask)

    def _refused(self, ask: Ask, refused: Refusal) -> Iterator[Reading]:
        """Yield the reading for a refusal of one post, unless it is kept in doubt."""
        now = self.graph.upstream.now()
        if refused.meaning in OVER and is_over(ask, now):
            yield without_numbers(ask.publication, now, STORY_LIFE)
            return
        if self.perhaps_stories.take(ask, refused):
            return
        self.fine = self.fine or refused.meaning in {Meaning.PRE_BUSINESS, Meaning.FEW_VIEWERS}
        if refused.meaning is Meaning.PRE_BUSINESS and not self.graph.facebook_login:
            self.graph.upstream.memory.remember(self.graph.version, self._own_media(), ask.node)
        yield from self.doubts.take(ask.publication, refused)

    def _own_media(self) -> str:
        """Return where the memory keeps the account's own media that never get insights, by their ids."""
        return f"media of {self.graph.account.platform_account_id}"


def _named(refused: Refusal, chunk: Sequence[Ask]) -> Ask | None:
    """Return the one whose id the message names."""
    words = set(re.findall(r"[0-9a-z_-]+", refused.text))
    return next((ask for ask in chunk if ask.node.lower() in words), None)
