"""What the policy knows about each platform before an installation has numbers of its own.

Half-lives follow the medians that Graffius publishes for Facebook (81 min), X (49 min), Instagram (19.75 h)
and LinkedIn (24.3 h),
https://scottgraffius.com/blog/files/lifespan-halflife-of-social-media-posts-update-for-2025.html; TikTok's
(48 h) is an assumption. They are starting points: an installation replaces them by settings or its own
data.
"""

from collections.abc import Mapping
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
