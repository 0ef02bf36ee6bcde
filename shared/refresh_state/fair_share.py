"""Fair share: the accounts that get the next jobs, in order.

Deficit round robin whose counters are stored in the table ``turns``. The unit is a call: the calls of the
jobs given to a workspace are counted, divided by its weight, and the workspace with the lowest count (its
virtual time) is next; inside a workspace the account that was served longest ago is next. So shares hold
however few jobs one claim hands out, and a workspace that becomes active waits for one job, not for the
backlog of another.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from shared.vocabulary import Platform


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ready account that may be read, with room for another job."""

    account_id: str
    workspace_id: str
    platform: Platform
    kind: str | None
    due_at: float
    """When its oldest row became due, as ``rows_from``, which is exact."""
    rows_from: str
    weight: float
    """Of its workspace, as is ``served``."""
    served: float
    """Virtual time: the calls that the workspace was given, divided by its weight."""
    served_at: float
    """When the account was given its last job; 0: never."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many jobs may be given."""

    jobs: int
    """By this claim."""
    platform_jobs: int
    """Of one platform, in flight in the whole fleet."""
    shared_jobs: int | None
    """Of all platforms together while several have work; each then gets an even share."""

    def capacities(self, wanted: Mapping[str, int]) -> Mapping[str, int]:
        """Return how many jobs of each platform may be in flight. ``wanted``: how many each has work for.

        The more platforms have work, the fewer of the threads may wait for one of them. What a platform does
        not want of its even share goes to the others.
        """
        if len(wanted) <= 1 or self.shared_jobs is None:
            return dict.fromkeys(wanted, self.platform_jobs)
        left, capacities = self.shared_jobs, {}
        for number, name in enumerate(sorted(wanted, key=lambda one: wanted[one])):
            share = ceil(max(left, 0) / (len(wanted) - number))
            even = ceil(self.shared_jobs / len(wanted))
            capacities[name] = min(self.platform_jobs, max(share, even))
            left -= min(wanted[name], capacities[name])
        return capacities


def in_order(
    candidates: Sequence[Candidate], present: float, limits: Limits, in_flight: Mapping[str, int]
) -> tuple[list[Candidate], Mapping[str, int]]:
    """Return the candidates for which their platform has capacity, the next first, and the capacities.

    ``present``: the present virtual time. A workspace that is new, or was idle, begins at it, without older
    credit. ``in_flight``: the jobs of each platform that are under way.
    """
    wanted = Counter({name: jobs for name, jobs in in_flight.items() if jobs})
    wanted.update(candidate.platform.value for candidate in candidates)
    capacities = limits.capacities(wanted)
    free = {platform: capacities[platform] - in_flight.get(platform, 0) for platform in wanted}
    ordered = sorted(
        _with_virtual_times([one for one in candidates if free[one.platform] > 0], present),
        key=lambda pair: (pair[0], pair[1].due_at),
    )
    given: Counter[str] = Counter()
    chosen = []
    for _, candidate in ordered:
        given[candidate.platform] += 1
        if given[candidate.platform] <= free[candidate.platform]:
            chosen.append(candidate)
    return chosen, capacities


def _with_virtual_times(candidates: Sequence[Candidate], present: float) -> Iterator[tuple[float, Candidate]]:
    """Yield each candidate with the virtual time at which its workspace would be given the job."""
    by_workspace: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_workspace[candidate.workspace_id].append(candidate)
    for accounts in by_workspace.values():
        accounts.sort(key=lambda one: (one.served_at, one.due_at, one.account_id))
        for number, candidate in enumerate(accounts, 1):
            yield max(candidate.served, present) + number / candidate.weight, candidate
