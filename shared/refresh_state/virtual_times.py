"""The calls given to workspaces, and the accounts that were served: the state of fair shares."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from shared.batches import calls
from shared.driver.statement import Statement
from shared.refresh_state.fair_share import Candidate

# The last statement of a claim: claims that gave jobs to one workspace wait for each other from here on.
_COUNT: Final = Statement("""
INSERT INTO turns AS t (scope, subject, weight, served, latest_cost)
SELECT scope, subject, weight, served, latest_cost FROM (
    SELECT 'account' AS scope, unnest(CAST(:account_ids AS text[])) AS subject, 1.0 AS weight, 1.0 AS served,
           1.0 AS latest_cost
     UNION ALL
    SELECT 'workspace', w.workspace_id, w.weight, :present + w.calls / w.weight, w.latest_cost
      FROM unnest(CAST(:workspace_ids AS text[]), CAST(:weights AS float8[]), CAST(:calls AS int[]),
                  CAST(:latest_costs AS int[])) AS w (workspace_id, weight, calls, latest_cost)
) given ORDER BY scope, subject
ON CONFLICT (scope, subject) DO UPDATE
   SET served = CASE t.scope WHEN 'account' THEN 1
                             ELSE GREATEST(t.served, :present) + excluded.served - :present END,
       latest_cost = excluded.latest_cost,
       served_at = now()
""")


def served_after(
    given: Mapping[str, int], accounts: Sequence[Candidate], present: float
) -> Mapping[str, float]:
    """Return the virtual times of these accounts' workspaces once the rows that were ``given`` are counted.

    ``given``: rows by account. ``present``: the present virtual time.
    """
    needed = _calls(given, accounts)
    return {
        one.workspace_id: max(one.served, present) + sum(needed[one.workspace_id]) / one.weight
        for one in accounts
    }


def count_calls(
    connection: Connection, given: Mapping[str, int], accounts: Sequence[Candidate], present: float
) -> None:
    """Count the calls of the rows that were ``given``, as `served_after` does."""
    needed = {name: each for name, each in _calls(given, accounts).items() if each}
    if not needed:
        return
    weights = {one.workspace_id: one.weight for one in accounts}
    bound = {
        "account_ids": sorted(given),
        "workspace_ids": list(needed),
        "weights": [weights[name] for name in needed],
        "calls": [sum(each) for each in needed.values()],
        "latest_costs": [each[-1] for each in needed.values()],
        "present": present,
    }
    _COUNT.run(connection, bound)


def _calls(given: Mapping[str, int], accounts: Sequence[Candidate]) -> Mapping[str, list[int]]:
    """Return the calls of each job that a workspace is given."""
    needed: dict[str, list[int]] = {one.workspace_id: [] for one in accounts}
    for one in accounts:
        if rows := given.get(one.account_id):
            needed[one.workspace_id].append(calls(one.platform, one.kind, rows))
    return needed
