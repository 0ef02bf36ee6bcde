"""Applies signals to rows: they are due earlier, as far as the freshness rule finds it worth a call."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.freshness.priors import parse_priors
from shared.freshness.signals import SignalSource, due_by, is_planned, parse_precisions
from shared.refresh_state.replan import replan
from shared.settings import Settings
from shared.vocabulary import Platform

_ROWS: Final = text("""
SELECT p.id, p.platform, COALESCE(p.published_at, p.created_at) AS published_at, a.freshness, now() AS now
  FROM publications p
  JOIN refresh_state r ON r.publication_id = p.id AND r.reason = 'stale' AND r.next_run_at > now()
  JOIN post_analytics a ON a.publication_id = p.id
 WHERE p.workspace_id = :workspace_id AND p.id = ANY(:ids)
""")
_SIBLINGS: Final = text("""
SELECT sibling.id FROM publications p
  JOIN publications sibling ON sibling.workspace_id = p.workspace_id AND sibling.post_id = p.post_id
   AND sibling.id <> p.id
 WHERE p.workspace_id = :workspace_id AND p.id = ANY(:ids)
""")


def observe(
    connection: Connection, settings: Settings, workspace_id: str, ids: Sequence[int], kind: SignalSource
) -> int:
    """Bring the rows of these publications forward as far as a signal of this kind justifies it.

    Returns how many moved. A row that is not planned by the adaptive rule, that is due, or that a worker has
    stays as it is: nothing is known to weigh the signal against.
    """
    precision = parse_precisions(settings.signal_precision)[kind]
    if not precision or not ids:
        return 0
    bounds = parse_priors(settings.freshness_priors)
    rows = connection.execute(_ROWS, {"workspace_id": workspace_id, "ids": list(ids)}).all()
    planned = {
        row.id: due_by(row.freshness, row.published_at, row.now, precision, bounds[Platform(row.platform)])
        for row in rows
        if is_planned(row.freshness)
    }
    return replan(connection, planned) if planned else 0


def observe_siblings(
    connection: Connection, settings: Settings, workspace_id: str, ids: Sequence[Any]
) -> int:
    """Take the growth of these publications as a signal for the same posts on other platforms."""
    bound = {"workspace_id": workspace_id, "ids": list(ids)}
    siblings = connection.execute(_SIBLINGS, bound).scalars().all()
    return observe(connection, settings, workspace_id, siblings, SignalSource.SIBLING)
