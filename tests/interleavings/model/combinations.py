"""The combinations of operations that are searched: every pair, and selected triples."""

from typing import Final

from tests.interleavings.model.operations import OPERATIONS
from tests.interleavings.search import Combination

_TRIPLES: Final = (
    Combination("active", ("publish", "disconnect", "reconnect")),
    Combination("active", ("refresh_synced", "disconnect", "reconnect")),
    Combination("active", ("refresh_reauthorize", "publish", "reconnect")),
    Combination("active", ("claimed_id_arrives", "refresh_processing", "claim")),
    Combination("active", ("claim", "claim", "claim")),
    Combination("active", ("claim", "make_due_by_force", "release_claims")),
    Combination("active", ("refresh_synced", "claim", "make_due_by_read")),
    Combination("disconnected", ("publish", "reconnect", "claim")),
    Combination("paused", ("refresh_synced", "pause", "resume")),
    Combination("paused", ("refresh_synced", "resume", "claim")),
    Combination("expiring", ("refresh_renewed", "renew", "reconnect")),
)


def combinations() -> list[Combination]:
    """Return all combinations, the triples last."""
    return [*pairs(), *_TRIPLES]


def pairs() -> list[Combination]:
    """Return every pair of operations, also of one with itself, in every world where both have an effect.

    Two refreshes have the same job, so one of them starts nothing: each is paired only with the plain one. An
    erasure is in one phase at a time, and one sender delivers under a claim.
    """
    pairs = []
    names = list(OPERATIONS)
    for first, name in enumerate(names):
        for other in names[first:]:
            refreshes = [one for one in (name, other) if one.startswith("refresh_")]
            if len(refreshes) == 2 and "refresh_synced" not in refreshes:
                continue
            if name.startswith("deliver") and other.startswith("deliver"):
                continue
            if name != other and {"erasing"} == OPERATIONS[name].worlds == OPERATIONS[other].worlds:
                continue
            worlds = sorted(OPERATIONS[name].worlds & OPERATIONS[other].worlds)
            pairs += [Combination(world, (name, other)) for world in worlds]
    return pairs
