"""The data of the simulated platforms: accounts, their tokens, posts, and the growth of posts' counters.

All simulated platforms of a process share one `World`. Accounts and posts are immutable; a change replaces
the value under one lock, so that a reader never sees a partial change. Watchers are called for every change
before the answer that caused it is sent, so that rotated tokens survive a SIGKILL. This module is
long because accounts, posts and their indexes change together under that lock.
"""

import math
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

Key = tuple[str, str]
"""(platform, platform's own id)."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account of one platform, and the tokens that its owner's consent produced."""

    platform: str
    platform_account_id: str
    access_token: str
    login: str | None = None
    """Instagram only: `facebook` (served by graph.facebook.com) or `instagram` (graph.instagram.com)."""
    kind: str | None = None
    """LinkedIn: `organization` or `member`. Facebook: `page`, `user` or `system`, whose token it is."""
    name: str = ""
    scopes: frozenset[str] = frozenset()
    minted_at: datetime | None = None
    access_token_expires_at: datetime | None = None
    refresh_token: str | None = None
    refresh_token_expires_at: datetime | None = None
    former_access_tokens: frozenset[str] = frozenset()
    """Older tokens that still give access."""
    revoked: bool = False
    revocation: str | None = None
    """The platform's code for the reason, where it has several (Meta's error_subcode, such as `460`)."""
    role_lost: bool = False
    """The token's user no longer has the role on the page or organization."""
    suspended: bool = False
    personal: bool = False
    """It is not a professional account, so it has no insights."""


@dataclass(frozen=True, slots=True)
class Post:
    """One published item. `counters` holds exact values, which win over simulated growth."""

    platform: str
    platform_post_id: str
    owner: str
    """The owner's `platform_account_id`."""
    created_at: datetime
    media_type: str | None = None
    product_type: str | None = None
    text: str = ""
    deleted: bool = False
    private: bool = False
    protected: bool = False
    pre_business: bool = False
    """Posted before the account became a business account: it never gets insights."""
    few_viewers: bool = False
    """A story with fewer than five viewers."""
    no_data: bool = False
    """It can be read and has no metrics at all."""
    hidden_counts: bool = False
    """The owner hides like and comment counts: the fields are left out."""
    absent_metrics: frozenset[str] = frozenset()
    """Metrics that are left out of an otherwise complete answer, without an error."""
    refused_metrics: frozenset[str] = frozenset()
    """Metrics that are refused for this post although its kind normally has them (Meta)."""
    replaced_by: str | None = None
    """The id of the newer version, where an edit creates a new id (X)."""
    publish_id: str | None = None
    resolved_at: datetime | None = None
    """When the platform publishes the public id for `publish_id`; None: at once."""
    size: float | None = None
    """The limit of the counter with share 1; None: drawn from the seed."""
    half_life: timedelta = timedelta(hours=24)
    counters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Application:
    """Our app as one platform knows it. `platform` is `meta` for graph.facebook.com, else the platform."""

    platform: str
    client_id: str
    client_secret: str
    proof_required: bool = False
    """Meta's app setting "Require App Secret"."""


