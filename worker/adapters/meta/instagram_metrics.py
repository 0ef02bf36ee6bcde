"""The metrics of each kind of Instagram media: which to request, which to drop when refused, and the reading.

https://developers.facebook.com/docs/instagram-platform/reference/instagram-media/insights
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from shared.vocabulary import WarningCode, warn
from worker.adapters.meta import metrics as graph_metrics
from worker.adapters.meta.errors import Refusal, concerns_these_media, named_metrics, unknown_to_all
from worker.adapters.meta.graph import Graph
from worker.adapters.meta.nodes import Nodes
from worker.adapters.meta.readings import RETENTION, count, reading_of_error, rows, without_numbers
from worker.readings import Answer, Publication, Reading

METRICS = graph_metrics.INSTAGRAM
STORY_METRICS = ("views", "reach", "shares", "total_interactions")
STORY = "STORY"
FEED = frozenset({"IMAGE", "VIDEO", "CAROUSEL_ALBUM"})
KINDS = FEED | {"REELS", STORY}
"""Object types of remembered refused metrics, and the possible media types of a publication."""
UNKNOWN = "UNKNOWN"
KIND_FIELDS = ("media_product_type", "media_type")
STORY_LIFE = timedelta(hours=24)


@dataclass(slots=True, eq=False)
class MediaRequest:
    """The metrics requested for one publication, and the values that came."""

    publication: Publication
    node: str
    kind: str
    values: dict[str, object] = field(default_factory=dict)
    requested: set[str] = field(default_factory=set)
    """Metrics that were requested and not refused."""
    rejected: set[str] = field(default_factory=set)
    """Metrics refused for this post, although its kind has them."""


@dataclass(slots=True)
class MetricSets:
    """The metrics to request for each medium, and what this job has learned about them."""

    graph: Graph
    nodes: Nodes
    retired: dict[str, set[str]] = field(default_factory=dict)
    accepted: set[tuple[str, str]] = field(default_factory=set)
    rejected_by_set: dict[tuple[str, ...], str] = field(default_factory=dict)
    """The metric because of which a set is refused, where the error does not name it."""
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)

    def to_request(self, request: MediaRequest) -> tuple[str, ...]:
        """Return the metrics to request for a medium now; none when all that it has were requested."""
        # One wrong metric fails a whole `?ids=`: for an unknown kind, first request what every kind has.
        careful = request.kind == UNKNOWN and not request.requested and not self.graph.facebook_login
        offered = STORY_METRICS if careful or request.kind == STORY else METRICS
        left_out = request.requested | request.rejected | self._retired(request.kind)
        return tuple(metric for metric in offered if metric not in left_out)

    def has_more(self, request: MediaRequest) -> bool:
        """Return whether more metrics are to be requested for a medium that has numbers."""
        return bool(self.to_request(request)) and any(value is not None for value in request.values.values())

    def accept(self, request: MediaRequest, node: object) -> bool:
        """Keep the values of the requested metrics in an answer; ``False`` when it cannot be read."""
        values = rows(node.get("insights", {"data": []})) if isinstance(node, dict) else None
        if values is None:
            return False
        metrics = set(self.to_request(request))
        for key in {(request.kind, metric) for metric in metrics} - self.accepted:
            self.accepted.add(key)
            self.graph.upstream.memory.forget(self.graph.version, *key)
        request.requested |= metrics
        request.values.update((name, value) for name, value in values.items() if name in metrics)
        request.kind = _kind(node) or request.kind
        return True

    def drop_metrics(self, refused: Sequence[tuple[MediaRequest, Refusal]]) -> None:
        """Drop from these requests the metrics because of which they were refused."""
        named = [
            (request, request.kind, self._rejected_metrics(request, answer), answer)
            for request, answer in refused
        ]
        unsure = [request for request, _, _, answer in named if concerns_these_media(answer)]
        if unsure:
            self.learn_kinds(unsure)
        same = [(request, names, answer) for request, kind, names, answer in named if request.kind == kind]
        self.refusals.update((request.kind, name) for request, names, _ in same for name in names)
        for request, names, answer in same:
            for name in names:
                self._drop(request, name, known=unknown_to_all(answer))

    def _rejected_metrics(self, request: MediaRequest, answer: Refusal) -> frozenset[str]:
        requested = self.to_request(request)
        names = named_metrics(answer, requested)
        if not names and requested not in self.rejected_by_set:
            self.rejected_by_set[requested] = self.graph.find_rejected_metric(request.node, requested)
        return names or frozenset({self.rejected_by_set[requested]})

    def _drop(self, request: MediaRequest, name: str, *, known: bool) -> None:
        """Drop a metric for all media of the kind, or for this one alone if another of its kind has it.

        ``known``: no medium has it. Otherwise two refusals prove that the whole kind lacks it.
        """
        key = request.kind, name
        if key in self.accepted or not (known or (self.refusals[key] > 1 and request.kind != UNKNOWN)):
            request.rejected.add(name)
        elif name not in self._retired(request.kind):
            self._retired(request.kind).add(name)
            self.graph.upstream.memory.remember(self.graph.version, request.kind, name)

    def learn_kinds(self, requests: Sequence[MediaRequest]) -> None:
        """Request the kinds of these media (one call), and keep those that the answers state."""
        waiting = [list(requests)]
        while waiting:
            chunk = waiting.pop()
            if len(chunk) > 1 and self.nodes.singly:
                waiting += [[request] for request in chunk]
                continue
            answer = self.nodes.request([one.node for one in chunk], KIND_FIELDS, endpoint="media")
            if not isinstance(answer, Refusal):
                for request in chunk:
                    request.kind = _kind(answer.get(request.node)) or request.kind
            elif len(chunk) > 1 and self.nodes.may_refuse_form(answer):
                waiting += [chunk[1:], chunk[:1]]

    def _retired(self, kind: str) -> set[str]:
        if kind not in self.retired:
            self.retired[kind] = set(self.graph.upstream.memory.refused(self.graph.version, kind))
        return self.retired[kind]

    def reading(self, request: MediaRequest) -> Reading:
        """Return the reading of a medium all of whose metrics were requested."""
        metrics: dict[str, int | float] = {}
        missing, warnings = [], []
        for name in METRICS:
            number = count(request.values.get(name))
            if number is not None:
                metrics[name] = number
                continue
            if request.kind == STORY and name not in STORY_METRICS:
                why = "is never offered for stories"
            elif name in self._retired(request.kind):
                why = "is no longer offered by Instagram for this kind of post"
            else:
                missing.append(name)
                why = (
                    "is refused for this post" if name in request.rejected else "did not come with the answer"
                )
            warnings.append(warn(WarningCode.METRIC_UNAVAILABLE, f"{name} {why}"))
        if metrics:
            return Reading(request.publication.id, Answer.READ, metrics, tuple(missing), tuple(warnings))
        if any(value is not None for value in request.values.values()):
            return reading_of_error(request.publication, None)
        window = STORY_LIFE if request.kind == STORY else RETENTION
        return without_numbers(request.publication, self.graph.upstream.now(), window)


def _kind(node: object) -> str | None:
    """Return a node's object type; its product type decides, for a reel is a VIDEO too."""
    product, media = (node.get(name) if isinstance(node, dict) else None for name in KIND_FIELDS)
    if product in {"REELS", STORY}:
        return str(product)
    return str(media) if product == "FEED" and media in FEED else None
