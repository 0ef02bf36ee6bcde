"""Facebook Pages: lifetime insights of Page posts, by the Batch API of graph.facebook.com.

Endpoint   ``POST /{version}/`` with up to 50 of ``GET /{page-id}_{post-id}/insights?metric=…``: 100 posts
           of a Page cost 2 requests (each post counts as a call against the Page's budget)
Token      a Page access token of a person with the Page task ANALYZE
Scopes     ``read_insights``, ``pages_read_engagement``
Limits     per Page, in percents (X-Business-Use-Case-Usage), the app's hourly one beside it (X-App-Usage)
Metrics    ``post_clicks``; ``post_reactions_by_type_total``, a map that we serve as its sum

Peculiarities: one bad metric name fails an object's whole insights, and most errors do not name it. That is
why `post_engaged_users`, which Meta removed from all versions, never shares a request with the other two: it
is requested alone, for one post, in a batch that has room, when the fleet's memory of its refusal has
expired. A post without numbers gives empty data, and so does a token without one of the scopes. The bare id
of a video, photo or post has no insights; ``{page-id}_{id}`` may. Pages under 100 likes have none; Meta keeps
two years.

Extra requests, each at most once in a job: 2 for each metric newly refused (none once it is remembered); 1
for all bare ids; 1 when no post was read, to distinguish lost authorization from missing or empty posts; 1 if
`post_engaged_users` is ever offered again.

https://developers.facebook.com/docs/graph-api/reference/insights
https://developers.facebook.com/docs/graph-api/batch-requests
https://developers.facebook.com/docs/platforminsights/page/deprecated-metrics
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shared.settings import Settings
from shared.vocabulary import WarningCode, warn
from worker.adapters.contract import Upstream
from worker.adapters.meta import metrics as graph_metrics
from worker.adapters.meta.ambiguous_errors import AmbiguousErrors
from worker.adapters.meta.errors import Body, GraphAnswer, Meaning, Refusal, named_metrics
from worker.adapters.meta.graph import MAX_BATCH, Graph
from worker.adapters.meta.readings import count, reading_of_error, rows, without_numbers
from worker.adapters.meta.start import GraphProduct, open_graph, split_by_id
from worker.errors import Reauthorize, RefreshError
from worker.readings import Account, Answer, Publication, Reading, Tokens

METRICS = graph_metrics.FACEBOOK
CLICKS, REACTIONS = METRICS
REMOVED = graph_metrics.FACEBOOK_REMOVED
POST = "post"
"""The object type in the fleet's memory of refused metrics."""
REMOVED_TYPE = "removed"
"""Another one for `REMOVED`, so that a job whose batch has no room for the probe does not use it up."""
PAGES = GraphProduct("Facebook", "pages", ("read_insights", "pages_read_engagement"))
NOTHING_OFFERED = "Facebook offers none of the metrics for this post any more."
ROUNDS = 1 + len(METRICS) + 1
"""The first batch, one more for each metric that may be refused, and one for bare ids."""


@dataclass(frozen=True, slots=True)
class Facebook:
    """The adapter for Facebook Pages."""

    settings: Settings

    renewal_endpoint = None

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Yield one reading per publication; see `worker.adapters.contract.Adapter.fetch`."""
        graph = open_graph(self.settings, upstream, account, PAGES)
        supported, others = split_by_id(publications)
        yield from others
        if supported:
            requests = [_PostRequest(publication, node) for publication, node in supported]
            retired = set(upstream.memory.refused(graph.version, POST))
            yield from _Job(graph, requests, AmbiguousErrors(graph), retired).run()

    def renew(self, upstream: Upstream, account: Account) -> Tokens:  # noqa: ARG002 - the Protocol's signature
        """Raise: a Page token does not expire, and once it is refused only its owner can get another."""
        raise Reauthorize("Facebook does not renew authorizations: reconnect the account.")


@dataclass(slots=True)
class _PostRequest:
    """The request for one publication."""

    publication: Publication
    node: str
    rejected: set[str] = field(default_factory=set)
    """Metrics refused for this post, although others have them."""
    exists: bool = False
    """Its bare id was found, without insights; ``node`` is the Page's form of the id."""