class World:
    """Accounts and posts in memory, by id and by token.

    `speed` makes counters grow faster than the clock from `started_at` on, so that they visibly move in a
    demonstration. Token lifetimes and limits follow the clock. Raises `KeyError` for an unknown id.
    """

    def __init__(
        self,
        seed: int = 0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        speed: float = 1.0,
        started_at: datetime | None = None,
    ) -> None:
        self.seed = seed
        self.now = now
        self.speed = speed
        self.started_at = started_at or now()
        self.lock = threading.RLock()
        self.applications: dict[str, Application] = {}
        """By platform; a platform without one accepts any client credentials."""
        self._watchers: list[Callable[[Account | Post | None], None]] = []
        self._salt = str(seed).encode()
        self.clear()

    def clear(self) -> None:
        """Delete every account and post."""
        with self.lock:
            self._accounts: dict[Key, Account] = {}
            self._posts: dict[Key, Post] = {}
            self._by_owner: dict[Key, dict[str, None]] = {}
            self._by_token: dict[str, dict[Key, None]] = {}
            self._by_refresh_token: dict[Key, Key] = {}
            self._spent: dict[Key, Key] = {}
            self._by_publish_id: dict[Key, str] = {}
            self._changed(None)

    def watch(self, watcher: Callable[[Account | Post | None], None]) -> None:
        """Call `watcher` under the lock after every change, with the new value; None: all was cleared."""
        self._watchers.append(watcher)

    # Accounts and their tokens

    def add_accounts(self, accounts: Iterable[Account], *, if_absent: bool = False) -> int:
        """Add or replace accounts (with `if_absent` only add), and return how many changed."""
        changed = 0
        with self.lock:
            for account in accounts:
                if if_absent and (account.platform, account.platform_account_id) in self._accounts:
                    continue
                self._put(replace(account, minted_at=account.minted_at or self.now()))
                changed += 1
        return changed

    def account(self, platform: str, platform_account_id: str) -> Account | None:
        """Return the account, or None."""
        return self._accounts.get((platform, platform_account_id))

    def accounts(self) -> list[Account]:
        """Return every account."""
        with self.lock:
            return list(self._accounts.values())

    def holders(self, access_token: str, *platforms: str) -> list[Account]:
        """Return the accounts that this access token belongs to, also when it is revoked or expired."""
        with self.lock:
            keys = self._by_token.get(access_token, {})
            return [self._accounts[key] for key in keys if not platforms or key[0] in platforms]

    def holder(self, access_token: str, *platforms: str) -> Account | None:
        """Return the first account that this access token belongs to, or None."""
        return next(iter(self.holders(access_token, *platforms)), None)

    def refresh_token_holder(self, platform: str, refresh_token: str) -> Account | None:
        """Return the account whose refresh token this is now, or None."""
        with self.lock:
            key = self._by_refresh_token.get((platform, refresh_token))
            return self._accounts[key] if key else None

    def spent_refresh_token_holder(self, platform: str, refresh_token: str) -> Account | None:
        """Return the account that this former refresh token belonged to, or None: its use is a reuse."""
        with self.lock:
            key = self._spent.get((platform, refresh_token))
            return self._accounts[key] if key else None

    def rotate(
        self,
        account: Account,
        *,
        access_life: timedelta | None,
        refresh_life: timedelta | None = None,
        new_access_token: bool = True,
        new_refresh_token: bool = False,
        keep_former: bool = False,
    ) -> Account:
        """Issue new tokens for an account. The former access token stays valid only with `keep_former`.

        `refresh_life=None` keeps the refresh token's expiry; a token with `access_life=None` never expires.
        """
        now = self.now()
        ends_at = now + access_life if access_life is not None else None
        changes: dict[str, Any] = {"minted_at": now, "access_token_expires_at": ends_at}
        if new_access_token:
            changes["access_token"] = successor(account.access_token)
            former = {*account.former_access_tokens, account.access_token} if keep_former else ()
            changes["former_access_tokens"] = frozenset(former)
        if new_refresh_token and account.refresh_token:
            changes["refresh_token"] = successor(account.refresh_token)
        if refresh_life is not None:
            changes["refresh_token_expires_at"] = now + refresh_life
        return self.change_account(account.platform, account.platform_account_id, **changes)

    def change_account(self, platform: str, platform_account_id: str, **changes: Any) -> Account:
        """Replace the named fields of an account and return the new value."""
        with self.lock:
            account = replace(self._accounts[platform, platform_account_id], **changes)
            self._put(account)
            return account

    def revoke(self, platform: str, platform_account_id: str, code: str | None = None) -> Account:
        """Refuse the account's tokens from now on; `code` is the platform's code for the reason."""
        return self.change_account(platform, platform_account_id, revoked=True, revocation=code)

    def _put(self, account: Account) -> None:
        key = (account.platform, account.platform_account_id)
        before = self._accounts.get(key)
        if before is not None:
            for token in (before.access_token, *before.former_access_tokens):
                holders = self._by_token[token]
                del holders[key]
                if not holders:
                    del self._by_token[token]
            if before.refresh_token and before.refresh_token != account.refresh_token:
                self._by_refresh_token.pop((account.platform, before.refresh_token), None)
                self._spent[account.platform, before.refresh_token] = key
        self._accounts[key] = account
        for token in (account.access_token, *account.former_access_tokens):
            self._by_token.setdefault(token, {})[key] = None
        if account.refresh_token:
            self._by_refresh_token[account.platform, account.refresh_token] = key
        self._changed(account)

    # Posts and their counters

    def add_posts(self, posts: Iterable[Post], *, if_absent: bool = False) -> int:
        """Add or replace posts (with `if_absent` only add), and return how many changed."""
        changed = 0
        with self.lock:
            for post in posts:
                if if_absent and (post.platform, post.platform_post_id) in self._posts:
                    continue
                self._put_post(post)
                changed += 1
        return changed

    def post(self, platform: str, platform_post_id: str) -> Post | None:
        """Return the post, deleted or not, or None."""
        return self._posts.get((platform, platform_post_id))

    def posts(self, platform: str | None = None, owner: str | None = None) -> list[Post]:
        """Return every post, or those of one platform's account."""
        with self.lock:
            if platform is None or owner is None:
                return [post for post in self._posts.values() if platform in (None, post.platform)]
            return [self._posts[platform, one] for one in self._by_owner.get((platform, owner), {})]

    def published(self, platform: str, publish_id: str) -> Post | None:
        """Return the post of this publish id, whether its public id is known yet or not, or None."""
        with self.lock:
            post_id = self._by_publish_id.get((platform, publish_id))
            return self._posts[platform, post_id] if post_id else None

    def change_post(self, platform: str, platform_post_id: str, **changes: Any) -> Post:
        """Replace the named fields of a post and return the new value."""
        with self.lock:
            post = replace(self._posts[platform, platform_post_id], **changes)
            self._put_post(post)
            return post

    def delete_post(self, platform: str, platform_post_id: str) -> Post:
        """Delete a post on its platform."""
        return self.change_post(platform, platform_post_id, deleted=True)

    def _put_post(self, post: Post) -> None:
        self._posts[post.platform, post.platform_post_id] = post
        self._by_owner.setdefault((post.platform, post.owner), {})[post.platform_post_id] = None
        if post.publish_id:
            self._by_publish_id[post.platform, post.publish_id] = post.platform_post_id
        self._changed(post)

    def _changed(self, value: Account | Post | None) -> None:
        for watcher in self._watchers:
            watcher(value)

    def count(self, post: Post, metric: str, share: float = 1.0) -> int:
        """Return the counter's value now: the exact value when the post has one, else a simulated one.

        The value depends on seed, post, metric and now alone. `share` is the metric's usual share of the
        post's size (views 1.0, likes 0.05 …). Half of the growth is reached after `half_life`; then it slows
        down and never ends.
        """
        exact = post.counters.get(metric)
        if exact is not None:
            return exact
        age = self.age(post) / post.half_life
        if age <= 0:
            return 0
        size = post.size if post.size is not None else 10 ** (2 + 2 * self._draw(post.platform_post_id, ""))
        spread = 0.6 + 0.8 * self._draw(post.platform_post_id, metric)
        return int(size * share * spread * (age / (age + 1) + 0.02 * math.log1p(age)))

    def age(self, post: Post) -> timedelta:
        """Return the post's simulated age."""
        now = self.now()
        return now - post.created_at + (now - self.started_at) * (self.speed - 1)

    def _draw(self, post_id: str, metric: str) -> float:
        """Return a number in [0, 1) that depends on seed, post and metric alone."""
        digest = blake2b(f"{post_id}\0{metric}".encode(), digest_size=8, key=self._salt).digest()
        return int.from_bytes(digest) / 2**64


def successor(token: str) -> str:
    """Return a new token in the form of `token`: the same prefix, another secret."""
    head, dot, _ = token.partition(".")
    return f"{head if dot else token[:4]}.{secrets.token_urlsafe(24)}"
