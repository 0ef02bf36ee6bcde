"""Runs erasures, one short transaction after another; any number of processes may run them.

A step locks a request, does one batch of its phase, and stores the phase and the counts in the same
transaction. Whatever kills the process, the next step starts where the last commit was.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from shared.accounts import states
from shared.erasure.identifiers import load
from shared.erasure.ledger import Ledger
from shared.erasure.places import names, redis_keys, rows
from shared.erasure.places.log_files import LOG_LINES, LogFiles
from shared.erasure.requests import SENTENCE, note_accounts
from shared.erasure.scan import scan
from shared.erasure.schema import Table, tables, unclassified
from shared.erasure.subject import Subject, SubjectKind
from shared.observability import failpoints
from shared.redis_client import RedisClient

ROLE: Final = "dravo_eraser"
"""The database role that runs erasures; no other service may delete what it may."""
RESCAN_SECONDS: Final = 5
"""How long a scan that found something waits: a summary or a message goes by itself."""
COLLECTED_AT_ONCE: Final = 2_500
"""Publications whose ids one step collects, four at most of each."""

_NEXT: Final = text("""
SELECT code, kind, subject, phase, progress, rows FROM erasures
 WHERE ended_at IS NULL AND resume_after <= now() AND (CAST(:code AS text) IS NULL OR code = :code)
 ORDER BY requested_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_SAVE: Final = text("""
UPDATE erasures
   SET phase = :phase, progress = :progress, rows = CAST(:rows AS jsonb),
       scan = COALESCE(CAST(:scan AS jsonb), scan), resume_after = now() + make_interval(secs => :wait)
 WHERE code = :code
""")
_END: Final = text("UPDATE erasures SET phase = 'ended', ended_at = now(), subject = NULL WHERE code = :code")
_FORGET: Final = text("""
DELETE FROM erasure_identifiers WHERE ctid = ANY(ARRAY(
       SELECT ctid FROM erasure_identifiers WHERE code = :code LIMIT :most))
""")
# Redis is searched between two statements: the transaction is idle meanwhile.
_LONG_STEP: Final = text("SET LOCAL idle_in_transaction_session_timeout = '120s'")


@dataclass(slots=True)
class _Step:
    """One request, locked for the time of a step."""

    connection: Connection
    client: RedisClient
    ledger: Ledger | None
    logs: LogFiles | None
    code: str
    subject: Subject
    tables: list[Table]
    progress: int
    deleted: Counter[str]
    scan: dict[str, Any] | None = None
    wait: float = 0
    accounts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Done:
    """What one step did."""

    code: str
    phase: str
    """The phase that follows."""
    deleted: int
    """Rows deleted so far."""
    left_over: Mapping[str, int]
    """What a scan in this step found, by place."""
    unclassified: tuple[str, ...]
    """Tables of which nobody said what an erasure does to them: they are searched and keep their rows."""


def step(
    engine: Engine,
    client: RedisClient,
    ledger: Ledger | None,
    logs: LogFiles | None = None,
    *,
    code: str | None = None,
) -> Done | None:
    """Do one step of the oldest open erasure, or of this one; ``None``: there is none, or others run it.

    Raises `shared.erasure.ledger.LedgerError` when the ledger cannot be written, and nothing is deleted then;
    `shared.erasure.places.log_files.LogFilesError` when a log file cannot be searched.
    """
    with engine.begin() as connection:
        row = connection.execute(_NEXT, {"code": code}).one_or_none()
        if row is None:
            return None
        connection.execute(_LONG_STEP)
        all_tables = tables(connection)
        subject = Subject.from_json(row.kind, row.subject)
        one = _Step(
            connection, client, ledger, logs, row.code, subject, all_tables, row.progress, Counter(row.rows)
        )
        phase = _PHASES[row.phase](one)
        bound = {"code": row.code, "phase": phase, "progress": one.progress, "wait": one.wait}
        counts = {"rows": json.dumps(one.deleted), "scan": json.dumps(one.scan) if one.scan else None}
        connection.execute(_SAVE, {**bound, **counts})
        if phase == "ended":
            connection.execute(_END, {"code": row.code})
        failpoints.hit("erasing")
    failpoints.hit("erased")
    left = one.scan["found"] if one.scan else {}
    return Done(row.code, phase, sum(one.deleted.values()), left, tuple(unclassified(all_tables)))


