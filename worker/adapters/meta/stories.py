"""Errors that mean something else for a story than for other media.

A story has insights for 24 hours, and only from five viewers on. After that it is refused like an object that
never has insights; with fewer viewers it is refused with the code of a missing permission, in the account's
language. So the kind of the media decides, and is requested where it is not known.

https://developers.facebook.com/docs/instagram-platform/reference/instagram-media/insights
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from worker.adapters.meta.ambiguous_errors import AmbiguousErrors
from worker.adapters.meta.errors import Meaning, Refusal, may_be_few_viewers
from worker.adapters.meta.instagram_metrics import STORY, STORY_LIFE, UNKNOWN, MediaRequest, MetricSets
from worker.adapters.meta.readings import reading_of_error, without_numbers
from worker.readings import Reading

OVER = frozenset({Meaning.MISSING, Meaning.FEW_VIEWERS, Meaning.WRONG_NODE})
"""The errors with which Meta answers for a story after its 24 hours, if not with empty data."""


def is_over(request: MediaRequest, now: datetime) -> bool:
    """Return whether the medium is a story whose insights have ended."""
    return request.kind == STORY and now - request.publication.created_at > STORY_LIFE


@dataclass(slots=True)
class PossibleStories:
    """Errors of media that may be stories; the end of the job decides what they mean."""

    sets: MetricSets
    ambiguous: AmbiguousErrors
    refused: list[tuple[MediaRequest, Refusal]] = field(default_factory=list)

    def add(self, request: MediaRequest, refused: Refusal) -> bool:
        """Keep an error for the end; ``False`` when its meaning does not depend on the kind."""
        now = self.sets.graph.upstream.now()
        old = now - request.publication.created_at > STORY_LIFE
        unclear = (refused.meaning is Meaning.WRONG_NODE and old and request.kind != STORY) or (
            refused.meaning is Meaning.DENIED
            and may_be_few_viewers(refused)
            and request.kind in {STORY, UNKNOWN}
        )
        if unclear:
            self.refused.append((request, refused))
        return unclear

    def resolve(self, *, found_any: bool) -> Iterator[Reading]:
        """Yield the readings of stories, and pass the errors of other media on to the ambiguous ones.

        Raises `worker.errors.Reauthorize` when a permission is missing.
        """
        unknown = [request for request, _ in self.refused if request.kind != STORY]
        if unknown:
            self.sets.learn_kinds(unknown)
        now = self.sets.graph.upstream.now()
        few = []
        for request, refused in self.refused:
            if is_over(request, now):
                yield without_numbers(request.publication, now, STORY_LIFE)
            elif refused.meaning is Meaning.DENIED and request.kind == STORY:
                few.append((request, refused))
            else:
                yield from self.ambiguous.add(request.publication, refused)
        if few and not found_any:
            if self.ambiguous.denied:  # other media too, so viewers are not the reason
                self.ambiguous.denied += [(request.publication, refused) for request, refused in few]
                return
            self.sets.graph.require_scopes()
        for request, refused in few:
            yield reading_of_error(request.publication, Refusal(refused.status, meaning=Meaning.FEW_VIEWERS))
