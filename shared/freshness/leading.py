"""The leading counter of each platform: the one number whose growth the adaptive rule follows."""

from collections.abc import Mapping
from typing import Any, Final

from shared.vocabulary import Platform

LEADING: Final[Mapping[Platform, tuple[str, ...]]] = {
    Platform.INSTAGRAM: ("views",),
    Platform.FACEBOOK: ("post_clicks", "post_reactions_by_type_total"),
    Platform.X: ("impression_count",),
    Platform.LINKEDIN: ("share_statistics_impression_count",),
    Platform.TIKTOK: ("view_count",),
}
"""Its metrics, which are added up. Facebook reports no views of posts."""


def leading_value(platform: Platform, metrics: Mapping[str, Any]) -> float | None:
    """Return the leading counter; ``None`` when a part of it is absent: that is not a measurement."""
    values = [metrics.get(name) for name in LEADING[platform]]
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return float(sum(numbers)) if len(numbers) == len(values) else None
