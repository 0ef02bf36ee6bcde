"""Instagram professional accounts: lifetime insights of media, with either login.

Login      Facebook Login: graph.facebook.com, scopes ``instagram_basic``, ``instagram_manage_insights`` and
           ``pages_read_engagement``. Instagram Login: graph.instagram.com, ``instagram_business_basic`` and
           ``instagram_business_manage_insights``. The host of one login does not accept a token of the other
Endpoint   Facebook Login: a batch of up to 50 ``GET /{media-id}/insights?metric=…``: 2 requests for 100
           posts. Instagram Login has no batches: ``GET /?ids=…&fields=insights.metric(…)`` with 25 ids,
           or 50 where several sets of metrics are requested: 4 requests for 100 posts. Each id is a call.
           Where Meta refuses that form, each post is requested alone (`nodes`)
Limits     per account, in percents (X-Business-Use-Case-Usage), the app's hourly one beside it (X-App-Usage)
Metrics    feed posts and reels have all seven, stories four; the product type decides, not the media type
Renewal    Instagram Login: tokens of 60 days, renewable from the age of 24 hours until they end. Facebook
           Login: none

Peculiarities: one bad metric name fails an object's whole insights, and one bad id fails a whole ``?ids=``
request. No data is an error, an empty list or a missing row, never a zero. Stories have insights for 24
hours, all other media for two years; numbers may lag 48 hours, are organic only, and may fall. Media posted
before the account became a business account never get any.

Extra requests: for a batch, one for each metric newly refused (none once it is remembered), one for the true
kind of media that refuse a metric of their kind, one more for those media. For ``?ids=`` the same, one for
each bad id that the error names, 2·log2(25) for one that it does not name, and one for the
metrics that stories do not have, where the kind of a post is unknown; at most `EXTRA` calls in a job, and the
posts left then are UNREADABLE for now. A metric that an error does not name is found in 3. Where no post was
read, one to distinguish lost authorization from missing or empty posts. One for the media that may be stories
(`stories`).

https://developers.facebook.com/docs/instagram-platform/reference/instagram-media/insights
https://developers.facebook.com/docs/instagram-platform/overview
https://developers.facebook.com/docs/instagram-platform/reference/refresh_access_token
"""

import re
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from shared.batches import IDS_PER_INSTAGRAM_LOGIN_CALL
from shared.settings import Settings
from worker.adapters.contract import Upstream
from worker.adapters.meta.ambiguous_errors import AmbiguousErrors
from worker.adapters.meta.errors import GraphAnswer, Meaning, Refusal, concerns_these_media
from worker.adapters.meta.graph import MAX_BATCH, Graph
from worker.adapters.meta.instagram_metrics import (
    KIND_FIELDS,
    KINDS,
    METRICS,
    STORY_LIFE,
    UNKNOWN,
    MediaRequest,
    MetricSets,
)
from worker.adapters.meta.instagram_renewal import renew_token
from worker.adapters.meta.nodes import Nodes
from worker.adapters.meta.readings import reading_of_error, without_numbers
from worker.adapters.meta.start import GraphProduct, open_graph, split_by_id
from worker.adapters.meta.stories import OVER, PossibleStories, is_over
from worker.errors import Reauthorize
from worker.readings import Account, Answer, Publication, Reading, Tokens

FACEBOOK_LOGIN = GraphProduct(
    "Instagram", "instagram", ("instagram_manage_insights", "instagram_basic", "pages_read_engagement")
)
INSTAGRAM_LOGIN = GraphProduct(
    "Instagram",
    "instagram",
    ("instagram_business_manage_insights", "instagram_business_basic"),
    facebook_login=False,
)
ROUNDS = 6
"""How many batches a job may send: the first, and one for each kind of refusal that may follow."""
PREFERRED_IDS = IDS_PER_INSTAGRAM_LOGIN_CALL
"""How many ids a request has where two requests are needed anyway; Meta accepts up to 50."""
EXTRA = 40
"""How many calls a job may spend on splitting refused ones."""


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
        supported, others = split_by_id(publications)
        yield from others
        requests = [
            MediaRequest(one, node, str(one.media_type if one.media_type in KINDS else UNKNOWN))
            for one, node in supported
        ]
        nodes = Nodes(graph)
        nodes.recall()
        sets, ambiguous = MetricSets(graph, nodes), AmbiguousErrors(graph)
        yield from _Job(graph, requests, sets, ambiguous, PossibleStories(sets, ambiguous)).run()

    def renew(self, upstream: Upstream, account: Account) -> Tokens:
        """Return a new token, perhaps the same string with a later expiry (Instagram Login only)."""
        if account.login != "instagram":
            raise Reauthorize("Facebook does not renew authorizations: reconnect the account.")
        graph = replace(self._graph(upstream, account), version="")
        return renew_token(graph)

    def _graph(self, upstream: Upstream, account: Account) -> Graph:
        product = INSTAGRAM_LOGIN if account.login == "instagram" else FACEBOOK_LOGIN
        return open_graph(self.settings, upstream, account, product)


