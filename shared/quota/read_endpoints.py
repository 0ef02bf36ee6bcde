"""The endpoint class that every refresh of an account calls, by platform and kind of account.

A pause of that class pauses the whole account, so claims skip it. Adapters report limits under these names; a
test compares them.
"""

from collections.abc import Mapping
from typing import Final

from shared.vocabulary import Platform

READ_ENDPOINTS: Final[Mapping[Platform, str]] = {
    Platform.INSTAGRAM: "insights",
    Platform.FACEBOOK: "insights",
    Platform.X: "tweets",
    Platform.LINKEDIN: "organizationalEntityShareStatistics",
    Platform.TIKTOK: "video/query",
}
MEMBER_READ_ENDPOINTS: Final[Mapping[Platform, str]] = {Platform.LINKEDIN: "memberCreatorPostAnalytics"}
"""Of accounts of the kind ``member``, where it is another one."""
TOKENLESS_READ_ENDPOINTS: Final[Mapping[Platform, str]] = {Platform.X: "tweets:app"}
"""Of accounts without a token of their own, which are read as the application."""


def read_endpoint_sql(account: str) -> str:
    """Return an SQL expression: the endpoint class of the row ``account`` of the table ``accounts``."""
    cases = [
        *_cases(TOKENLESS_READ_ENDPOINTS, f"{account}.sealed_access_token IS NULL"),
        *_cases(MEMBER_READ_ENDPOINTS, f"{account}.kind = 'member'"),
    ]
    cases = [f"WHEN {account}.platform = {case}" for case in [*cases, *_cases(READ_ENDPOINTS, "TRUE")]]
    return f"CASE {' '.join(cases)} END"


def _cases(endpoints: Mapping[Platform, str], condition: str) -> list[str]:
    return [f"'{platform.value}' AND {condition} THEN '{name}'" for platform, name in endpoints.items()]
