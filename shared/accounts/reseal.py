"""Key rotation: seals every stored secret with the first key, so that older keys can be removed.

Each batch is one transaction, in order of account ids; tokens that the first key sealed stay unchanged. A run
that was stopped is repeated from the beginning and passes quickly over finished accounts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, Engine, text

from shared.accounts.vault import SealError, Vault

BATCH: Final = 500

_TOKENS = """
SELECT account_id, sealed_access_token, sealed_refresh_token FROM accounts
 WHERE account_id = ANY(:ids) ORDER BY account_id FOR NO KEY UPDATE
"""
# A renewal locks its account while it calls the platform: such accounts are processed at the end.
_UNLOCKED: Final = text(f"{_TOKENS} SKIP LOCKED")
_LOCKED: Final = text(_TOKENS)
_LONG_LOCK_TIMEOUT: Final = text("SET LOCAL lock_timeout = '60s'")
_IDS: Final = text(
    "SELECT account_id FROM accounts WHERE account_id > :after ORDER BY account_id LIMIT :most"
)
_STORE: Final = text("""
UPDATE accounts AS a SET sealed_access_token = n.access, sealed_refresh_token = n.refresh
  FROM unnest(CAST(:ids AS text[]), CAST(:accesses AS text[]), CAST(:refreshes AS text[]))
       AS n (id, access, refresh)
 WHERE a.account_id = n.id
""")
_ENDPOINTS: Final = text("""
SELECT endpoint_id, sealed_secret, sealed_former_secret FROM webhook_endpoints
 WHERE endpoint_id > :after ORDER BY endpoint_id LIMIT :most FOR NO KEY UPDATE
""")
_STORE_ENDPOINT: Final = text("""
UPDATE webhook_endpoints SET sealed_secret = :secret, sealed_former_secret = :former
 WHERE endpoint_id = :endpoint_id
""")


@dataclass(slots=True)
class Resealed:
    """The progress of a run."""

    accounts: int = 0
    """Accounts processed."""
    resealed: int = 0
    """Accounts with a token that was sealed again."""
    unopened: list[str] = field(default_factory=list)
    """Accounts with a token that no key opens; they stay unchanged."""
    unopened_endpoints: list[str] = field(default_factory=list)
    """Webhook endpoints with a signing secret that no key opens; they stay unchanged."""


def accounts(connection: Connection) -> int:
    """Count the accounts that a run processes."""
    number: int = connection.execute(text("SELECT count(*) FROM accounts")).scalar_one()
    return number


def reseal(engine: Engine, vault: Vault) -> Iterator[Resealed]:
    """Re-seal all tokens and yield the progress after each batch."""
    done, after = Resealed(), ""
    busy: list[str] = []
    while True:
        with engine.begin() as connection:
            ids = list(connection.execute(_IDS, {"after": after, "most": BATCH}).scalars())
            if not ids:
                break
            seen = _reseal_batch(connection, vault, ids, done, wait=False)
        busy += [one for one in ids if one not in seen]
        after = ids[-1]
        yield done
    for first in range(0, len(busy), BATCH):
        with engine.begin() as connection:
            _reseal_batch(connection, vault, busy[first : first + BATCH], done, wait=True)
        yield done
    last: str | None = ""
    while last is not None:
        with engine.begin() as connection:
            last = _reseal_endpoints(connection, vault, last, done)
        yield done


def _reseal_batch(
    connection: Connection, vault: Vault, ids: list[str], done: Resealed, *, wait: bool
) -> set[str]:
    """Re-seal these accounts' tokens and return the accounts that were not locked by others."""
    if wait:
        connection.execute(_LONG_LOCK_TIMEOUT)
    rows = connection.execute(_LOCKED if wait else _UNLOCKED, {"ids": ids}).all()
    changed = []
    for row in rows:
        done.accounts += 1
        sealed = (row.sealed_access_token, row.sealed_refresh_token)
        try:
            resealed = tuple(_sealed_by_first_key(vault, one) for one in sealed)
        except SealError:
            done.unopened.append(row.account_id)
            continue
        if resealed != sealed:
            changed.append((row.account_id, *resealed))
    if changed:
        done.resealed += len(changed)
        names = ("ids", "accesses", "refreshes")
        connection.execute(_STORE, dict(zip(names, map(list, zip(*changed, strict=True)), strict=True)))
    return {row.account_id for row in rows}


def _reseal_endpoints(connection: Connection, vault: Vault, after: str, done: Resealed) -> str | None:
    """Re-seal the signing secrets of the next endpoints; return the last one, or ``None`` after all."""
    rows = connection.execute(_ENDPOINTS, {"after": after, "most": BATCH}).all()
    for row in rows:
        sealed = (row.sealed_secret, row.sealed_former_secret)
        try:
            resealed = tuple(_sealed_by_first_key(vault, one) for one in sealed)
        except SealError:
            done.unopened_endpoints.append(row.endpoint_id)
            continue
        if resealed != sealed:
            bound = {"endpoint_id": row.endpoint_id, "secret": resealed[0], "former": resealed[1]}
            connection.execute(_STORE_ENDPOINT, bound)
    return rows[-1].endpoint_id if rows else None


def _sealed_by_first_key(vault: Vault, sealed: str | None) -> str | None:
    return sealed if sealed is None or vault.is_current(sealed) else vault.rotate(sealed)
