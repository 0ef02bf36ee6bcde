"""Refusals that mean something else for a story than for other media.

A story has insights for 24 hours, and only from five viewers on. One that is over is refused like an object
that never has insights; one with few viewers is refused with the code of a missing permission, in the
account's language. So the kind of the media decides, and is asked for where it is not known.

https://developers.facebook.com/docs/instagram-platform/reference/instagram-media/insights
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from worker.adapters.meta.doubts import Doubts
from worker.adapters.meta.errors import Meaning, Refusal, may_be_few_viewers
from worker.adapters.meta.instagram_metrics import STORY, STORY_LIFE, UNKNOWN, Ask, MetricSets
from worker.adapters.meta.readings import unread, without_numbers
from worker.readings import Reading

OVER = frozenset({Meaning.MISSING, Meaning.FEW_VIEWERS, Meaning.WRONG_NODE})
"""What Meta answers for a story after its 24 hours, if not with empty data."""


def is_over(ask: Ask, now: datetime) -> bool:
    """Tell whether it is a story whose insights have ended."""
    return ask.kind == STORY and now - ask.publication.created_at > STORY_LIFE


@dataclass(slots=True)
class PerhapsStories:
    """Refusals of media that may be stories; what they mean shows at the end of the job."""

    sets: MetricSets
    doubts: Doubts
    refused: list[tuple[Ask, Refusal]] = field(default_factory=list)

    def take(self, ask: Ask, refused: Refusal) -> bool:
        """Keep a refusal for the end; ``False`` when its meaning does not depend on the kind."""
        now = self.sets.graph.upstream.now()
        old = now - ask.publication.created_at > STORY_LIFE
        unclear = (refused.meaning is Meaning.WRONG_NODE and old and ask.kind != STORY) or (
            refused.meaning is Meaning.DENIED and may_be_few_viewers(refused) and ask.kind in {STORY, UNKNOWN}
        )
        if unclear:
            self.refused.append((ask, refused))
        return unclear

    def settle(self, *, reached_any: bool) -> Iterator[Reading]:
        """Yield the readings of these, or hand those to the doubts that are no stories.

        Raises `worker.errors.Reauthorize` when a permission lacks.
        """
        unknown = [ask for ask, _ in self.refused if ask.kind != STORY]
        if unknown:
            self.sets.learn_kinds(unknown)
        now = self.sets.graph.upstream.now()
        few = []
        for ask, refused in self.refused:
            if is_over(ask, now):
                yield without_numbers(ask.publication, now, STORY_LIFE)
            elif refused.meaning is Meaning.DENIED and ask.kind == STORY:
                few.append((ask, refused))
            else:
                yield from self.doubts.take(ask.publication, refused)
        if few and not reached_any:
            if self.doubts.denied:  # other media too, so it is no matter of viewers
                self.doubts.denied += [(ask.publication, refused) for ask, refused in few]
                return
            self.sets.graph.require_scopes()
        for ask, refused in few:
            yield unread(ask.publication, Refusal(refused.status, meaning=Meaning.FEW_VIEWERS))
