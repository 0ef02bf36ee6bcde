"""Replays recorded snapshots and reads under any freshness policy, as in `deploy.bench.freshness`.

The first thirty days of each post are replayed. What is true between two snapshots is not known: numbers are
taken to grow evenly from one to the next. Reads are counted and not dated, so they are placed where a typical
post is read.
"""

import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, text

from deploy.freshness.simulation.policies import Family, families, fixed
from deploy.freshness.simulation.runs import Result, at_budget, best, run
from deploy.freshness.simulation.worlds import HORIZON, Post, Readers, Wave, arrivals
from shared.freshness.leading import leading_value
from shared.freshness.policy import Freshness
from shared.vocabulary import Platform

_HOUR: Final = timedelta(hours=1)
_LAST: Final = text("SELECT COALESCE(max(id), 0) FROM publications")
_AT_ONCE: Final = 100
_SNAPSHOTS: Final = text("""
SELECT p.id, p.platform, COALESCE(p.published_at, p.created_at) AS published_at,
       s.taken_at, s.last_seen_at, s.reads AS refreshes, s.metrics, COALESCE(c.reads, 0) AS reads
  FROM (SELECT * FROM publications WHERE id > :after ORDER BY id LIMIT :most) AS p
  JOIN snapshots s ON s.publication_id = p.id
  LEFT JOIN read_counts c ON c.publication_id = p.id
 ORDER BY p.id, s.taken_at
""")


@dataclass(frozen=True, slots=True)
class Recorded(Post):
    """A post whose number follows its recorded snapshots."""

    ages: tuple[float, ...] = ()
    numbers: tuple[float, ...] = ()
    refreshes: int = 0
    """How often it was really refreshed."""

    def true(self, age: float) -> float:
        """Return the recorded number at an age, on a line between two snapshots."""
        place = bisect_right(self.ages, age)
        if place == len(self.ages):
            return self.numbers[-1]
        before = (self.ages[place - 1], self.numbers[place - 1]) if place else (0.0, 0.0)
        share = (age - before[0]) / (self.ages[place] - before[0])
        return before[1] + share * (self.numbers[place] - before[1])


@dataclass(frozen=True, slots=True)
class Replay:
    """The results of every policy at the same number of calls."""

    posts: int
    calls: float
    """For each post: what was really made."""
    results: tuple[tuple[str, Result], ...]


def recorded(connection: Connection, posts: int) -> list[Recorded]:
    """Return up to so many publications that can be replayed, sampled over the installation."""
    starts = range(0, connection.execute(_LAST).scalar_one(), _AT_ONCE)
    chosen: list[Recorded] = []
    for after in random.sample(starts, len(starts)):
        rows = connection.execute(_SNAPSHOTS, {"after": after, "most": _AT_ONCE})
        for _, of_one in groupby(rows, key=lambda row: row.id):
            post = _post(list(of_one))
            if post is not None:
                chosen.append(post)
        if len(chosen) >= posts:
            break
    return chosen[:posts]


def replay(posts: Sequence[Recorded], policy: Freshness, calls: float | None = None) -> Replay:
    """Run each policy over the recorded posts, at ``calls`` for each post or at those that were made."""
    budget = calls or sum(post.refreshes for post in posts) / len(posts)
    budget = max(budget, 2.0)  # the first refresh of each post, and one more
    results: list[tuple[str, Result]] = []
    if policy.interval is not None:
        results.append((policy.name, run(posts, fixed, policy.interval / _HOUR)))
    named: Iterable[tuple[str, Family]] = families().items()
    results += [(name, at_budget(posts, family, budget)) for name, family in named]
    results.append(("clairvoyant bound", best(posts, budget)))
    return Replay(len(posts), budget, tuple(results))


def _post(rows: Sequence[Any]) -> Recorded | None:
    """Return a post's curve; ``None`` when it was measured less than twice in its first thirty days."""
    rows = [row for row in rows if (row.taken_at - row.published_at) / _HOUR < HORIZON]
    if not rows:
        return None
    platform = Platform(rows[0].platform)
    points: dict[float, float] = {}
    for row in rows:
        number = leading_value(platform, row.metrics)
        if number is not None:
            for instant in (row.taken_at, row.last_seen_at):
                points[max((instant - row.published_at) / _HOUR, 0.01)] = number
    if len(points) < 2:
        return None
    ages = sorted(points)
    until = min(ages[-1], HORIZON)
    readers = (Readers(0.0, 4.0),)
    typical = [age for age in arrivals(readers[0], random.Random(rows[0].id)) if age < until]
    reads = tuple(sorted(random.Random(rows[0].id).choices(typical, k=rows[0].reads))) if typical else ()
    return Recorded(
        platform,
        account=0,
        published=0.0,
        waves=(Wave(0.0, points[ages[-1]], 1.0),),
        readers=readers,
        reads=reads or tuple(typical),
        until=until,
        ages=tuple(ages),
        numbers=tuple(points[age] for age in ages),
        refreshes=sum(row.refreshes for row in rows),
    )
