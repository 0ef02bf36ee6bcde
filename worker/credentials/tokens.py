"""Credentials: decrypted in this module only, and renewed once for the whole fleet.

A renewal holds the account's row lock: a second worker waits, reads the row again and finds the newer pair. X
and TikTok accept a refresh token once, so the new pair is committed before it is used, if necessary on
another connection: a database that restarts during the platform's answer must not cost the account.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.accounts.token_life import OLD_ENOUGH, RENEW_AHEAD
from shared.accounts.vault import SealError, Vault
from shared.database import DATABASE_AWAY
from shared.driver.statement import Statement
from shared.freshness.refit import Fitted
from shared.observability import failpoints
from shared.vocabulary import AccountState, Platform
from worker.errors import Misconfigured, Reauthorize, TryAgain
from worker.readings import Account, Tokens

STORED_WITHIN = timedelta(seconds=30)
"""How long the storing of a new pair is retried while the database is away."""

UNOPENED = "The account's stored token cannot be opened: none of DRAVO_SECRET_KEYS fits it."
"""The message for operators; the account's owner can do nothing."""

ERASED = "The account does not exist any more."
"""Why no token is renewed once an account has been erased during its refresh."""

_LOCK_NOT_AVAILABLE = "55P03"
_RETRY_SECONDS = 0.5
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account as stored, with decrypted credentials and the state that decides whether it may be used."""

    account: Account
    token_version: int
    state: AccountState
    state_reason: str | None
    unopened: str | None = None
    """Why the stored tokens cannot be decrypted; ``account`` then has empty ones, which must not be used."""
    pressure: float | None = None
    """The highest quota pressure of its budgets; ``None``: none is known."""
    fitted: Fitted | None = None
    """What was fitted to its posts, or to its platform's; ``None``: nothing is."""


@dataclass(frozen=True, slots=True)
class StoredState:
    """Whether an account may be used, and the version of the tokens that are stored for it."""

    state: AccountState
    reason: str | None
    token_version: int


_COLUMNS = """
SELECT account_id, workspace_id, platform, platform_account_id, login, kind, scopes, state, state_reason,
       sealed_access_token, sealed_refresh_token, token_expires_at, refresh_token_expires_at, token_minted_at,
       token_version
  FROM accounts WHERE account_id = :account_id
"""
_LOAD = Statement(
    """
SELECT a.*,
       (SELECT max(q.factor) FROM quota_pressure q
         WHERE q.platform = a.platform AND q.account_id IN ('', a.account_id)) AS pressure,
       (SELECT ARRAY[f.half_life, f.reads_at_first, f.reads_at_any_age] FROM growth_fits f
         WHERE f.platform = a.platform AND f.account_id IN ('', a.account_id)
         ORDER BY f.account_id DESC LIMIT 1) AS fitted
  FROM ("""
    + _COLUMNS
    + """) AS a
"""
)
# The transaction is idle during the platform's call: without its lock a pair would be renewed twice.
_IDLE_TIMEOUT = text("SET LOCAL idle_in_transaction_session_timeout = '60s'")
_LOCK_WAIT = text("SELECT set_config('lock_timeout', :milliseconds, true)")
_STATE = text("SELECT state, state_reason, token_version FROM accounts WHERE account_id = :account_id")
# NO KEY UPDATE: inserting publications of the account goes on meanwhile.
_LOCK = text(_COLUMNS + " FOR NO KEY UPDATE")

_STORE = text("""
UPDATE accounts
   SET sealed_access_token = :access, sealed_refresh_token = COALESCE(:refresh, sealed_refresh_token),
       token_expires_at = :expires_at,
       refresh_token_expires_at = COALESCE(:refresh_expires_at, refresh_token_expires_at),
       scopes = COALESCE(CAST(:scopes AS text[]), scopes),
       token_minted_at = now(), token_version = token_version + 1
 WHERE account_id = :account_id AND workspace_id = :workspace_id AND token_version = :token_version
""")


def load(connection: Connection, account_id: str, vault: Vault) -> StoredAccount | None:
    """Return the account with decrypted credentials, or ``None`` when it does not exist (any more).

    Tokens that no key decrypts raise nothing: the caller records that (`StoredAccount.unopened`).
    """
    rows = _LOAD.all(connection, {"account_id": account_id})
    if not rows:
        return None
    row = rows[0]
    return replace(_opened(row, vault), pressure=row.pressure, fitted=row.fitted and Fitted(*row.fitted))


def state(connection: Connection, account_id: str) -> StoredState | None:
    """Return an account's state without decrypting a token; ``None`` when the account does not exist."""
    row = connection.execute(_STATE, {"account_id": account_id}).one_or_none()
    return None if row is None else StoredState(AccountState(row.state), row.state_reason, row.token_version)


