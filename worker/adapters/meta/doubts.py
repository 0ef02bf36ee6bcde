"""Refusals by Meta that may be the posts' matter or the account's: which, shows when all answers are in.

Meta answers "does not exist" for what is deleted, for what the token may not see and, as far as can be
observed, sometimes when it throttles. So a miss counts only when another post was reached in the same job (or
the job held no other), and while no limit is near: else it is a doubtful one, which is never confirmed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from worker.adapters.meta.errors import WHOLE, Meaning, Refusal, on_behalf
from worker.adapters.meta.graph import Graph
from worker.adapters.meta.readings import unread
from worker.readings import Answer, Publication, Reading


@dataclass(slots=True)
class Doubts:
    """The misses and denials of one job."""

    graph: Graph
    missing: list[Publication] = field(default_factory=list)
    denied: list[tuple[Publication, Refusal]] = field(default_factory=list)
    account_checked: bool = False
    """The account was looked up and shown, so missing posts are not its matter."""

    def take(self, publication: Publication, answer: Refusal) -> Iterator[Reading]:
        """Yield the reading of a refusal, keep it if it is in doubt; what ends the read gets none."""
        if answer.meaning is Meaning.MISSING:
            self.missing.append(publication)
        elif answer.meaning is Meaning.DENIED:
            self.denied.append((publication, answer))
        elif answer.meaning not in WHOLE:
            yield unread(publication, answer)

    def check_account(self) -> None:
        """Raise `worker.errors.Reauthorize` when the account itself is closed to its token (one call, once).

        Not while a limit is near: the account's own miss would prove as little as a post's.
        """
        if not self.account_checked and not self.graph.near_limit:
            self.graph.require_account()
            self.account_checked = True

    def check_scopes(self) -> None:
        """Raise `worker.errors.Reauthorize` when a permission or role lacks for all (one call)."""
        if error := self.graph.denied(self.denied[0][1]):
            raise error
        if len(self.denied) > 1:
            raise self.graph.lost_role()

    def settle(self, *, reached_any: bool, alone: bool) -> Iterator[Reading]:
        """Yield a reading for each; if no other post was reached, first look whose matter it is.

        ``alone``: the job held a single post. Raises `worker.errors.Reauthorize` when it is the account's.
        """
        if self.denied and not reached_any:
            self.check_scopes()
        elif self.missing and not reached_any:
            self.check_account()
        doubtful = self.graph.near_limit or not (reached_any or alone)
        sentence = f"{self.graph.platform} does not know this post for the account."
        if doubtful:
            sentence = (
                f"{self.graph.platform} does not know this post now, while "
                f"{'a limit is near' if self.graph.near_limit else 'it answered for no other post either'}."
            )
        for publication in self.missing:
            yield Reading(publication.id, Answer.MISSING, detail=sentence, doubtful=doubtful)
        for publication, refused in self.denied:
            if on_behalf(refused):
                yield unread(publication, refused)
            else:
                yield Reading(publication.id, Answer.MISSING, detail=sentence, doubtful=doubtful)
