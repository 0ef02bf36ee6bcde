"""Requests of several nodes at once (``?ids=``), and one by one where Meta refuses that form.

Applications that are newer than 4 November 2026 may not make multi-ID requests, in any version, and v28.0
ends them for all. Meta does not say with which error, so a refusal without a known meaning is tested: the
same node is requested by its path. If that is accepted, this job and, for a day, the whole fleet request one
by one.

https://developers.facebook.com/blog/post/2026/11/04/introducing-graph-api-v27-and-marketing-api-v27/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.adapters.meta.errors import GraphAnswer, Meaning, Refusal
from worker.adapters.meta.graph import Graph
from worker.errors import Misconfigured

FORM, TYPE = "ids", "multi-ID requests"
"""Name and object type in the fleet's memory of what Meta refuses."""


@dataclass(slots=True)
class Nodes:
    """The requests of nodes in one job."""

    graph: Graph
    singly: bool = False
    """Meta refuses requests of several nodes."""
    accepted: bool = False
    """Meta has accepted such a request in this job."""

    def recall(self) -> None:
        """Learn from the fleet's memory whether Meta refuses requests of several nodes."""
        self.singly = FORM in self.graph.upstream.memory.refused(self.graph.version, TYPE)

    def may_refuse_form(self, refused: Refusal) -> bool:
        """Return whether a refusal may mean that Meta refuses requests of several nodes at all."""
        return refused.meaning is Meaning.OTHER and not (self.singly or self.accepted)

    def request(
        self, nodes: Sequence[str], fields: Sequence[str], *, endpoint: str
    ) -> Mapping[str, GraphAnswer] | Refusal:
        """Request these nodes, of which there is one only while ``singly``; a refusal concerns them all."""
        query = {"fields": ",".join(fields)}
        if not self.singly:
            answer = self._several(nodes, query, endpoint)
            if not isinstance(answer, Refusal) or len(nodes) > 1 or not self.may_refuse_form(answer):
                return answer
        (node,) = nodes
        answer_of_one = self.graph.get(node, query, endpoint=endpoint)
        if isinstance(answer_of_one, Refusal):
            return answer_of_one
        if not self.singly:
            self.singly = True
            self.graph.upstream.memory.remember(self.graph.version, TYPE, FORM)
        return {node: answer_of_one}

    def _several(
        self, nodes: Sequence[str], query: Mapping[str, str], endpoint: str
    ) -> Mapping[str, GraphAnswer] | Refusal:
        try:
            answer = self.graph.get("", {"ids": ",".join(nodes), **query}, endpoint=endpoint, cost=len(nodes))
        except Misconfigured as error:
            if error.application:
                raise
            return Refusal(400, meaning=Meaning.OTHER)
        if not isinstance(answer, Refusal) and not self.accepted:
            self.accepted = True
            self.graph.upstream.memory.forget(self.graph.version, TYPE, FORM)
        return answer
