"""The adapters of the platforms: one file or folder a platform, and the table that lists them."""

from collections.abc import Callable
from typing import Final

from shared.settings import Settings
from shared.vocabulary import Platform
from worker.adapters.contract import Adapter
from worker.adapters.linkedin.linkedin import LinkedIn
from worker.adapters.meta.facebook import Facebook
from worker.adapters.meta.instagram import Instagram
from worker.adapters.tiktok import TikTok
from worker.adapters.x.x import X

ADAPTERS: Final[dict[Platform, Callable[[Settings], Adapter]]] = {
    Platform.INSTAGRAM: Instagram,
    Platform.FACEBOOK: Facebook,
    Platform.X: X,
    Platform.LINKEDIN: LinkedIn,
    Platform.TIKTOK: TikTok,
}