@dataclass(slots=True)
class _Job:
    """One fetch, and what it has learned so far."""

    graph: Graph
    requests: list[_PostRequest]
    ambiguous: AmbiguousErrors
    retired: set[str]
    accepted: set[str] = field(default_factory=set)
    engaged: dict[int, int] = field(default_factory=dict)
    """`REMOVED` by publication, should Facebook offer it again."""
    empty: list[Publication] = field(default_factory=list)

    def run(self) -> Iterator[Reading]:
        read_any, alone = False, len(self.requests) == 1
        for _ in range(ROUNDS):
            yield from self._without_metrics()
            for reading in self._round() if self.requests else ():
                read_any = read_any or reading.answer is Answer.READ
                yield reading
        for request in self.requests:
            yield reading_of_error(request.publication, None)
        empty = [without_numbers(one, self.graph.upstream.now()) for one in self.empty]
        if not read_any and any(reading.answer is Answer.UNAVAILABLE for reading in empty):
            self.graph.require_scopes()
        yield from empty
        yield from self.ambiguous.resolve(found_any=read_any or bool(empty), alone=alone)

    def _without_metrics(self) -> Iterator[Reading]:
        requests, self.requests = self.requests, []
        for request in requests:
            if self._metrics(request):
                self.requests.append(request)
            else:
                yield Reading(request.publication.id, Answer.UNAVAILABLE, detail=NOTHING_OFFERED)

    def _round(self) -> Iterator[Reading]:
        """Send each request once, yield the certain readings, and keep what is to be requested anew."""
        requested, self.requests = self.requests, []
        answers, ending = self._batch(requested)
        refused: list[tuple[_PostRequest, Refusal]] = []
        for request, answer in zip(requested, answers, strict=True):
            if not isinstance(answer, Refusal):
                yield from self._answered(request, answer)
            elif answer.meaning is Meaning.UNSUPPORTED_METRIC:
                refused.append((request, answer))
            elif answer.meaning in {Meaning.WRONG_NODE, Meaning.MISSING} and "_" not in request.node:
                request.exists = answer.meaning is Meaning.WRONG_NODE
                request.node = f"{self.graph.account.platform_account_id}_{request.node}"
                self.requests.append(request)
            elif answer.meaning is Meaning.MISSING and request.exists:
                # Only the Page's form of its id does not exist.
                yield reading_of_error(
                    request.publication, Refusal(answer.status, meaning=Meaning.WRONG_NODE)
                )
            else:
                yield from self.ambiguous.add(request.publication, answer)
        if ending is not None:
            raise ending
        if refused:
            self._drop_metric(refused)
            self.requests += [request for request, _ in refused]

    def _batch(self, requests: Sequence[_PostRequest]) -> tuple[Sequence[GraphAnswer], RefreshError | None]:
        """Send one batch; with room left it includes a probe of `REMOVED` when that is due."""
        urls = [_insights(request, self._metrics(request)) for request in requests]
        memory, version = self.graph.upstream.memory, self.graph.version
        if len(urls) == MAX_BATCH or REMOVED in memory.refused(version, REMOVED_TYPE):
            return self.graph.batch(urls, endpoint="insights")
        probe = _insights(requests[0], [REMOVED])
        (*answers, probed), ending = self.graph.batch([*urls, probe], endpoint="insights")
        if isinstance(probed, Refusal):
            if probed.meaning is Meaning.UNSUPPORTED_METRIC:
                memory.remember(version, REMOVED_TYPE, REMOVED)
        elif REMOVED in (rows(probed) or {}) and ending is None:
            memory.forget(version, REMOVED_TYPE, REMOVED)
            ending = self._read_engaged(requests)
        return answers, ending

    def _read_engaged(self, requests: Sequence[_PostRequest]) -> RefreshError | None:
        """Request `REMOVED` for all posts; return the error that ends this: the other numbers are known."""
        try:
            answers, ending = self.graph.batch(
                [_insights(request, [REMOVED]) for request in requests], endpoint="insights"
            )
        except RefreshError as error:
            return error
        for request, answer in zip(requests, answers, strict=True):
            values = None if isinstance(answer, Refusal) else rows(answer)
            number = count(values.get(REMOVED)) if values else None
            if number is not None:
                self.engaged[request.publication.id] = number
        return ending

    def _metrics(self, request: _PostRequest) -> list[str]:
        return [name for name in METRICS if name not in self.retired and name not in request.rejected]

    def _answered(self, request: _PostRequest, body: Body | None) -> Iterator[Reading]:
        values = rows(body)
        if values is None:
            yield reading_of_error(request.publication, None)
            return
        requested = self._metrics(request)
        for metric in set(requested) - self.accepted:
            self.graph.upstream.memory.forget(self.graph.version, POST, metric)
        self.accepted.update(requested)
        if all(values.get(name) is None for name in requested):
            self.empty.append(request.publication)
        else:
            yield self._reading(request, values)

    def _drop_metric(self, refused: Sequence[tuple[_PostRequest, Refusal]]) -> None:
        """Drop the metric that fails these requests; refused by two and accepted by none, it is retired."""
        first, answer = refused[0]
        requested = self._metrics(first)
        metric = next(iter(named_metrics(answer, requested)), None) or self.graph.find_rejected_metric(
            first.node, requested
        )
        if metric in self.accepted or len(refused) == 1:
            for request, _ in refused:
                request.rejected.add(metric)
        else:
            self.graph.upstream.memory.remember(self.graph.version, POST, metric)
            self.retired.add(metric)

    def _reading(self, request: _PostRequest, values: Mapping[str, object]) -> Reading:
        metrics: dict[str, int | float] = {}
        missing, warnings = [], []
        for name in METRICS:
            value = values.get(name)
            number = _sum(value) if name == REACTIONS else count(value)
            if number is not None:
                metrics[name] = number
            elif name in self.retired:
                warnings.append(_unavailable(name, "is no longer offered by Facebook"))
            else:
                missing.append(name)
                why = (
                    "is refused for this post" if name in request.rejected else "did not come with the answer"
                )
                warnings.append(_unavailable(name, why))
        if not metrics:
            return reading_of_error(request.publication, None)
        if request.publication.id in self.engaged:
            metrics[REMOVED] = self.engaged[request.publication.id]
        else:
            warnings.append(_unavailable(REMOVED, "is no longer offered by Facebook"))
        return Reading(request.publication.id, Answer.READ, metrics, tuple(missing), tuple(warnings))


def _insights(request: _PostRequest, metrics: Sequence[str]) -> str:
    return f"{request.node}/insights?metric={','.join(metrics)}"


def _unavailable(metric: str, why: str) -> str:
    return warn(WarningCode.METRIC_UNAVAILABLE, f"{metric} {why}")


def _sum(reactions: object) -> int | None:
    """Return the sum of a map of reactions of any kind, or ``None`` if one of them is not a count."""
    if not isinstance(reactions, dict):
        return None
    counts = [number for one in reactions.values() if (number := count(one)) is not None]
    return count(sum(counts)) if len(counts) == len(reactions) else None
