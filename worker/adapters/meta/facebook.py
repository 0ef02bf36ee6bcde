"""Facebook Pages: lifetime insights of Page posts, by the Batch API of graph.facebook.com.

Endpoint   ``POST /{version}/`` with up to 50 of ``GET /{page-id}_{post-id}/insights?metric=…``: 100 posts
           of a Page cost 2 requests (each post counts as a call against the Page's budget)
Token      a Page access token of a person with the Page task ANALYZE
Scopes     ``read_insights``, ``pages_read_engagement``
Limits     per Page, in percents (X-Business-Use-Case-Usage), the app's hourly one beside it (X-App-Usage)
Metrics    ``post_clicks``; ``post_reactions_by_type_total``, a map that we serve as its sum

Quirks: one bad metric name fails an object's whole insights, and most errors do not say which. That is why
`post_engaged_users`, which Meta removed from all versions, never shares a request with the other two: it is
asked alone, for one post, in a batch that has room, when the fleet's memory of its refusal has expired. Empty
data is what a post without numbers gives, and also a token without one of the scopes. The bare id of a video,
photo or post has no insights; ``{page-id}_{id}`` may. Pages under 100 likes have none; Meta keeps two years.

Extra requests, each at most once in a job: 2 for each metric newly refused (then remembered, none); 1 for all
bare ids; 1 when no post read fine, to tell lost authorization from missing or empty posts; 1 if
`post_engaged_users` should ever answer again.

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
from worker.adapters.meta.doubts import Doubts
from worker.adapters.meta.errors import Answered, Body, Meaning, Refusal, named_metrics
from worker.adapters.meta.graph import MAX_BATCH, Graph
from worker.adapters.meta.readings import count, rows, unaskable, unread, without_numbers
from worker.errors import Reauthorize, RefreshError
from worker.readings import Account, Answer, Publication, Reading, Tokens

METRICS = graph_metrics.FACEBOOK
CLICKS, REACTIONS = METRICS
REMOVED = graph_metrics.FACEBOOK_REMOVED
POST = "post"
"""The object type in the fleet's memory of refused metrics."""
REMOVED_TYPE = "removed"
"""Another one for `REMOVED`, so that a job whose batch has no room for its probe does not use up the turn."""
SCOPES = ("read_insights", "pages_read_engagement")
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
        graph = Graph(
            upstream=upstream,
            account=account,
            platform="Facebook",
            host=self.settings.meta_graph_url,
            version=self.settings.meta_api_version,
            product="pages",
            scopes=SCOPES,
            facebook_login=True,
            app_secret=self.settings.meta_app_secret,
            near_limit_percent=self.settings.meta_steer_percent,
        )
        asks = []
        for publication in publications:
            unasked = unaskable(publication)
            if unasked is not None:
                yield unasked
            else:
                asks.append(_Ask(publication, str(publication.platform_post_id)))
        if asks:
            yield from _Job(
                graph, asks, Doubts(graph), set(upstream.memory.refused(graph.version, POST))
            ).run()

    def renew(self, upstream: Upstream, account: Account) -> Tokens:  # noqa: ARG002 - the Protocol's signature
        """Raise: a Page token does not end by itself, and once refused only its owner can get another."""
        raise Reauthorize("Facebook does not renew authorizations: reconnect the account.")


@dataclass(slots=True)
class _Ask:
    """What is asked for one publication."""

    publication: Publication
    node: str
    lost: set[str] = field(default_factory=set)
    """Metrics refused for this post, though others have them."""
    exists: bool = False
    """Its own, bare id was answered for, without insights; ``node`` is the Page's form of it."""


