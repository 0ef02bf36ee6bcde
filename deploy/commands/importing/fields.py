"""The fields of import files, described for ``--help``, and an example row for each kind of account."""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.vocabulary import Platform

ACCOUNTS: Final[Mapping[str, str]] = {
    "account_id": "Dravo's id of the account, required",
    "workspace_id": "the workspace that it belongs to, required",
    "platform": "instagram, facebook, x, linkedin or tiktok, required",
    "platform_account_id": "the platform's id of the account, page or organization, required",
    "platform_user_id": "the person who connected it, as the platform's signals name them",
    "login": "Instagram only: facebook or instagram, whichever the owner logged in with",
    "kind": "LinkedIn only: organization or member",
    "access_token": "empty keeps the stored one",
    "refresh_token": "where the platform gives one",
    "token_expires_at": "ISO 8601; empty: it does not expire",
    "refresh_token_expires_at": "ISO 8601",
    "scopes": "the permissions that the owner granted: a list, or one text with commas or spaces",
    "name": "shown to people",
}
PUBLICATIONS: Final[Mapping[str, str]] = {
    "post_id": "Dravo's id of the post, required; it may have several publications",
    "account_id": "an imported account, required",
    "workspace_id": "if given, it must be the account's",
    "platform": "if given, it must be the account's",
    "platform_post_id": "the platform's id of the post; empty until it is known",
    "publish_id": "TikTok only: the publish id while the public id is not known",
    "platform_post_url": "its address",
    "media_type": "IMAGE, VIDEO, REELS, CAROUSEL_ALBUM or STORY",
    "text": "the post's text",
    "created_at": "ISO 8601, required; decides the order of pages",
    "published_at": "ISO 8601",
}


def described(fields: Mapping[str, str]) -> str:
    """Return all fields with their meanings, one paragraph each."""
    return "\n\n".join(("", *(f"{name}: {meaning}" for name, meaning in fields.items())))


def _example(platform: Platform, account: str, scopes: Sequence[str], **fields: object) -> dict[str, object]:
    return {
        "account_id": "_".join(
            str(one) for one in ("acc", platform, fields.get("login"), fields.get("kind")) if one
        ),
        "workspace_id": "ws_1",
        "platform": platform.value,
        "platform_account_id": account,
        "access_token": "PASTE_THE_ACCESS_TOKEN_HERE",
        **fields,
        "scopes": list(scopes),
        "name": "Dravo",
    }


_REFRESHED = {
    "refresh_token": "PASTE_THE_REFRESH_TOKEN_HERE",
    "token_expires_at": "2026-12-01T00:00:00Z",
    "refresh_token_expires_at": "2027-11-26T00:00:00Z",
}
EXAMPLES: Final[Mapping[Platform, Sequence[Mapping[str, object]]]] = {
    Platform.INSTAGRAM: (
        _example(
            Platform.INSTAGRAM,
            "17841400000000000",
            ("instagram_basic", "instagram_manage_insights", "pages_read_engagement"),
            login="facebook",
            token_expires_at=None,
        ),
        _example(
            Platform.INSTAGRAM,
            "17841400000000001",
            ("instagram_business_basic", "instagram_business_manage_insights"),
            login="instagram",
            token_expires_at="2027-01-25T00:00:00Z",  # noqa: S106 - an instant
        ),
    ),
    Platform.FACEBOOK: (
        _example(
            Platform.FACEBOOK,
            "100000000000001",
            ("read_insights", "pages_read_engagement"),
            token_expires_at=None,
        ),
    ),
    Platform.X: (
        _example(
            Platform.X,
            "2244994945",
            ("tweet.read", "users.read", "offline.access"),
            **{**_REFRESHED, "refresh_token_expires_at": None},
        ),
    ),
    Platform.LINKEDIN: (
        _example(
            Platform.LINKEDIN,
            "urn:li:organization:2414183",
            ("rw_organization_admin", "r_organization_social"),
            kind="organization",
            **_REFRESHED,
        ),
        _example(
            Platform.LINKEDIN,
            "urn:li:person:AbCdEfGhIj",
            ("r_member_postAnalytics", "r_member_social"),
            kind="member",
            **_REFRESHED,
        ),
    ),
    Platform.TIKTOK: (_example(Platform.TIKTOK, "723f24d7-e717-40f8", ("video.list",), **_REFRESHED),),
}