def _opened(row: Any, vault: Vault) -> StoredAccount:
    unopened = None
    try:
        access_token = vault.open(row.sealed_access_token) if row.sealed_access_token else SecretStr("")
        refresh_token = vault.open(row.sealed_refresh_token) if row.sealed_refresh_token else None
    except SealError:
        unopened = UNOPENED
        access_token, refresh_token = SecretStr(""), None
    account = Account(
        account_id=row.account_id,
        workspace_id=row.workspace_id,
        platform=Platform(row.platform),
        platform_account_id=row.platform_account_id,
        login=row.login,
        kind=row.kind,
        scopes=frozenset(row.scopes),
        access_token=access_token,
        refresh_token=refresh_token,
        token_expires_at=row.token_expires_at,
        refresh_token_expires_at=row.refresh_token_expires_at,
        token_minted_at=row.token_minted_at,
    )
    return StoredAccount(account, row.token_version, AccountState(row.state), row.state_reason, unopened)


def ends_soon(account: Account, now: datetime) -> bool:
    """Return whether the access token should be renewed before it is used."""
    ahead = RENEW_AHEAD.get(account.platform)
    # Instants are only subtracted: adding to a stored one could exceed the range of a datetime.
    if ahead is None or account.token_expires_at is None or account.token_expires_at - now > ahead:
        return False
    if account.platform is Platform.INSTAGRAM:
        young = account.token_minted_at is not None and now - account.token_minted_at < OLD_ENOUGH
        return account.login == "instagram" and not young and now < account.token_expires_at
    return account.refresh_token is not None


def renew(
    engine: Engine,
    vault: Vault,
    stored: StoredAccount,
    request: Callable[[Account], Tokens],
    *,
    lock_wait: timedelta = timedelta(seconds=20),
) -> StoredAccount:
    """Return the account with a newer pair than ``stored``: another worker's, or the result of ``request``.

    The new pair is committed when this returns. Raises `worker.errors.Reauthorize` when the account is not
    active any more, `worker.errors.TryAgain` when another worker takes longer than ``lock_wait`` over it,
    `worker.errors.Misconfigured` when no key decrypts the stored pair, and whatever ``request`` raises.
    """
    tokens = None
    try:
        with engine.begin() as connection:
            connection.execute(_IDLE_TIMEOUT)
            connection.execute(_LOCK_WAIT, {"milliseconds": str(lock_wait // timedelta(milliseconds=1))})
            row = connection.execute(_LOCK, {"account_id": stored.account.account_id}).one_or_none()
            if row is None:
                raise Reauthorize(ERASED)
            current = _opened(row, vault)
            if current.state is not AccountState.ACTIVE:
                raise Reauthorize(current.state_reason or "The account is not connected.")
            if current.token_version != stored.token_version:
                return current
            if current.unopened:
                raise Misconfigured(current.unopened)
            tokens = request(current.account)
            _store(connection, vault, current, tokens)
    except DBAPIError as error:
        if tokens is not None:
            _store_again(engine, vault, current, tokens)
        elif getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise TryAgain("The account's tokens are still being renewed.") from error
        else:
            raise
    failpoints.hit("token_renewed")
    with engine.connect() as connection:
        renewed = load(connection, current.account.account_id, vault)
    if renewed is None:
        raise Reauthorize(ERASED)
    return renewed


def _store(connection: Connection, vault: Vault, current: StoredAccount, tokens: Tokens) -> None:
    """Store a pair in place of ``current``'s; does nothing when a newer one is stored already."""
    connection.execute(
        _STORE,
        {
            "account_id": current.account.account_id,
            "workspace_id": current.account.workspace_id,
            "token_version": current.token_version,
            "access": vault.seal(tokens.access_token),
            "refresh": vault.seal(tokens.refresh_token) if tokens.refresh_token else None,
            "expires_at": tokens.expires_at,
            "refresh_expires_at": tokens.refresh_token_expires_at,
            "scopes": sorted(tokens.scopes) if tokens.scopes is not None else None,
        },
    )


def _store_again(engine: Engine, vault: Vault, current: StoredAccount, tokens: Tokens) -> None:
    """Store a pair whose transaction was lost, as soon as the database is back."""
    account_id = current.account.account_id
    _log.warning("token_storage_lost", account_id=account_id)
    deadline = time.monotonic() + STORED_WITHIN.total_seconds()
    while True:
        try:
            with engine.begin() as connection:
                _store(connection, vault, current, tokens)
        except (*DATABASE_AWAY, PoolTimeoutError):
            if time.monotonic() > deadline:
                _log.exception("tokens_lost", account_id=account_id)
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return