@dataclass(slots=True)
class _Job:
    """One fetch, and what was learned on the way."""

    graph: Graph
    asks: list[_Ask]
    doubts: Doubts
    retired: set[str]
    accepted: set[str] = field(default_factory=set)
    engaged: dict[int, int] = field(default_factory=dict)
    """`REMOVED` by publication, should Facebook offer it again."""
    empty: list[Publication] = field(default_factory=list)

    def run(self) -> Iterator[Reading]:
        read_any, alone = False, len(self.asks) == 1
        for _ in range(ROUNDS):
            yield from self._with_nothing_to_ask()
            for reading in self._round() if self.asks else ():
                read_any = read_any or reading.answer is Answer.READ
                yield reading
        for ask in self.asks:
            yield unread(ask.publication, None)
        empty = [without_numbers(one, self.graph.upstream.now()) for one in self.empty]
        if not read_any and any(reading.answer is Answer.UNAVAILABLE for reading in empty):
            self.graph.require_scopes()
        yield from empty
        yield from self.doubts.settle(reached_any=read_any or bool(empty), alone=alone)

    def _with_nothing_to_ask(self) -> Iterator[Reading]:
        asks, self.asks = self.asks, []
        for ask in asks:
            if self._metrics(ask):
                self.asks.append(ask)
            else:
                yield Reading(ask.publication.id, Answer.UNAVAILABLE, detail=NOTHING_OFFERED)

    def _round(self) -> Iterator[Reading]:
        """Ask once for every ask, yield what is settled, and leave what is to be asked anew."""
        asked, self.asks = self.asks, []
        answers, ending = self._batch(asked)
        refused: list[tuple[_Ask, Refusal]] = []
        for ask, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, Refusal):
                yield from self._answered(ask, answer)
            elif answer.meaning is Meaning.UNSUPPORTED_METRIC:
                refused.append((ask, answer))
            elif answer.meaning in {Meaning.WRONG_NODE, Meaning.MISSING} and "_" not in ask.node:
                ask.exists = answer.meaning is Meaning.WRONG_NODE
                ask.node = f"{self.graph.account.platform_account_id}_{ask.node}"
                self.asks.append(ask)
            elif answer.meaning is Meaning.MISSING and ask.exists:
                # Only the Page's form of its id does not exist.
                yield unread(ask.publication, Refusal(answer.status, meaning=Meaning.WRONG_NODE))
            else:
                yield from self.doubts.take(ask.publication, answer)
        if ending is not None:
            raise ending
        if refused:
            self._leave_out(refused)
            self.asks += [ask for ask, _ in refused]

    def _batch(self, asks: Sequence[_Ask]) -> tuple[Sequence[Answered], RefreshError | None]:
        """Send one batch; one that has room takes a probe of `REMOVED` along when its turn has come."""
        urls = [_insights(ask, self._metrics(ask)) for ask in asks]
        memory, version = self.graph.upstream.memory, self.graph.version
        if len(urls) == MAX_BATCH or REMOVED in memory.refused(version, REMOVED_TYPE):
            return self.graph.batch(urls, endpoint="insights")
        probe = _insights(asks[0], [REMOVED])
        (*answers, probed), ending = self.graph.batch([*urls, probe], endpoint="insights")
        if isinstance(probed, Refusal):
            if probed.meaning is Meaning.UNSUPPORTED_METRIC:
                memory.remember(version, REMOVED_TYPE, REMOVED)
        elif REMOVED in (rows(probed) or {}) and ending is None:
            memory.forget(version, REMOVED_TYPE, REMOVED)
            ending = self._read_engaged(asks)
        return answers, ending

    def _read_engaged(self, asks: Sequence[_Ask]) -> RefreshError | None:
        """Ask all posts for `REMOVED`; what ends that is returned, for the other numbers are in already."""
        try:
            answers, ending = self.graph.batch(
                [_insights(ask, [REMOVED]) for ask in asks], endpoint="insights"
            )
        except RefreshError as error:
            return error
        for ask, answer in zip(asks, answers, strict=True):
            values = None if isinstance(answer, Refusal) else rows(answer)
            number = count(values.get(REMOVED)) if values else None
            if number is not None:
                self.engaged[ask.publication.id] = number
        return ending

    def _metrics(self, ask: _Ask) -> list[str]:
        return [name for name in METRICS if name not in self.retired and name not in ask.lost]

    def _answered(self, ask: _Ask, body: Body | None) -> Iterator[Reading]:
        values = rows(body)
        if values is None:
            yield unread(ask.publication, None)
            return
        asked = self._metrics(ask)
        for metric in set(asked) - self.accepted:
            self.graph.upstream.memory.forget(self.graph.version, POST, metric)
        self.accepted.update(asked)
        if all(values.get(name) is None for name in asked):
            self.empty.append(ask.publication)
        else:
            yield self._reading(ask, values)

    def _leave_out(self, refused: Sequence[tuple[_Ask, Refusal]]) -> None:
        """Ask these no more for the metric that fails them; refused by two and had by none, it is retired."""
        first, answer = refused[0]
        asked = self._metrics(first)
        metric = next(iter(named_metrics(answer, asked)), None) or self.graph.culprit(first.node, asked)
        if metric in self.accepted or len(refused) == 1:
            for ask, _ in refused:
                ask.lost.add(metric)
        else:
            self.graph.upstream.memory.remember(self.graph.version, POST, metric)
            self.retired.add(metric)

    def _reading(self, ask: _Ask, values: Mapping[str, object]) -> Reading:
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
                why = "is refused for this post" if name in ask.lost else "did not come with the answer"
                warnings.append(_unavailable(name, why))
        if not metrics:
            return unread(ask.publication, None)
        if ask.publication.id in self.engaged:
            metrics[REMOVED] = self.engaged[ask.publication.id]
        else:
            warnings.append(_unavailable(REMOVED, "is no longer offered by Facebook"))
        return Reading(ask.publication.id, Answer.READ, metrics, tuple(missing), tuple(warnings))


def _insights(ask: _Ask, metrics: Sequence[str]) -> str:
    return f"{ask.node}/insights?metric={','.join(metrics)}"


def _unavailable(metric: str, why: str) -> str:
    return warn(WarningCode.METRIC_UNAVAILABLE, f"{metric} {why}")


def _sum(reactions: object) -> int | None:
    """Return the sum of a map of reactions, known kinds or not; one that is no count spoils it."""
    if not isinstance(reactions, dict):
        return None
    counts = [number for one in reactions.values() if (number := count(one)) is not None]
    return count(sum(counts)) if len(counts) == len(reactions) else None
