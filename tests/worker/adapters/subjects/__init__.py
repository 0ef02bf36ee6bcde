"""The platforms that take part in the conformance suite."""

from typing import Final

from tests.worker.adapters.subjects.linkedin import LINKEDIN_MEMBER, LINKEDIN_ORGANIZATION
from tests.worker.adapters.subjects.meta import (
    FACEBOOK,
    INSTAGRAM_WITH_FACEBOOK_LOGIN,
    INSTAGRAM_WITH_INSTAGRAM_LOGIN,
)
from tests.worker.adapters.subjects.tiktok import TIKTOK
from tests.worker.adapters.subjects.x import X

SUBJECTS: Final = (
    INSTAGRAM_WITH_FACEBOOK_LOGIN,
    INSTAGRAM_WITH_INSTAGRAM_LOGIN,
    FACEBOOK,
    X,
    LINKEDIN_ORGANIZATION,
    LINKEDIN_MEMBER,
    TIKTOK,
)
