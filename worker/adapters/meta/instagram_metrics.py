"""Which metrics an Instagram medium has, what to do when it is refused one, and its reading.

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
from worker.adapters.meta.readings import RETENTION, count, rows, unread, without_numbers
from worker.readings import Answer, Publication, Reading

METRICS = graph_metrics.INSTAGRAM
STORY_METRICS = ("views", "reach", "shares", "total_interactions")
STORY = "STORY"
FEED = frozenset({"IMAGE", "VIDEO", "CAROUSEL_ALBUM"})
KINDS = FEED | {"REELS", STORY}
"""Object types in the fleet's memory of refused metrics, and what a publication's media type may be."""
UNKNOWN = "UNKNOWN"
KIND_FIELDS = ("media_product_type", "media_type")
STORY_LIFE = timedelta(hours=24)


@dataclass(slots=True, eq=False)
class Ask:
    """What is asked for one publication, and what came."""

    publication: Publication
    node: str
    kind: str
    values: dict[str, object] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    """Metrics that were asked for and not refused."""
    lost: set[str] = field(default_factory=set)
    """Metrics refused for this post, though its kind has them."""


@dataclass(slots=True)
class MetricSets:
    """The metrics to ask each medium for, and what was learned about them in this job."""

    graph: Graph
    retired: dict[str, set[str]] = field(default_factory=dict)
    accepted: set[tuple[str, str]] = field(default_factory=set)
    culprits: dict[tuple[str, ...], str] = field(default_factory=dict)
    """The metric that fails a set, where the error does not say so."""
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)

    def to_ask(self, ask: Ask) -> tuple[str, ...]:
        """Return the metrics to ask a medium for now; none when all that it has were asked for."""
        # One wrong metric fails a whole `?ids=`: of an unknown kind, ask first for what every kind has.
        careful = ask.kind == UNKNOWN and not ask.asked and not self.graph.facebook_login
        offered = STORY_METRICS if careful or ask.kind == STORY else METRICS
        left_out = ask.asked | ask.lost | self._retired(ask.kind)
        return tuple(metric for metric in offered if metric not in left_out)

    def has_more(self, ask: Ask) -> bool:
        """Tell whether a medium that has numbers is to be asked for more of them."""
        return bool(self.to_ask(ask)) and any(value is not None for value in ask.values.values())

    def take_in(self, ask: Ask, node: object) -> bool:
        """Keep what an answer holds for the metrics asked for; ``False`` when it cannot be read."""
        values = rows(node.get("insights", {"data": []})) if isinstance(node, dict) else None
        if values is None:
            return False
        metrics = set(self.to_ask(ask))
        for key in {(ask.kind, metric) for metric in metrics} - self.accepted:
            self.accepted.add(key)
            self.graph.upstream.memory.forget(self.graph.version, *key)
        ask.asked |= metrics
        ask.values.update((name, value) for name, value in values.items() if name in metrics)
        ask.kind = _kind(node) or ask.kind
        return True

    def lighten(self, refused: Sequence[tuple[Ask, Refusal]]) -> None:
        """Take out of what these ask for the metrics that they were refused."""
        named = [(ask, ask.kind, self._blamed(ask, answer), answer) for ask, answer in refused]
        doubtful = [ask for ask, _, _, answer in named if concerns_these_media(answer)]
        if doubtful:
            self.learn_kinds(doubtful)
        same = [(ask, names, answer) for ask, kind, names, answer in named if ask.kind == kind]
        self.refusals.update((ask.kind, name) for ask, names, _ in same for name in names)
        for ask, names, answer in same:
            for name in names:
                self._leave_out(ask, name, known=unknown_to_all(answer))

    def _blamed(self, ask: Ask, answer: Refusal) -> frozenset[str]:
        asked = self.to_ask(ask)
        names = named_metrics(answer, asked)
        if not names and asked not in self.culprits:
            self.culprits[asked] = self.graph.culprit(ask.node, asked)
        return names or frozenset({self.culprits[asked]})

    def _leave_out(self, ask: Ask, name: str, *, known: bool) -> None:
        """Leave a metric out for all of the post's kind, or for it alone as long as another one has it.

        ``known``: nobody has it. Else two refusals make it a matter of the kind.
        """
        key = ask.kind, name
        if key in self.accepted or not (known or (self.refusals[key] > 1 and ask.kind != UNKNOWN)):
            ask.lost.add(name)
        elif name not in self._retired(ask.kind):
            self._retired(ask.kind).add(name)
            self.graph.upstream.memory.remember(self.graph.version, ask.kind, name)

    def learn_kinds(self, asks: Sequence[Ask]) -> None:
        """Ask which kinds of media these are (one call), as far as that can be told."""
        query = {"ids": ",".join(ask.node for ask in asks), "fields": ",".join(KIND_FIELDS)}
        answer = self.graph.get("", query, endpoint="media", cost=len(asks))
        for ask in asks:
            ask.kind = (None if isinstance(answer, Refusal) else _kind(answer.get(ask.node))) or ask.kind

    def _retired(self, kind: str) -> set[str]:
        if kind not in self.retired:
            self.retired[kind] = set(self.graph.upstream.memory.refused(self.graph.version, kind))
        return self.retired[kind]

    def reading(self, ask: Ask) -> Reading:
        """Return the reading of a medium that was asked for all that it has."""
        metrics: dict[str, int | float] = {}
        missing, warnings = [], []
        for name in METRICS:
            number = count(ask.values.get(name))
            if number is not None:
                metrics[name] = number
                continue
            if ask.kind == STORY and name not in STORY_METRICS:
                why = "is never offered for stories"
            elif name in self._retired(ask.kind):
                why = "is no longer offered by Instagram for this kind of post"
            else:
                missing.append(name)
                why = "is refused for this post" if name in ask.lost else "did not come with the answer"
            warnings.append(warn(WarningCode.METRIC_UNAVAILABLE, f"{name} {why}"))
        if metrics:
            return Reading(ask.publication.id, Answer.READ, metrics, tuple(missing), tuple(warnings))
        if any(value is not None for value in ask.values.values()):
            return unread(ask.publication, None)
        window = STORY_LIFE if ask.kind == STORY else RETENTION
        return without_numbers(ask.publication, self.graph.upstream.now(), window)


def _kind(node: object) -> str | None:
    """Return a node's object type; its product type decides, for a reel is a VIDEO too."""
    product, media = (node.get(name) if isinstance(node, dict) else None for name in KIND_FIELDS)
    if product in {"REELS", STORY}:
        return str(product)
    return str(media) if product == "FEED" and media in FEED else None
