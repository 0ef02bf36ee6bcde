"""The demo data: three workspaces with accounts and posts on every simulated platform.

No sync status is set here. Some posts are deleted, private, too old or unpublished on the simulated
platforms, and the pipeline detects that when it fetches them, as in production.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

POSTS_PER_ACCOUNT = 48
_TEXTS = (
    "Shipping Dravo",
    "Behind the scenes",
    "A question for you",
    "What we learned",
    "New this week",
    "Thanks!",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of account: the form of its ids and tokens, its scopes, the lifetime of its tokens."""

    platform: str
    token_prefix: str
    scopes: tuple[str, ...]
    token_life: timedelta | None
    login: str | None = None
    kind: str | None = None
    refreshable: bool = False


_KINDS = {
    "facebook": Kind("facebook", "EAA", ("read_insights", "pages_read_engagement"), None, kind="page"),
    "instagram-facebook": Kind(
        "instagram",
        "EAA",
        ("instagram_basic", "instagram_manage_insights", "pages_read_engagement"),
        timedelta(days=60),
        login="facebook",
    ),
    "instagram": Kind(
        "instagram",
        "IGAA",
        ("instagram_business_basic", "instagram_business_manage_insights"),
        timedelta(days=60),
        login="instagram",
    ),
    "x": Kind("x", "x", ("tweet.read", "users.read", "offline.access"), timedelta(hours=2), refreshable=True),
    "linkedin": Kind(
        "linkedin",
        "AQ",
        ("rw_organization_admin", "r_organization_social"),
        timedelta(days=60),
        kind="organization",
        refreshable=True,
    ),
    "linkedin-member": Kind(
        "linkedin", "AQ", ("r_member_postAnalytics", "r_member_social"), timedelta(days=60), kind="member"
    ),
    "tiktok": Kind("tiktok", "act.", ("video.list", "video.publish"), timedelta(hours=2), refreshable=True),
}

_WORKSPACES = {
    "ws_north": ("facebook", "instagram-facebook", "instagram", "x", "linkedin", "tiktok"),
    "ws_south": ("facebook", "instagram-facebook", "instagram", "x", "linkedin", "tiktok"),
    "ws_lab": ("x", "linkedin-member"),
}
_REVOKED = ("ws_lab", "x")
"""The owner of this account has revoked the authorization."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo data in two forms: for the simulated platforms' control host, and as import rows."""

    platform_accounts: list[dict[str, Any]]
    platform_posts: list[dict[str, Any]]
    revoked: list[tuple[str, str]]
    account_rows: list[dict[str, Any]]
    publication_rows: list[dict[str, Any]]


def build(secret: str, began_at: datetime) -> Demo:
    """Return the demo data as of ``began_at``; the same secret and instant give the same data."""
    demo = Demo([], [], [], [], [])
    for workspace, kinds in _WORKSPACES.items():
        for name in kinds:
            number = len(demo.account_rows) + 1
            owner = _add_account(demo, secret, began_at, workspace, name, number)
            for place in range(POSTS_PER_ACCOUNT if name != "linkedin-member" else 12):
                _add_post(demo, began_at, name, number, place, owner)
    return demo


def _add_account(demo: Demo, secret: str, began_at: datetime, workspace: str, name: str, number: int) -> str:
    kind, account_id = _KINDS[name], f"acc_{workspace[3:]}_{name.replace('-', '_')}"
    owner = {"facebook": f"10{number:04}", "instagram": f"178414000000000{number:02}"}.get(
        kind.platform, f"55500{number:02}"
    )
    if kind.platform == "linkedin":
        owner = f"urn:li:{'organization' if kind.kind == 'organization' else 'person'}:{owner}"

    def token(use: str) -> str:
        digest = hmac.new(secret.encode(), f"{account_id}/{use}".encode(), hashlib.sha256).hexdigest()
        return f"{kind.token_prefix}{digest}"

    expires_at = _iso(began_at + kind.token_life) if kind.token_life else None
    refresh_token = token("refresh") if kind.refreshable else None
    refresh_expires_at = _iso(began_at + timedelta(days=180)) if kind.refreshable else None
    demo.platform_accounts.append(
        {
            "platform": kind.platform,
            "platform_account_id": owner,
            "access_token": token("access"),
            "login": kind.login,
            "kind": kind.kind,
            "scopes": kind.scopes,
            "minted_at": _iso(began_at - timedelta(days=2)),
            "access_token_expires_at": expires_at,
            "refresh_token": refresh_token,
            "refresh_token_expires_at": refresh_expires_at,
        }
    )
    if (workspace, name) == _REVOKED:
        demo.revoked.append((kind.platform, owner))
    demo.account_rows.append(
        {
            "account_id": account_id,
            "workspace_id": workspace,
            "platform": kind.platform,
            "platform_account_id": owner,
            "login": kind.login,
            "kind": kind.kind if kind.platform == "linkedin" else None,
            "access_token": token("access"),
            "refresh_token": refresh_token,
            "token_expires_at": expires_at,
            "refresh_token_expires_at": refresh_expires_at,
            "scopes": list(kind.scopes),
            "name": f"{workspace[3:].title()} {name}",
        }
    )
    return owner


