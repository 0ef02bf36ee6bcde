"""Errors of Meta that may concern single posts or the whole account; all answers of a job together decide.

Meta answers "does not exist" for a deleted post, for one that the token may not see and, as far as can be
observed, sometimes while it throttles. So a miss is trusted only when another post was found in the same job
(or the job held no other) and no limit is near. Otherwise it is doubtful, and a doubtful miss is never
confirmed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from worker.adapters.meta.errors import ENDS_FETCH, Meaning, Refusal, on_behalf
from worker.adapters.meta.graph import Graph
from worker.adapters.meta.readings import reading_of_error
from worker.readings import Answer, Publication, Reading


@dataclass(slots=True)
class AmbiguousErrors:
    """The misses and denials of one job."""

    graph: Graph
    missing: list[Publication] = field(default_factory=list)
    denied: list[tuple[Publication, Refusal]] = field(default_factory=list)
    account_checked: bool = False
    """The account itself was requested and found, so the misses do not concern it."""

    def add(self, publication: Publication, error: Refusal) -> Iterator[Reading]:
        """Keep an ambiguous error; yield the reading of one that is clear and does not end the fetch."""
        if error.meaning is Meaning.MISSING:
            self.missing.append(publication)
        elif error.meaning is Meaning.DENIED:
            self.denied.append((publication, error))
        elif error.meaning not in ENDS_FETCH:
            yield reading_of_error(publication, error)

    def check_account(self) -> None:
        """Raise `worker.errors.Reauthorize` when the token cannot read the account itself (one call, once).

        Nothing is checked while a limit is near: a miss of the account would prove as little as a post's.
        """
        if not self.account_checked and not self.graph.near_limit:
            self.graph.require_account()
            self.account_checked = True

    def check_scopes(self) -> None:
        """Raise `worker.errors.Reauthorize` when a permission or role is missing for all posts (one call)."""
        if error := self.graph.denied(self.denied[0][1]):
            raise error
        if len(self.denied) > 1:
            raise self.graph.lost_role()

    def resolve(self, *, found_any: bool, alone: bool) -> Iterator[Reading]:
        """Yield a reading for each error; where no other post was found, check the account first.

        ``alone``: the job held a single post. Raises `worker.errors.Reauthorize` when the whole account is
        concerned.
        """
        if self.denied and not found_any:
            self.check_scopes()
        elif self.missing and not found_any:
            self.check_account()
        doubtful = self.graph.near_limit or not (found_any or alone)
        sentence = f"{self.graph.platform} does not know this post for the account."
        if doubtful:
            sentence = (
                f"{self.graph.platform} does not know this post now, while "
                f"{'a limit is near' if self.graph.near_limit else 'it knew none of the other posts either'}."
            )
        for publication in self.missing:
            yield Reading(publication.id, Answer.MISSING, detail=sentence, doubtful=doubtful)
        for publication, error in self.denied:
            if on_behalf(error):
                yield reading_of_error(publication, error)
            else:
                yield Reading(publication.id, Answer.MISSING, detail=sentence, doubtful=doubtful)
