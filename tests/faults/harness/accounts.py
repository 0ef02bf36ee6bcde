"""Accounts and posts, as the simulated platforms hold them and as rows to import."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from deploy.simulators.world import Account, Post

WORKSPACES = ("ws_north", "ws_south")


@dataclass(frozen=True)
class AccountKind:
    """A kind of account, with the patterns of its ids and tokens."""

    name: str
    platform: str
    token: str
    owner: str
    post: str
    scopes: frozenset[str]
    login: str | None = None
    kind: str | None = None
    renews: bool = False


ACCOUNT_KINDS = (
    AccountKind(
        "page", "facebook", "EAA", "10{:04}", "{owner}_{:06}",
        frozenset({"read_insights", "pages_read_engagement"}), kind="page",
    ),
    AccountKind(
        "business", "instagram", "EAA", "1784140000000{:04}", "1790{account:04}{:09}",
        frozenset({"instagram_basic", "instagram_manage_insights", "pages_read_engagement"}),
        login="facebook",
    ),
    AccountKind(
        "creator", "instagram", "IGAA", "1784140000000{:04}", "1790{account:04}{:09}",
        frozenset({"instagram_business_basic", "instagram_business_manage_insights"}), login="instagram",
    ),
    AccountKind(
        "x", "x", "x", "55{:05}", "1990{account:04}{:09}",
        frozenset({"tweet.read", "users.read", "offline.access"}), renews=True,
    ),
    AccountKind(
        "organization", "linkedin", "AQ", "urn:li:organization:55{:05}",
        "urn:li:share:739{account:04}{:012}",
        frozenset({"rw_organization_admin", "r_organization_social"}), kind="organization", renews=True,
    ),
    AccountKind(
        "tiktok", "tiktok", "act.", "55{:05}", "756{account:04}{:012}",
        frozenset({"video.list", "video.publish"}), renews=True,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class SeedData:
    """The same accounts and posts twice: for the simulated platforms, and as rows to import."""

    accounts: list[Account]
    posts: list[Post]
    account_rows: list[dict[str, Any]]
    publication_rows: list[dict[str, Any]]


def seed_data(seed: int, posts: int) -> SeedData:
    """Return one account of every kind in every workspace, each with ``posts`` posts."""
    random = Random(seed)
    seed_data = SeedData([], [], [], [])
    now = datetime.now(UTC)
    for number, (workspace, kind) in enumerate(_accounts_of_workspaces(), start=1):
        _add_account(seed_data, random, now, workspace, kind, number, posts)
    return seed_data


def _accounts_of_workspaces() -> Iterator[tuple[str, AccountKind]]:
    return ((workspace, kind) for workspace in WORKSPACES for kind in ACCOUNT_KINDS)


def _add_account(
    seed_data: SeedData,
    random: Random,
    now: datetime,
    workspace: str,
    kind: AccountKind,
    number: int,
    posts: int,
) -> None:
    account_id, owner = f"acc_{workspace[3:]}_{kind.name}", kind.owner.format(number)
    access, refresh = (f"{kind.token}{random.getrandbits(160):040x}" for _ in range(2))
    expires_at = now + timedelta(days=50)
    seed_data.accounts.append(
        Account(
            kind.platform,
            owner,
            access,
            login=kind.login,
            kind=kind.kind,
            scopes=kind.scopes,
            minted_at=now - timedelta(hours=1),
            access_token_expires_at=expires_at,
            refresh_token=refresh if kind.renews else None,
            refresh_token_expires_at=expires_at if kind.renews else None,
        )
    )
    seed_data.account_rows.append(
        {
            "account_id": account_id,
            "workspace_id": workspace,
            "platform": kind.platform,
            "platform_account_id": owner,
            "login": kind.login,
            "kind": kind.kind if kind.platform == "linkedin" else None,
            "access_token": access,
            "refresh_token": refresh if kind.renews else None,
            "token_expires_at": expires_at.isoformat(),
            "refresh_token_expires_at": expires_at.isoformat() if kind.renews else None,
            "scopes": sorted(kind.scopes),
        }
    )
    for place in range(posts):
        one = kind.post.format(place, owner=owner, account=number)
        created_at = now - timedelta(days=40, minutes=7 * place + number)
        media = {"instagram": "IMAGE", "tiktok": "VIDEO"}.get(kind.platform)
        seed_data.posts.append(Post(kind.platform, one, owner, created_at, media_type=media))
        seed_data.publication_rows.append(
            {
                "post_id": f"post_{account_id[4:]}_{place:02}",
                "account_id": account_id,
                "platform_post_id": one,
                "media_type": media,
                "created_at": created_at.isoformat(),
                "published_at": created_at.isoformat(),
            }
        )