def _add_post(demo: Demo, began_at: datetime, name: str, number: int, place: int, owner: str) -> None:
    kind, account = _KINDS[name], demo.account_rows[-1]
    created_at = began_at - timedelta(hours=2 + 7 * place, minutes=number)
    post: dict[str, Any] = {
        "platform": kind.platform,
        "platform_post_id": _post_id(kind, owner, number, place),
        "owner": owner,
        "created_at": _iso(created_at),
        "media_type": _media_type(kind, place),
        "half_life": timedelta(hours=30).total_seconds(),
    }
    post |= _special_properties(kind, place, began_at)
    row = {
        "post_id": f"post_{account['account_id'][4:]}_{place:02}",
        "account_id": account["account_id"],
        "platform_post_id": post["platform_post_id"],
        "media_type": post["media_type"],
        "text": f"{_TEXTS[place % len(_TEXTS)]} ({place + 1})",
        "created_at": post["created_at"],
        "published_at": post["created_at"],
    }
    if "publish_id" in post:
        post["publish_id"] += f"{number:02}{place:02}"
        row |= {"publish_id": post["publish_id"], "platform_post_id": None}
    demo.platform_posts.append(post)
    demo.publication_rows.append(row)


def _post_id(kind: Kind, owner: str, number: int, place: int) -> str:
    match kind.platform:
        case "facebook":
            return f"{owner}_{2000 + place}"
        case "linkedin":
            urn_type = "ugcPost" if place % 3 == 2 else "share"
            return f"urn:li:{urn_type}:73900000000{number:02}{place:06}"
        case "tiktok":
            return f"75600000000{number:02}{place:06}"
        case "instagram":
            return f"179000000{number:02}{place:06}"
        case _:
            return f"19900000000{number:02}{place:06}"


def _media_type(kind: Kind, place: int) -> str | None:
    if kind.platform == "instagram":
        return "STORY" if place < 2 else ("IMAGE", "REELS", "CAROUSEL_ALBUM", "VIDEO")[place % 4]
    return "VIDEO" if kind.platform == "tiktok" else None


def _special_properties(kind: Kind, place: int, began_at: datetime) -> dict[str, Any]:
    """Return the special properties of a few posts of every account, on their platform."""
    if kind.kind == "member":
        return {}
    special: dict[int, dict[str, Any]] = {7: {"deleted": True}}
    match kind.platform:
        case "instagram":
            special |= {
                1: {"few_viewers": True},
                9: {"pre_business": True},
                11: {"absent_metrics": ["shares"]},
            }
        case "facebook":
            special |= {9: {"no_data": True}, 11: {"absent_metrics": ["post_clicks"]}}
        case "x":
            special |= {9: {"protected": True}}
        case "linkedin":
            old = _iso(began_at - timedelta(days=400))
            special |= {9: {"no_data": True}, 44: {"created_at": old}}
        case "tiktok":
            late, soon = _iso(began_at + timedelta(days=30)), _iso(began_at + timedelta(seconds=20))
            special |= {
                0: {"publish_id": "v_pub_file~v2-1.", "resolved_at": late},
                1: {"publish_id": "v_pub_url~v2-1.", "resolved_at": soon},
            }
    return special.get(place, {})


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()
