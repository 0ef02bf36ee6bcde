"""What a round is judged by: baseline at its beginning, steps and ledger since, rows at its end."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy.simulators.request_log import Entry
from tests.faults.harness.api_poller import Answered
from tests.faults.harness.environment import Stage
from tests.faults.judge.event_log import Journal, Step

_BASELINE = """
SELECT publication_id, COALESCE(claimed_at, next_run_at), claimed_at IS NOT NULL
  FROM refresh_state
"""
_OPENS_A_CLAIM = frozenset({"claimed", "reclaimed", "started"})
_ENDS_A_CLAIM = frozenset({"finished", "released", "blocked"})


@dataclass(frozen=True)
class Beginning:
    """How things stood when a round began."""

    at: datetime
    monotonic: float
    due: dict[int, datetime | None]
    """When each row was due, or had been claimed."""
    claimed: frozenset[int]
    reads: int
    request_log: int
    kills: int


@dataclass(frozen=True)
class Evidence:
    """Everything that was seen of a round."""

    beginning: Beginning
    healed_at: datetime
    steps: Sequence[Step]
    backwards: Sequence[str]
    entries: Sequence[Entry]
    answered: Sequence[Answered]
    reads: int
    kills: int
    publication_ids: dict[tuple[str, str], int]
    """By platform and the platform's own id."""


def begin(stage: Stage) -> Beginning:
    """Clear the journal and note how things stand, in one transaction."""
    with stage.database() as connection, connection.transaction():
        Journal.clear(connection)
        rows = connection.execute(_BASELINE).fetchall()
        at, reads = connection.execute(
            "SELECT clock_timestamp(), COALESCE(sum(reads), 0)::bigint FROM snapshots"
        ).fetchall()[0]
    entries = stage.simulators.request_log.entries()
    return Beginning(
        at=at,
        monotonic=time.monotonic(),
        due={one: due for one, due, _ in rows},
        claimed=frozenset(one for one, _, claimed in rows if claimed),
        reads=reads,
        request_log=entries[-1].seq if entries else 0,
        kills=stage.fleet.kills,
    )


def collect(stage: Stage, beginning: Beginning, healed_at: datetime) -> Evidence:
    """Gather what was seen since the beginning, the tables in one snapshot.

    The ledger first: a start is committed before its calls, so that every call has its start in the snapshot.
    """
    entries = stage.simulators.request_log.entries(beginning.request_log)
    with stage.database() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        steps, backwards = Journal.steps(connection), Journal.backwards(connection)
        reads = connection.execute("SELECT COALESCE(sum(reads), 0)::bigint FROM snapshots").fetchall()[0][0]
        known = connection.execute("SELECT platform, platform_post_id, id FROM publications").fetchall()
    return Evidence(
        beginning,
        healed_at,
        steps,
        [*backwards, *stage.reader.backwards],
        entries,
        stage.reader.since(beginning.monotonic),
        reads - beginning.reads,
        stage.fleet.kills - beginning.kills,
        {(platform, one): publication_id for platform, one, publication_id in known},
    )


def lateness(evidence: Evidence) -> dict[int, timedelta]:
    """Return how late each publication was read first after the healing, counted from when it was due.

    What was due before counts from the healing. Rows that were not read again are missing.
    """
    due = dict(evidence.beginning.due)
    in_work = set(evidence.beginning.claimed)
    due_before: dict[int, datetime | None] = {}
    late: dict[int, timedelta] = {}
    for step in evidence.steps:
        one = step.publication_id
        if step.kind in _OPENS_A_CLAIM:
            in_work.add(one)
        elif step.kind in _ENDS_A_CLAIM:
            in_work.discard(one)
            due_before[one], due[one] = due.get(one), step.due
        elif step.kind == "asked" and one not in in_work:
            due[one] = step.due
        elif step.kind == "read" and step.at > evidence.healed_at and one not in late:
            since = max(filter(None, (evidence.healed_at, due_before.get(one))))
            late[one] = max(step.at - since, timedelta())
    return late


def lost_jobs(evidence: Evidence) -> int:
    """Count the jobs that started and of which not every row was finished under that claim."""
    started: dict[int, set[tuple[int, int]]] = defaultdict(set)
    finished = set()
    for step in evidence.steps:
        if step.kind == "started":
            started[step.job].add((step.publication_id, step.seq))
        elif step.kind == "finished":
            finished.add((step.publication_id, step.seq))
    in_flight = {(step.publication_id, step.seq) for step in _last(evidence.steps) if step.kind == "started"}
    return sum(1 for rows in started.values() if rows - finished - in_flight)


def _last(steps: Sequence[Step]) -> list[Step]:
    """Return the last step of every publication that changed in whose hands it is."""
    changes = (step for step in steps if step.kind not in {"asked", "extended"})
    return list({step.publication_id: step for step in changes}.values())
