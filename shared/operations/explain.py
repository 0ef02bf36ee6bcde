"""Explains a publication: its stored state, its next run and the reason, and what an operator can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from shared.operations.holds.hold import placed_by
from shared.operations.holds.next_run import NextRun, RowState, explain_reason, next_run
from shared.operations.holds.services import missing_service
from shared.quota.pauses import PauseInForce, pauses_of_accounts

_ROW: Final = text("""
SELECT p.id, p.workspace_id, p.post_id, p.account_id, p.platform, p.platform_post_id, p.publish_id,
       p.platform_post_url, p.media_type, p.text, p.created_at, p.published_at,
       pa.sync_status, pa.metrics, pa.warnings, pa.error_message, pa.last_updated_at, pa.stale_after,
       pa.freshness, pa.attempted_at, pa.outcome, pa.outcome_detail,
       r.next_run_at, r.reason, r.attempts, r.unfinished, r.priority, r.claimed_at, r.missing_since,
       a.name, a.state, a.state_reason, a.state_changed_at, a.token_expires_at, a.refresh_token_expires_at,
       now() AS now
  FROM publications p
  JOIN accounts a ON a.account_id = p.account_id
  JOIN post_analytics pa ON pa.publication_id = p.id
  JOIN refresh_state r ON r.publication_id = p.id
 WHERE p.id = ANY(:ids)
 ORDER BY p.id
""")

_FIND: Final = text("""
SELECT id FROM publications WHERE post_id = :name
UNION
SELECT id FROM publications WHERE platform_post_id = :name
UNION
SELECT id FROM publications WHERE publish_id = :name
UNION
SELECT id FROM publications WHERE id = CAST(:number AS bigint)
ORDER BY id
""")
_LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Explanation:
    """A publication's state and the reasons for it."""

    row: Row[Any]
    pauses: tuple[PauseInForce, ...]
    """Those that apply to its account, the last to end first."""
    reason_sentence: str
    """Why its stored next run is when it is, as half a sentence."""
    next_run: NextRun
    """When it will really run, why not now, and what to do."""


def find(connection: Connection, name: str) -> list[int]:
    """Return the ids of publications by post id, platform post id, publish id or publication id."""
    number = int(name) if name.isascii() and name.isdigit() and len(name) < 20 else None
    number = number if number is None or number <= _LARGEST else None
    return list(connection.execute(_FIND, {"name": name, "number": number}).scalars())


def explain(connection: Connection, publication_ids: Sequence[int]) -> list[Explanation]:
    """Explain these publications, in order of id; unknown ids are left out."""
    rows = connection.execute(_ROW, {"ids": list(publication_ids)}).all()
    by_account = pauses_of_accounts(connection, [row.account_id for row in rows])
    operators = placed_by(connection, [pause for pauses in by_account.values() for pause in pauses])
    fleet = missing_service(connection) if rows else None
    explained = []
    for row in rows:
        pauses, state = tuple(by_account.get(row.account_id, ())), row_state(row)
        answer = next_run(state, pauses, row.now, operators=operators, fleet=fleet)
        explained.append(Explanation(row, pauses, explain_reason(state), answer))
    return explained


def row_state(row: Row[Any]) -> RowState:
    """Return what decides when a row of these columns runs."""
    return RowState(
        publication_id=row.id,
        post_id=row.post_id,
        account_id=row.account_id,
        platform=row.platform,
        has_id=(row.platform_post_id or row.publish_id) is not None,
        state=row.state,
        state_reason=row.state_reason,
        state_changed_at=row.state_changed_at,
        next_run_at=row.next_run_at,
        reason=row.reason,
        claimed_at=row.claimed_at,
        priority=row.priority,
        attempted_at=row.attempted_at,
        detail=row.outcome_detail,
    )
