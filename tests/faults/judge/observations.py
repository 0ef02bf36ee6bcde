"""What is observed of a round: the state before it, and the changes and requests during it."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy.simulators.request_log import Entry
from tests.faults.harness.clients.api_poller import PolledRequest
from tests.faults.harness.environment import Environment
from tests.faults.judge.event_log import EventLog, RowChange

_BASELINE = """
SELECT publication_id, COALESCE(claimed_at, next_run_at), claimed_at IS NOT NULL
  FROM refresh_state
"""
_OPENS_A_CLAIM = frozenset({"claimed", "reclaimed", "started"})
_ENDS_A_CLAIM = frozenset({"finished", "released", "blocked"})


@dataclass(frozen=True)
class Baseline:
    """The state when a round began."""

    at: datetime
    monotonic: float
    due: dict[int, datetime | None]
    """When each row was due, or when it was claimed."""
    claimed: frozenset[int]
    reads: int
    request_log: int
    kills: int


@dataclass(frozen=True)
class Observations:
    """Everything that was observed of a round."""

    baseline: Baseline
    healed_at: datetime
    changes: Sequence[RowChange]
    decreases: Sequence[str]
    entries: Sequence[Entry]
    requests: Sequence[PolledRequest]
    reads: int
    kills: int
    publication_ids: dict[tuple[str, str], int]
    """By platform and the platform's id."""


def take_baseline(environment: Environment) -> Baseline:
    """Clear the event log and return the current state, in one transaction."""
    with environment.database() as connection, connection.transaction():
        EventLog.clear(connection)
        rows = connection.execute(_BASELINE).fetchall()
        at, reads = connection.execute(
            "SELECT clock_timestamp(), COALESCE(sum(reads), 0)::bigint FROM snapshots"
        ).fetchall()[0]
    entries = environment.simulators.request_log.entries()
    return Baseline(
        at=at,
        monotonic=time.monotonic(),
        due={one: due for one, due, _ in rows},
        claimed=frozenset(one for one, _, claimed in rows if claimed),
        reads=reads,
        request_log=entries[-1].seq if entries else 0,
        kills=environment.fleet.kills,
    )


def collect(environment: Environment, baseline: Baseline, healed_at: datetime) -> Observations:
    """Return what was observed since the baseline, the tables in one snapshot.

    The platforms' requests come first: a start is committed before its calls, so every call has its start in
    the snapshot.
    """
    entries = environment.simulators.request_log.entries(baseline.request_log)
    with environment.database() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        changes, decreases = EventLog.changes(connection), EventLog.decreases(connection)
        reads = connection.execute("SELECT COALESCE(sum(reads), 0)::bigint FROM snapshots").fetchall()[0][0]
        known = connection.execute("SELECT platform, platform_post_id, id FROM publications").fetchall()
    return Observations(
        baseline,
        healed_at,
        changes,
        [*decreases, *environment.poller.outdated],
        entries,
        environment.poller.since(baseline.monotonic),
        reads - baseline.reads,
        environment.fleet.kills - baseline.kills,
        {(platform, one): publication_id for platform, one, publication_id in known},
    )


def lateness(observations: Observations) -> dict[int, timedelta]:
    """Return how late the first reading of each publication after the end of the fault was.

    Lateness counts from the instant when the row was due, but at the earliest from the end of the fault.
    Rows without a new reading are missing.
    """
    due = dict(observations.baseline.due)
    claimed = set(observations.baseline.claimed)
    due_before: dict[int, datetime | None] = {}
    late: dict[int, timedelta] = {}
    for change in observations.changes:
        one = change.publication_id
        if change.kind in _OPENS_A_CLAIM:
            claimed.add(one)
        elif change.kind in _ENDS_A_CLAIM:
            claimed.discard(one)
            due_before[one], due[one] = due.get(one), change.due
        elif change.kind == "made_due" and one not in claimed:
            due[one] = change.due
        elif change.kind == "read" and change.at > observations.healed_at and one not in late:
            since = max(filter(None, (observations.healed_at, due_before.get(one))))
            late[one] = max(change.at - since, timedelta())
    return late


def lost_jobs(observations: Observations) -> int:
    """Count the started jobs of which at least one row was not finished under the same claim."""
    started: dict[int, set[tuple[int, int]]] = defaultdict(set)
    finished = set()
    for change in observations.changes:
        if change.kind == "started":
            started[change.job].add((change.publication_id, change.seq))
        elif change.kind == "finished":
            finished.add((change.publication_id, change.seq))
    in_flight = {
        (change.publication_id, change.seq)
        for change in _last(observations.changes)
        if change.kind == "started"
    }
    return sum(1 for rows in started.values() if rows - finished - in_flight)


def _last(changes: Sequence[RowChange]) -> list[RowChange]:
    """Return the last change of every publication that began or ended a claim."""
    ended = (change for change in changes if change.kind not in {"made_due", "extended"})
    return list({change.publication_id: change for change in ended}.values())