def _requested(one: _Step) -> str:
    if one.ledger is not None:
        one.ledger.append(one.connection, one.code, one.subject)
    return "ending"


def _ending(one: _Step) -> str:
    """End the polling of one more account of a workspace, also of one that came after the request."""
    if one.subject.kind is not SubjectKind.WORKSPACE:
        return "collecting"
    account = one.connection.execute(
        text("""
        SELECT account_id FROM accounts a WHERE workspace_id = :workspace_id AND (erasure IS NULL OR EXISTS (
               SELECT FROM refresh_state r WHERE r.account_id = a.account_id AND r.next_run_at IS NOT NULL))
         ORDER BY account_id LIMIT 1
        """),
        one.subject.bound,
    ).scalar()
    if account is None:
        return "collecting"
    states.lock(one.connection, [account])
    states.begin_erasure(one.connection, one.subject.workspace_id, [account], one.code, SENTENCE)
    states.end_polling(one.connection, one.subject.workspace_id, [account], SENTENCE)
    note_accounts(one.connection, one.code, one.subject)
    return "ending"


_COLLECT: Final = """
WITH page AS MATERIALIZED (
    SELECT p.id, p.post_id, p.platform_post_id, p.publish_id, p.account_id FROM publications p
     WHERE {where} AND p.id > :after ORDER BY p.id LIMIT :most
), stored AS (
    INSERT INTO erasure_identifiers (code, kind, value)
    SELECT DISTINCT :code, n.kind, n.value FROM page CROSS JOIN LATERAL (VALUES
           ('publication', page.id::text), ('post', page.post_id), ('platform_post', page.platform_post_id),
           ('publish', page.publish_id)) AS n (kind, value)
     WHERE n.value IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT count(*) AS number, max(id) AS last FROM page
"""


def _collecting(one: _Step) -> str:
    """Note the ids of the next publications: the proof needs them when the rows are gone."""
    bound = {**one.subject.bound, "code": one.code, "after": one.progress, "most": COLLECTED_AT_ONCE}
    page = one.connection.execute(text(_COLLECT.format(where=one.subject.where)), bound).one()
    one.progress = page.last or one.progress
    return "collecting" if page.number == COLLECTED_AT_ONCE else "rows"


def _rows(one: _Step) -> str:
    left = rows.delete_publications(one.connection, one.subject, one.tables, one.deleted)
    return "rows" if left else "names"


def _names(one: _Step) -> str:
    """Delete what is left by key, then what names the subject otherwise, then the accounts."""
    accounts = list(
        one.connection.execute(
            text("SELECT value FROM erasure_identifiers WHERE code = :code AND kind = 'account'"),
            {"code": one.code},
        ).scalars()
    )
    if rows.delete_remaining(one.connection, one.code, one.subject, accounts, one.tables, one.deleted):
        return "names"
    for identifiers in load(one.connection, one.code):
        names.remove_names(one.connection, one.tables, identifiers, one.deleted)
    names.remove_publications_from_audit_log(one.connection, one.code)
    rows.delete_accounts(one.connection, one.subject, one.deleted)
    return "redis"


def _redis(one: _Step) -> str:
    for identifiers in load(one.connection, one.code):
        one.deleted["redis"] += redis_keys.remove(one.client, identifiers)
        if one.logs is not None:
            one.deleted[LOG_LINES] += one.logs.remove(identifiers)
    return "scan"


def _scan(one: _Step) -> str:
    """Prove that nothing is left; what is found is erased again a little later."""
    one.scan = scan(one.connection, one.client, one.logs, one.code, one.tables)
    if not one.scan["found"]:
        return "forgetting"
    one.wait, one.progress = RESCAN_SECONDS, 0
    return "ending"


def _forgetting(one: _Step) -> str:
    """Delete the ids that the proof needed."""
    bound = {"code": one.code, "most": rows.BATCH}
    return "forgetting" if one.connection.execute(_FORGET, bound).rowcount == rows.BATCH else "ended"


_PHASES: Final[Mapping[str, Callable[[_Step], str]]] = {
    "requested": _requested,
    "ending": _ending,
    "collecting": _collecting,
    "rows": _rows,
    "names": _names,
    "redis": _redis,
    "scan": _scan,
    "forgetting": _forgetting,
}
