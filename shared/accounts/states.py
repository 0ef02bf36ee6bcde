"""Whether an account may be read: the three changes, each one transaction's worth of statements.

Every change raises ``claim_seq`` of the rows it takes out of work, so that a worker which has them right now
is fenced off and cannot overwrite the verdict.

A change and a write that depends on the state take turns, or a row could be written for a state that has
ended: each change locks the account ``FOR UPDATE``, and whoever writes rows by an account's state holds it
``FOR KEY SHARE``. Writers do not wait for each other, nor for a token's renewal (``FOR NO KEY UPDATE``).
Accounts are locked before any ``refresh_state`` row, in the order of their ids.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from shared.quota.pauses import PauseKey, end
from shared.refresh_state.block import block, unblock
from shared.vocabulary import PauseKind

UNREADABLE = "The account must be connected again before its posts can be refreshed."
"""What a row of an account that may not be read says, when nothing is recorded for the account."""

_LOCK = text("SELECT account_id FROM accounts WHERE account_id = ANY(:ids) ORDER BY account_id FOR UPDATE")
_HOLD = text("SELECT account_id FROM accounts WHERE account_id = ANY(:ids) ORDER BY account_id FOR KEY SHARE")

_SET_STATE = """
UPDATE accounts SET state = :state, state_reason = :sentence, state_changed_at = now()
 WHERE account_id = :account_id AND workspace_id = :workspace_id AND state = ANY(:from_states)
   AND (CAST(:token_version AS bigint) IS NULL OR token_version = :token_version)
"""


def lock(connection: Connection, account_ids: Sequence[str]) -> None:
    """Wait for all who write rows by these accounts' states, and keep others from it until the end.

    The changes below do this themselves; a transaction that changes several accounts, or holds rows of an
    account before it changes its state, locks all of them first.
    """
    connection.execute(_LOCK, {"ids": sorted(set(account_ids))})


def hold(connection: Connection, account_ids: Sequence[str]) -> None:
    """Keep these accounts in the state that the next statement sees, until the transaction ends."""
    connection.execute(_HOLD, {"ids": sorted(set(account_ids))})


def require_reconnect(
    connection: Connection,
    workspace_id: str,
    account_id: str,
    sentence: str,
    *,
    token_version: int | None = None,
) -> int | None:
    """Mark an active account and all its rows ``requires_reconnect``; return how many rows.

    ``token_version``: the pair that was refused. ``None`` comes back, and nothing changes, when the account
    has a newer pair by now or is not active any more.
    """
    return _leave_active(connection, workspace_id, account_id, sentence, "requires_reconnect", token_version)


def disconnect(connection: Connection, workspace_id: str, account_id: str) -> int | None:
    """Mark an account that its owner removed; its rows stay with their last values and are not polled."""
    sentence = "The account was disconnected: connect it again to refresh its posts."
    return _leave_active(connection, workspace_id, account_id, sentence, "disconnected", None)


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
    """Make an account active again and its blocked rows due, the stalest first; return how many rows."""
    lock(connection, [account_id])
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
    paused = connection.execute(
        text("SELECT platform FROM pauses WHERE kind = :kind AND subject = :account_id"),
        {"kind": PauseKind.ACCOUNT.value, "account_id": account_id},
    )
    end(connection, [PauseKey(platform, PauseKind.ACCOUNT, account_id) for platform in paused.scalars()])
    return unblock(connection, workspace_id, account_id)