@dataclass(slots=True)
class _Job:
    """One fetch, and what it has learned so far."""

    graph: Graph
    requests: list[MediaRequest]
    sets: MetricSets
    ambiguous: AmbiguousErrors
    possible_stories: PossibleStories
    account_verified: bool = False
    """Some post was found, so the token can read the account."""
    without_metric: list[MediaRequest] = field(default_factory=list)
    """Media without a metric of their kind: the end of the job shows whether the whole kind lacks it."""
    empty: list[MediaRequest] = field(default_factory=list)
    """Media answered without any number, which is also the effect of a missing permission."""

    def run(self) -> Iterator[Reading]:
        read_any = False
        for reading in self._in_batches() if self.graph.facebook_login else self._by_ids():
            read_any = read_any or reading.answer is Answer.READ
            yield reading
        partial, empty = (
            [self.sets.reading(request) for request in requests]
            for requests in (self.without_metric, self.empty)
        )
        yield from partial
        if not (read_any or partial) and any(reading.answer is Answer.UNAVAILABLE for reading in empty):
            self.graph.require_scopes()
        yield from empty
        yield from self.possible_stories.resolve(found_any=self.account_verified)
        yield from self.ambiguous.resolve(found_any=self.account_verified, alone=len(self.requests) == 1)

    def _in_batches(self) -> Iterator[Reading]:
        """Fetch with the Batch API: every post has an answer of its own."""
        requests = self.requests
        for _ in range(ROUNDS):
            groups = yield from self._by_metrics(requests)
            urls = {
                request: f"{request.node}/insights?metric={','.join(metrics)}"
                for metrics, requested in groups
                for request in requested
            }
            if not urls:
                return
            answers, ending = self.graph.batch(list(urls.values()), endpoint="insights")
            refused = []
            for request, answer in zip(urls, answers, strict=True):
                if not isinstance(answer, Refusal):
                    yield from self._answered(request, {"insights": answer} if answer else None)
                elif answer.meaning is Meaning.UNSUPPORTED_METRIC:
                    refused.append((request, answer))
                else:
                    yield from self._refused(request, answer)
            if ending is not None:
                raise ending
            self.sets.drop_metrics(refused)
            requests = [request for request, _ in refused]
        for request in requests:
            yield reading_of_error(request.publication, None)

    def _by_ids(self) -> Iterator[Reading]:
        """Fetch with ``?ids=``, where one bad id or metric fails all ids: refused chunks are split."""
        without_insights = self.graph.upstream.memory.refused(self.graph.version, self._own_media())
        for request in self.requests:
            if request.node in without_insights:
                yield reading_of_error(request.publication, Refusal(400, meaning=Meaning.PRE_BUSINESS))
        groups = yield from self._by_metrics(
            [request for request in self.requests if request.node not in without_insights]
        )
        # Smaller requests where they cost no more, because one set of metrics needs one round of requests.
        whole = len(groups) > 1 or any(request.kind == UNKNOWN for request in self.requests)
        size = MAX_BATCH if whole else PREFERRED_IDS
        queue = deque(
            requests[at : at + size] for _, requests in groups for at in range(0, len(requests), size)
        )
        calls_left = len(queue) + EXTRA
        while queue:
            groups = yield from self._by_metrics(queue.popleft())
            queue.extendleft([requests for _, requests in reversed(groups[1:])])
            for metrics, chunk in groups[:1]:
                if len(chunk) > 1 and self.sets.nodes.singly:
                    queue.extendleft([request] for request in reversed(chunk))
                    calls_left += len(chunk)
                    continue
                if calls_left == 0:
                    yield from (reading_of_error(request.publication, None) for request in chunk)
                    continue
                calls_left -= 1
                answer = self._request(chunk, metrics)
                if isinstance(answer, Refusal):
                    yield from self._split(queue, chunk, answer)
                    continue
                for request in chunk:
                    yield from self._answered(request, answer.get(request.node))
                queue.append([request for request in chunk if self.sets.has_more(request)])

    def _by_metrics(
        self, requests: Sequence[MediaRequest]
    ) -> Generator[Reading, None, list[tuple[tuple[str, ...], list[MediaRequest]]]]:
        """Group by the metrics to request now, and yield the readings of media without any left."""
        groups: dict[tuple[str, ...], list[MediaRequest]] = {}
        for request in requests:
            groups.setdefault(self.sets.to_request(request), []).append(request)
        for request in groups.pop((), []):
            yield self.sets.reading(request)
        return list(groups.items())

    def _request(
        self, chunk: Sequence[MediaRequest], metrics: Sequence[str]
    ) -> Mapping[str, GraphAnswer] | Refusal:
        unknown = any(request.kind == UNKNOWN for request in chunk)
        fields = (*(KIND_FIELDS if unknown else ()), f"insights.metric({','.join(metrics)})")
        return self.sets.nodes.request([request.node for request in chunk], fields, endpoint="insights")

    def _split(
        self, queue: deque[list[MediaRequest]], chunk: list[MediaRequest], refused: Refusal
    ) -> Iterator[Reading]:
        """Handle the refusal of a whole chunk: put in front of the queue what is to be requested anew."""
        if refused.meaning is Meaning.UNSUPPORTED_METRIC and (
            len(chunk) == 1 or not concerns_these_media(refused)
        ):
            self.sets.drop_metrics([(request, refused) for request in chunk])
            queue.appendleft(chunk)
            return
        missing, denied = refused.meaning is Meaning.MISSING, refused.meaning is Meaning.DENIED
        if missing and not self.account_verified:
            self.ambiguous.check_account()
        bad = chunk[0] if len(chunk) == 1 else _named(refused, chunk) if missing else None
        if bad is not None:
            yield from self._refused(bad, refused)
            if denied and len(self.ambiguous.denied) > 1 and not self.account_verified:
                self.ambiguous.check_scopes()
            queue.appendleft([request for request in chunk if request is not bad])
            return
        # One or two posts show whether all are refused; bisection finds the missing one of many.
        alone = (denied and not self.account_verified) or self.sets.nodes.may_refuse_form(refused)
        middle = 1 if alone else len(chunk) // 2
        queue.extendleft((chunk[middle:], chunk[:middle]))

    def _answered(self, request: MediaRequest, node: object) -> Iterator[Reading]:
        """Accept the answer for a post; yield its reading unless more is to be requested or learned."""
        if not self.sets.accept(request, node):
            request.requested.update(METRICS)
            yield reading_of_error(request.publication, None)
            return
        self.account_verified = True
        if self.sets.has_more(request):
            return
        if all(value is None for value in request.values.values()):
            self.empty.append(request)
        elif request.rejected:
            self.without_metric.append(request)
        else:
            yield self.sets.reading(request)

    def _refused(self, request: MediaRequest, refused: Refusal) -> Iterator[Reading]:
        """Yield the reading of an error of one post, unless the error is ambiguous."""
        now = self.graph.upstream.now()
        if refused.meaning in OVER and is_over(request, now):
            yield without_numbers(request.publication, now, STORY_LIFE)
            return
        if self.possible_stories.add(request, refused):
            return
        self.account_verified = self.account_verified or refused.meaning in {
            Meaning.PRE_BUSINESS,
            Meaning.FEW_VIEWERS,
        }
        if refused.meaning is Meaning.PRE_BUSINESS and not self.graph.facebook_login:
            self.graph.upstream.memory.remember(self.graph.version, self._own_media(), request.node)
        yield from self.ambiguous.add(request.publication, refused)

    def _own_media(self) -> str:
        """Return the object type under which the ids of media without insights are remembered."""
        return f"media of {self.graph.account.platform_account_id}"


def _named(refused: Refusal, chunk: Sequence[MediaRequest]) -> MediaRequest | None:
    """Return the request whose id the message names."""
    words = set(re.findall(r"[0-9a-z_-]+", refused.text))
    return next((request for request in chunk if request.node.lower() in words), None)
