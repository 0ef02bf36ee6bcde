"""Import of accounts: compares rows with the stored accounts, then inserts and updates in bulk."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime

from pydantic import SecretStr
from sqlalchemy import Connection, text

from shared.accounts.states import reconnect
from shared.accounts.vault import Sealer
from shared.erasure.requests import accounts_under_erasure, workspaces_under_erasure
from shared.ingestion.fields import RowError
from shared.ingestion.rows import AccountRow
from shared.vocabulary import AccountState, Platform


@dataclass(frozen=True, slots=True)
class _Account:
    """The columns that an import writes."""

    account_id: str
    workspace_id: str
    platform: str
    platform_account_id: str
    platform_user_id: str | None
    login: str | None
    kind: str | None
    name: str | None
    sealed_access_token: str | None
    sealed_refresh_token: str | None
    token_expires_at: datetime | None
    refresh_token_expires_at: datetime | None
    token_version: int
    scopes: tuple[str, ...]
    state: str


_COLUMNS = tuple(column.name for column in fields(_Account))
_TYPES = {
    "token_expires_at": "timestamptz",
    "refresh_token_expires_at": "timestamptz",
    "token_version": "bigint",
}
_UNNEST = ", ".join(f"CAST(:{name} AS {_TYPES.get(name, 'text')}[])" for name in _COLUMNS)
_VALUES = ", ".join(
    "string_to_array(u.scopes, ' ')" if name == "scopes" else f"u.{name}" for name in _COLUMNS
)
_LOAD = f"""
SELECT {", ".join(_COLUMNS)} FROM accounts
 WHERE account_id = ANY(:ids) ORDER BY account_id FOR NO KEY UPDATE
"""
_INSERT = f"""
INSERT INTO accounts ({", ".join(_COLUMNS)})
SELECT {_VALUES} FROM unnest({_UNNEST}) AS u ({", ".join(_COLUMNS)})
"""
_UPDATE = f"""
UPDATE accounts AS a
   SET platform_account_id = u.platform_account_id, platform_user_id = u.platform_user_id,
       login = u.login, kind = u.kind, name = u.name,
       sealed_access_token = u.sealed_access_token, sealed_refresh_token = u.sealed_refresh_token,
       token_expires_at = u.token_expires_at, refresh_token_expires_at = u.refresh_token_expires_at,
       token_minted_at = CASE WHEN a.sealed_access_token IS DISTINCT FROM u.sealed_access_token
                              THEN NULL ELSE a.token_minted_at END,
       connected_at = CASE WHEN a.sealed_access_token IS DISTINCT FROM u.sealed_access_token
                           THEN now() ELSE a.connected_at END,
       token_version = u.token_version, scopes = string_to_array(u.scopes, ' ')
  FROM unnest({_UNNEST}) AS u ({", ".join(_COLUMNS)})
 WHERE a.account_id = u.account_id
