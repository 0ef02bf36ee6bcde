"""Worlds whose posts grow along measured curves instead of assumed ones.

The data are from "News Popularity in Multiple Social Media Platforms" (Moniz and Torgo, 2018), licence CC
BY 4.0, https://arxiv.org/abs/1801.07055: every second item of one topic with at least 20 shares at the end,
its shares every 20 minutes for 48 hours. They are shares of links to news in 2015 and 2016, so they are
real in shape and not in scale. Afterwards a number stays as it is; readers come as in the synthetic worlds,
because the data have none.
"""

import csv
import gzip
from bisect import bisect_left
from dataclasses import dataclass
from importlib import resources
from random import Random
from typing import Final

from deploy.freshness.simulation.worlds import Post, Readers, Wave, arrivals
from shared.vocabulary import Platform

ABOUT: Final = """Shares of links to news, from "News Popularity in Multiple Social Media Platforms" (Moniz
and Torgo, 2018, CC BY 4.0); half-lives and readers are fitted to the other half of the curves.
Most end below a hundred and move in a few steps. After the data's 48 hours a number stays, which the bounds
know and no policy."""
STEP: Final = 1 / 3
"""Hours between two counts."""
_SMOOTHED: Final = 0.3
_PARTS: Final = 8
_PLATFORMS: Final = {"facebook": Platform.FACEBOOK, "linkedin": Platform.LINKEDIN}


@dataclass(frozen=True, slots=True)
class Curve(Post):
    """A post whose number follows a real curve, from the step at which the item was first seen."""

    counts: tuple[int, ...] = ()

    def true(self, age: float) -> float:
        """Return the count at an age, on a line between two steps."""
        place = age / STEP
        before = int(place)
        if before + 1 >= len(self.counts):
            return float(self.counts[-1])
        return self.counts[before] + (place - before) * (self.counts[before + 1] - self.counts[before])

    def expected(self, age: float) -> float:
        """Return the mean count of a time that is a third of the age long, and an hour at least."""
        width = max(1.0, age * _SMOOTHED)
        return (
            sum(self.true(max(age + width * ((place + 0.5) / _PARTS - 0.5), 0.0)) for place in range(_PARTS))
            / _PARTS
        )


def load() -> dict[str, list[Post]]:
    """Return the curves in two halves, ``fitted`` and ``held out``, in turns."""
    random = Random("curves")
    halves: dict[str, list[Post]] = {"fitted": [], "held out": []}
    packed = resources.files(__package__).joinpath("growth-curves.csv.gz").read_bytes()
    rows = csv.reader(gzip.decompress(packed).decode().splitlines()[1:])
    for number, (platform, _item, *counts) in enumerate(rows):
        if platform not in _PLATFORMS:
            continue
        seen = [int(count) for count in counts if int(count) >= 0]
        if len(seen) > len(counts) // 2:
            halves["held out" if number % 2 else "fitted"].append(_post(_PLATFORMS[platform], seen, random))
    return halves


def _post(platform: Platform, seen: list[int], random: Random) -> Post:
    readers = Readers(0.0, 4.0)
    middle = bisect_left(seen, seen[-1] / 2) * STEP
    return Curve(
        platform,
        account=0,
        published=0.0,
        waves=(Wave(0.0, seen[-1], max(middle, STEP)),),
        readers=(readers,),
        reads=tuple(arrivals(readers, random)),
        counts=(0, *seen),
    )
