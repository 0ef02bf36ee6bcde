"""An erasure as operations: its request, and each phase of its run; and what must be left at its end."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import fakeredis
import psycopg
from sqlalchemy import Engine

from api_stub.events.batch import Event, EventType
from api_stub.events.processing import EventProcessor
from shared.erasure.run import step
from tests.interleavings.model.environment import Environment, Operation, operation
from tests.interleavings.model.world import ACCOUNT, ERASURE, LAST, WORKSPACE

_MOST_STEPS: Final = 30

_COLLECTED: Final = f"""
INSERT INTO erasure_identifiers
SELECT '{ERASURE}', kind, value FROM generate_series(1, {LAST}) n CROSS JOIN LATERAL (VALUES
       ('publication', n::text), ('post', 'post_' || n)) AS i (kind, value)
ON CONFLICT DO NOTHING;
"""
_WITHOUT_PUBLICATIONS: Final = f"{_COLLECTED} DELETE FROM publications;"
_WITHOUT_ROWS: Final = f"""
{_WITHOUT_PUBLICATIONS} DELETE FROM accounts; DELETE FROM changes;
DELETE FROM publication_counts; DELETE FROM account_timers; DELETE FROM ready_accounts;
"""
_PREPARED: Final = {
    "collecting": "",
    "rows": _COLLECTED,
    "names": _WITHOUT_PUBLICATIONS,
    "scan": _WITHOUT_ROWS,
    "forgetting": _WITHOUT_ROWS,
}


def _request(kind: EventType, environment: Environment, engine: Engine) -> Any:
    data = {"account_id": ACCOUNT} if kind is EventType.ACCOUNT_ERASED else {"workspace_id": WORKSPACE}
    event = Event(0, f"evt_{kind}", kind, data)
    return EventProcessor(engine, environment.harness.context.vault).process([event])


def _step(_environment: Environment, engine: Engine) -> Any:
    return step(engine, fakeredis.FakeRedis(), None)


def _steps() -> Iterator[Operation]:
    for phase, prepare in _PREPARED.items():
        in_phase = f"{prepare} UPDATE erasures SET phase = '{phase}';"
        yield operation(f"erase_{phase}", _step, "erasing", in_phase)


ERASURES: Final = [
    operation(
        "erase_account", partial(_request, EventType.ACCOUNT_ERASED), "active disconnected expiring paused"
    ),
    operation("erase_workspace", partial(_request, EventType.WORKSPACE_ERASED), "active disconnected"),
    *_steps(),
]

_KEYED: Final = """
SELECT c.relname, a.attname FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('publication_id', 'account_id', 'workspace_id')
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""


def left_of_erased(connection: psycopg.Connection, engine: Engine) -> list[str]:
    """Run the open erasures to their ends and return what is left of the subject in any table."""
    workspace = connection.execute("SELECT FROM erasures WHERE kind = 'workspace'").fetchone()
    for _ in range(_MOST_STEPS):
        connection.execute("UPDATE erasures SET resume_after = now() WHERE resume_after < 'infinity'")
        done = step(engine, fakeredis.FakeRedis(), None)
        if done is None:
            break
        if done.phase == "scan":  # the scan is judged here instead
            connection.execute("UPDATE erasures SET resume_after = 'infinity' WHERE code = %s", [done.code])
    else:
        return ["an erasure ends: it does not"]
    values = {
        "publication_id": [*map(str, range(1, LAST + 10))],
        "account_id": [ACCOUNT],
        "workspace_id": [WORKSPACE] if workspace is not None else [],
    }
    left = []
    # A follower of the feed learns that a publication is gone, and no id of it.
    named = {"changes": """ AND (gone IS NULL OR gone::text ~ '"(post_[0-9]+|acc|[0-9]+)"')"""}
    for table, key in connection.execute(_KEYED).fetchall():
        query = f"SELECT count(*) FROM {table} WHERE {key}::text = ANY(%s){named.get(table, '')}"
        number = connection.execute(query.encode(), [values[key]]).fetchone()
        if number and number[0]:
            left.append(f"no row of an erased subject returns: {number[0]} in {table}")
    return left