"""


class AccountImporter:
    """Imports the accounts of a chunk of rows. Stored ones stay locked until the transaction ends."""

    def __init__(
        self,
        connection: Connection,
        sealer: Sealer,
        rows: Sequence[AccountRow],
        without_token: Collection[Platform] = (),
    ) -> None:
        self._without_token = without_token
        self._connection = connection
        self._sealer = sealer
        ids = sorted({row.account_id for row in rows})
        self._stored = {
            row.account_id: _Account(**{**row._mapping, "scopes": tuple(row.scopes)})
            for row in connection.execute(text(_LOAD), {"ids": ids})
        }
        self._current = dict(self._stored)
        self._under_erasure = accounts_under_erasure(connection, ids)
        self._workspaces_under_erasure = workspaces_under_erasure(
            connection, {row.workspace_id for row in rows}
        )
        self._now = connection.execute(text("SELECT now()")).scalar_one().astimezone(UTC)

    def add(self, row: AccountRow) -> bool:
        """Add an account and return whether it changes anything. Raises `RowError`."""
        if row.account_id in self._under_erasure or row.workspace_id in self._workspaces_under_erasure:
            raise RowError("the account is being erased: send it again when that has ended")
        before = self._current.get(row.account_id)
        after = self._new(row) if before is None else self._merged(before, row)
        self._current[row.account_id] = after
        return after != before

    def write(self) -> tuple[int, ...]:
        """Write new and changed accounts; a changed token makes its account readable again."""
        changed = [
            account for account in self._current.values() if account != self._stored.get(account.account_id)
        ]
        self._execute(_INSERT, [account for account in changed if account.account_id not in self._stored])
        known = [account for account in changed if account.account_id in self._stored]
        self._execute(_UPDATE, known)
        for account in known:
            renewed = account.token_version != self._stored[account.account_id].token_version
            if renewed and account.state != AccountState.ACTIVE:
                reconnect(self._connection, account.workspace_id, account.account_id)
        return ()

    def _execute(self, statement: str, accounts: Sequence[_Account]) -> None:
        if accounts:
            rows = [
                asdict(account) | {"scopes": " ".join(account.scopes)}
                for account in sorted(accounts, key=lambda account: account.account_id)
            ]
            self._connection.execute(
                text(statement), {name: [row[name] for row in rows] for name in _COLUMNS}
            )

    def _new(self, row: AccountRow) -> _Account:
        if row.access_token is None and row.platform not in self._without_token:
            raise RowError("access_token is required: the account is not known yet")
        return _Account(
            account_id=row.account_id,
            workspace_id=row.workspace_id,
            platform=row.platform.value,
            platform_account_id=row.platform_account_id,
            platform_user_id=row.platform_user_id,
            login=row.login or _DEFAULT_LOGIN.get(row.platform),
            kind=row.kind or _DEFAULT_KIND.get(row.platform),
            name=row.name,
            sealed_access_token=self._sealer.seal(row.access_token) if row.access_token else None,
            sealed_refresh_token=self._sealer.seal(row.refresh_token) if row.refresh_token else None,
            token_expires_at=row.token_expires_at,
            refresh_token_expires_at=row.refresh_token_expires_at if row.refresh_token else None,
            token_version=1,
            scopes=row.scopes or (),
            state=AccountState.ACTIVE.value,
        )

    def _merged(self, known: _Account, row: AccountRow) -> _Account:
        if row.workspace_id != known.workspace_id:
            raise RowError("workspace_id differs: a known account does not move to another workspace")
        if row.platform != known.platform:
            raise RowError("platform differs: a known account does not change its platform")
        account = replace(
            known,
            platform_account_id=row.platform_account_id,
            platform_user_id=row.platform_user_id or known.platform_user_id,
            login=row.login or known.login,
            kind=row.kind or known.kind,
            name=row.name if "name" in row.given else known.name,
            scopes=known.scopes if row.scopes is None else row.scopes,
        )
        return account if self._is_outdated(known, row) else self._with_tokens(account, row)

    def _with_tokens(self, known: _Account, row: AccountRow) -> _Account:
        account = known
        if row.access_token is not None:
            same = self._is_stored(known.sealed_access_token, row.access_token)
            if not same:
                account = replace(account, sealed_access_token=self._sealer.seal(row.access_token))
            if not same or "token_expires_at" in row.given:
                account = replace(account, token_expires_at=row.token_expires_at)
        if row.refresh_token is not None:
            same = self._is_stored(known.sealed_refresh_token, row.refresh_token)
            if not same:
                account = replace(account, sealed_refresh_token=self._sealer.seal(row.refresh_token))
            if not same or "refresh_token_expires_at" in row.given:
                account = replace(account, refresh_token_expires_at=row.refresh_token_expires_at)
        renewed = (account.sealed_access_token, account.sealed_refresh_token) != (
            known.sealed_access_token,
            known.sealed_refresh_token,
        )
        return replace(account, token_version=account.token_version + renewed)

    def _is_outdated(self, known: _Account, row: AccountRow) -> bool:
        """Return whether the row's tokens have expired while the stored ones, renewed since, are valid.

        Importing an old file again must not restore tokens that a single-use refresh token has made
        worthless.
        """
        return (
            known.state == AccountState.ACTIVE
            and row.token_expires_at is not None
            and known.token_expires_at is not None
            and row.token_expires_at <= self._now < known.token_expires_at
        )

    def _is_stored(self, sealed: str | None, token: SecretStr) -> bool:
        # A stored token that cannot be opened here does not match: the row's token is stored as a new one.
        return sealed is not None and self._sealer.matches(sealed, token)


_DEFAULT_LOGIN = {Platform.INSTAGRAM: "facebook"}
_DEFAULT_KIND = {Platform.LINKEDIN: "organization"}
