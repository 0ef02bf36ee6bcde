"""What the policy knows about each platform before an installation has numbers of its own.

Half-lives follow the medians that Graffius publishes for Facebook (81 min), X (49 min), Instagram (19.75 h)
and LinkedIn (24.3 h),
https://scottgraffius.com/blog/files/lifespan-halflife-of-social-media-posts-update-for-2025.html; TikTok's
(48 h) is an assumption. They are starting points: an installation replaces them by settings or its own
data.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from shared.freshness.rule import Prior
from shared.vocabulary import Platform

PRIORS: Final[Mapping[Platform, Prior]] = {
    Platform.INSTAGRAM: Prior(19.75, 1 / 4),
    Platform.FACEBOOK: Prior(81 / 60, 1 / 12),
    Platform.X: Prior(49 / 60, 1 / 12),
    Platform.LINKEDIN: Prior(24.3, 1 / 4),
    Platform.TIKTOK: Prior(48.0, 1 / 12),
}
"""Half-life, shortest and longest interval of each platform, in hours."""

_OVERRIDE: Final = re.compile(r"(\w+)=(\d{1,5})([smhd])/(\d{1,5})([smhd])/(\d{1,5})([smhd])")
_HOURS: Final = {"s": 1 / 3600, "m": 1 / 60, "h": 1.0, "d": 24.0}


@lru_cache(maxsize=8)
def parse_priors(text: str) -> Mapping[Platform, Prior]:
    """Return the priors with overrides like ``facebook=15h/5m/30d,…``: half-life, shortest, longest interval.

    Units are s, m, h and d. Raises `ValueError` with a sentence on what is allowed.
    """
    priors = dict(PRIORS)
    for part in filter(None, (part.strip() for part in text.split(","))):
        override = _OVERRIDE.fullmatch(part)
        if not override or override[1] not in set(Platform):
            raise ValueError("must look like facebook=15h/5m/30d (half-life/min/max), comma-separated")
        half_life, shortest, longest = (int(override[n]) * _HOURS[override[n + 1]] for n in (2, 4, 6))
        if not 0 < shortest <= longest or not half_life:
            raise ValueError("a half-life is above 0, and a shortest interval is not above the longest")
        priors[Platform(override[1])] = Prior(half_life, shortest, longest)
    return priors
