"""How many publications of one account one job holds, and which platforms let free places be filled."""

from shared.vocabulary import Platform

BATCH_SIZE = {
    Platform.INSTAGRAM: 50,
    Platform.FACEBOOK: 50,
    Platform.X: 100,
    Platform.LINKEDIN: 20,
    Platform.TIKTOK: 20,
}
"""The platforms' own limits of ids per call, or what the fact sheets advise where none is published."""

TOPPED_UP = frozenset({Platform.X, Platform.LINKEDIN, Platform.TIKTOK})
"""Where a call costs the same however many ids it carries, so nearly due siblings travel along.

Meta counts every id of a batch as a call: pulling rows forward there would only spend.
"""
