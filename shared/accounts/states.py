"""Changes of an account's state: reconnect required, disconnected, reconnected. Each runs in one transaction.

Every change increments ``claim_seq`` of the rows that it blocks, so that the fencing token of a worker which
has them is outdated and it cannot overwrite the new state.

A change and a write that depends on the state exclude each other; otherwise a row could be written for a
state that has ended. Each change locks the account ``FOR UPDATE``, and a transaction that writes rows by an
account's state locks it ``FOR KEY SHARE``. Such writers wait neither for each other nor for a token renewal
(``FOR NO KEY UPDATE``). Accounts are locked before any row of ``refresh_state``, in the order of their ids.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from shared.quota.pauses import PauseKey, end
from shared.refresh_state.block import block, unblock
from shared.vocabulary import PauseKind

UNREADABLE = "The account must be connected again before its posts can be refreshed."
"""The error of a row whose account may not be read, when the account records no reason."""

DISCONNECTED = "The account was disconnected: connect it again to refresh its posts."

_LOCK = text("SELECT account_id FROM accounts WHERE account_id = ANY(:ids) ORDER BY account_id FOR UPDATE")
_LOCK_SHARED = text(
    "SELECT account_id FROM accounts WHERE account_id = ANY(:ids) ORDER BY account_id FOR KEY SHARE"
)

_SET_STATE = """
UPDATE accounts SET state = :state, state_reason = :sentence, state_changed_at = now()
 WHERE account_id = :account_id AND workspace_id = :workspace_id AND state = ANY(:from_states)
   AND erasure IS NULL
   AND (CAST(:token_version AS bigint) IS NULL OR token_version = :token_version)
"""


_DESTROY_TOKENS = text("""
UPDATE accounts
   SET sealed_access_token = NULL, sealed_refresh_token = NULL, token_expires_at = NULL,
       refresh_token_expires_at = NULL, token_minted_at = NULL, token_version = token_version + 1
 WHERE account_id = ANY(:ids) AND workspace_id = :workspace_id
""")


def lock(connection: Connection, account_ids: Sequence[str]) -> None:
    """Lock these accounts for a change of state, against `lock_shared`, until the transaction ends.

    The changes below do this themselves. A transaction that changes several accounts, or locks rows of an
    account before it changes its state, locks all accounts first.
    """
    connection.execute(_LOCK, {"ids": sorted(set(account_ids))})


def lock_shared(connection: Connection, account_ids: Sequence[str]) -> None:
    """Keep the states of these accounts unchanged until the transaction ends."""
    connection.execute(_LOCK_SHARED, {"ids": sorted(set(account_ids))})


def require_reconnect(
    connection: Connection,
    workspace_id: str,
    account_id: str,
    sentence: str,
    *,
    token_version: int | None = None,
) -> int | None:
    """Mark an active account and all its rows ``requires_reconnect``; return how many rows.

    ``token_version``: the version of the refused tokens. Returns ``None`` and changes nothing when the
    account has newer tokens or is not active any more.
    """
    return _leave_active(connection, workspace_id, account_id, sentence, "requires_reconnect", token_version)


def disconnect(
    connection: Connection, workspace_id: str, account_id: str, sentence: str = DISCONNECTED
) -> int | None:
    """Mark an account that its owner removed, and destroy its tokens.

    Its rows keep their last values and are not polled. Only a new token makes it active again.
    """
    blocked = _leave_active(connection, workspace_id, account_id, sentence, "disconnected", None)
    if blocked is not None:
        destroy_tokens(connection, workspace_id, [account_id])
    return blocked


def destroy_tokens(connection: Connection, workspace_id: str, account_ids: Sequence[str]) -> None:
    """Delete the stored tokens of these accounts. A renewal under way stores no new ones: its version is old.

    The caller has locked the accounts.
    """
    connection.execute(_DESTROY_TOKENS, {"ids": sorted(account_ids), "workspace_id": workspace_id})


def begin_erasure(
    connection: Connection, workspace_id: str, account_ids: Sequence[str], code: str, sentence: str
) -> None:
    """Disconnect accounts that are being erased and destroy their tokens; `end_polling` follows.

    ``code``: that of the erasure. From now on no import, event or reconnect changes these accounts. The
    caller has locked them.
    """
    bound = {"ids": list(account_ids), "workspace_id": workspace_id, "code": code, "sentence": sentence}
    connection.execute(_BEGIN_ERASURE, bound)
    destroy_tokens(connection, workspace_id, account_ids)


def end_polling(connection: Connection, workspace_id: str, account_ids: Sequence[str], sentence: str) -> int:
    """Block all rows of accounts that `begin_erasure` marked; return how many. The caller has locked them."""
    return sum(block(connection, workspace_id, account_id, sentence) for account_id in sorted(account_ids))


_CONNECTED = text("""
UPDATE accounts SET connected_at = now() WHERE account_id = :account_id AND workspace_id = :workspace_id
""")
_UNDER_ERASURE = text("SELECT erasure IS NOT NULL FROM accounts WHERE account_id = :account_id")
_BEGIN_ERASURE = text("""
UPDATE accounts
   SET state = 'disconnected', state_reason = :sentence, state_changed_at = now(), erasure = :code
 WHERE account_id = ANY(:ids) AND workspace_id = :workspace_id
""")


def _leave_active(
    connection: Connection,
    workspace_id: str,
    account_id: str,
    sentence: str,
    state: str,
    token_version: int | None,
) -> int | None:
    lock(connection, [account_id])
    changed = connection.execute(
        text(_SET_STATE),
        {
            "account_id": account_id,
            "workspace_id": workspace_id,
            "state": state,
            "sentence": sentence,
            "token_version": token_version,
            "from_states": ["active"] if state == "requires_reconnect" else ["active", "requires_reconnect"],
        },
    )
    if not changed.rowcount:
        return None
    return block(connection, workspace_id, account_id, sentence)


def reconnect(connection: Connection, workspace_id: str, account_id: str) -> int:
    """Make an account active again and its blocked rows due, the stalest first; return how many rows.

    An account that is being erased stays as it is.
    """
    lock(connection, [account_id])
    if connection.execute(_UNDER_ERASURE, {"account_id": account_id}).scalar():
        return 0
    connection.execute(
        text(_SET_STATE),
        {
            "account_id": account_id,
            "workspace_id": workspace_id,
            "state": "active",
            "sentence": None,
            "token_version": None,
            "from_states": ["requires_reconnect", "disconnected"],
        },
    )
    connection.execute(_CONNECTED, {"account_id": account_id, "workspace_id": workspace_id})
    paused = connection.execute(
        text("SELECT platform, kind FROM pauses WHERE kind = ANY(:kinds) AND subject = :account_id"),
        {"kinds": [PauseKind.ACCOUNT.value, PauseKind.BLOCKED.value], "account_id": account_id},
    )
    end(connection, [PauseKey(platform, PauseKind(kind), account_id) for platform, kind in paused])
    return unblock(connection, workspace_id, account_id)
