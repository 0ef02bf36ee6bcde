"""The end of a delivery: position, next run, rows set aside, log and notices, written behind the fence."""

import json
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.changes.cursor import Cursor
from shared.driver.statement import Statement
from shared.webhooks.endpoints import DISABLED, FAILING, cursor_columns
from worker.webhooks.claims import Claim, LoadedEndpoint
from worker.webhooks.rules import (
    MOST_REFUSED,
    RETRY_REFUSED_AFTER,
    SLOW_AFTER,
    Answer,
    DeliveryOutcome,
    Progress,
    after_failure,
    after_success,
)
from worker.webhooks.upcoming import Upcoming

REST: Final = timedelta(seconds=1)
"""Between two deliveries of an endpoint that is caught up."""
REPORT_AFTER: Final = timedelta(hours=1)
"""How long an endpoint fails before the workspace's other endpoints learn of it."""
REPORT_EVERY: Final = timedelta(days=1)

_MINE: Final = "WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id AND claim_seq = :claim_seq"
_MOVE: Final = text(f"""
UPDATE webhook_endpoints
   SET cursor = :cursor, changed_in = CAST(:changed_in AS xid8), changed_key = :changed_key,
       next_run_at = CASE WHEN :more THEN now() END, rest_until = now()
 {_MINE} RETURNING 1
""")
_START_OVER: Final = text(f"""
UPDATE webhook_endpoints
   SET cursor = NULL, changed_in = '0', changed_key = 0, reset = TRUE, next_run_at = now()
 {_MINE} RETURNING 1
""")
_SUCCEEDED: Final = Statement(f"""
UPDATE webhook_endpoints
   SET next_run_at = CASE WHEN :more THEN now() END, rest_until = now() + CAST(:rest AS interval),
       failures = 0, failing_since = NULL, failure = NULL, reported_at = NULL, delivered_at = now(),
       rows_allowed = :rows_allowed, refused_alone = :refused_alone, slow = :slow,
       reset = reset AND NOT :moved,
       cursor = CASE WHEN :moved THEN :cursor ELSE cursor END,
       changed_in = CASE WHEN :moved THEN CAST(:changed_in AS xid8) ELSE changed_in END,
       changed_key = CASE WHEN :moved THEN :changed_key ELSE changed_key END,
       sealed_former_secret = CASE WHEN former_secret_until > now() THEN sealed_former_secret END
 {_MINE} RETURNING 1
""")
_FAILED: Final = text(f"""
UPDATE webhook_endpoints
   SET next_run_at = now() + CAST(:wait AS interval), failures = :failures, rows_allowed = :rows_allowed,
       most_rows = :most_rows, refused_alone = :refused_alone, slow = :slow,
       failing_since = CASE WHEN :failures > 0 THEN COALESCE(failing_since, now()) END, failure = :failure
 {_MINE}
RETURNING COALESCE(now() - failing_since, interval '0') AS failing_for, failing_since,
          reported_at IS NULL OR reported_at <= now() - CAST(:report_every AS interval) AS unreported
""")
_REPORTED: Final = text(f"UPDATE webhook_endpoints SET reported_at = now() {_MINE}")
_DISABLE: Final = text(f"""
UPDATE webhook_endpoints
   SET state = 'disabled', state_reason = :reason, state_changed_at = now(), next_run_at = NULL {_MINE}
""")
_NOTIFY: Final = text("""
WITH others AS (
    INSERT INTO webhook_notices (endpoint_id, workspace_id, type, body)
    SELECT endpoint_id, workspace_id, :type, CAST(:body AS jsonb) FROM webhook_endpoints
     WHERE workspace_id = :workspace_id AND endpoint_id <> :endpoint_id AND state = 'enabled'
       AND (types = '{}' OR :type = ANY(types))
    RETURNING endpoint_id
)
UPDATE webhook_endpoints e SET next_run_at = now() FROM others
 WHERE e.endpoint_id = others.endpoint_id AND e.workspace_id = :workspace_id AND e.next_run_at IS NULL
""")
_LOG: Final = Statement("""
INSERT INTO webhook_deliveries
       (endpoint_id, workspace_id, type, message_id, rows, attempt, outcome, status, failure, seconds,
        cursor_before)
VALUES (:endpoint_id, :workspace_id, :type, :message_id, :rows, :attempt, :outcome, :status, :failure,
        :seconds, :cursor_before)
""")
_SET_ASIDE: Final = text("""
INSERT INTO webhook_refused_rows (endpoint_id, workspace_id, subject, next_try_at)
VALUES (:endpoint_id, :workspace_id, :subject, now() + CAST(:wait AS interval))
    ON CONFLICT (endpoint_id, subject) DO UPDATE
   SET refused_at = now(), tries = 0, next_try_at = excluded.next_try_at
""")
_TRY_REFUSED_LATER: Final = text("""
UPDATE webhook_refused_rows SET tries = :tries, next_try_at = now() + CAST(:wait AS interval)
 WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id AND subject = :subject
""")
_TAKEN: Final = text("""
DELETE FROM webhook_refused_rows
 WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id AND subject = ANY(:subjects)
""")
_REFUSED_ROWS: Final = text("""
SELECT count(*) FROM webhook_refused_rows WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id
""")
_DUE_AGAIN: Final = text(f"UPDATE webhook_endpoints SET next_run_at = now() {_MINE} RETURNING 1")


def move(connection: Connection, claim: Claim, cursor: Cursor, *, more: bool) -> bool:
    """Move an endpoint over changes that it does not want; return whether the claim stood."""
    bound = {**_of(claim), **cursor_columns(cursor, claim.workspace_id), "more": more}
    return connection.execute(_MOVE, bound).one_or_none() is not None


def start_over(connection: Connection, claim: Claim) -> bool:
    """Let an endpoint begin at the beginning, and say so in its next delivery."""
    return connection.execute(_START_OVER, _of(claim)).one_or_none() is not None


def forget_refused(connection: Connection, claim: Claim, subject: str) -> None:
    """Delete a refused row of which nothing is left to deliver."""
    connection.execute(_TAKEN, {**_of(claim), "subjects": [subject]})
    connection.execute(_DUE_AGAIN, _of(claim))


def record(
    connection: Connection, endpoint: LoadedEndpoint, sent: Upcoming, answer: Answer, days: int
) -> bool:
    """Write how a delivery ended; return whether the claim stood: else nothing is written.

    ``days``: how long an endpoint may fail before it is disabled.
    """
    if answer.outcome is DeliveryOutcome.DELIVERED:
        stands = _succeeded(connection, endpoint, sent, answer)
    elif sent.refused is not None:
        stands = _refused_again(connection, endpoint, sent)
    else:
        stands = _failed(connection, endpoint, sent, answer, days)
    if stands:
        _log(connection, endpoint, sent, answer)
    return stands


def _succeeded(connection: Connection, endpoint: LoadedEndpoint, sent: Upcoming, answer: Answer) -> bool:
    claim, batch = endpoint.claim, sent.batch
    progress = after_success(endpoint.progress) if batch else endpoint.progress
    cursor = batch.cursor if batch else None
    bound = {
        **_of(claim),
        **cursor_columns(cursor, claim.workspace_id),
        "moved": batch is not None,
        "more": batch.has_more if batch else True,
        "rest": REST,
        "rows_allowed": progress.rows_allowed,
        "refused_alone": progress.refused_alone,
        "slow": timedelta(seconds=answer.seconds) > SLOW_AFTER,
    }
    if not _SUCCEEDED.tuples(connection, bound):
        return False
    if sent.notice_id is not None:
        connection.execute(
            text("DELETE FROM webhook_notices WHERE notice_id = :id AND workspace_id = :workspace_id"),
            {"id": sent.notice_id, "workspace_id": claim.workspace_id},
        )
    if endpoint.has_refused_rows and sent.message is not None and sent.message.subjects:
        connection.execute(_TAKEN, {**_of(claim), "subjects": list(sent.message.subjects)})
    if batch is not None and batch.skipped is not None:
        bound = {**_of(claim), "subject": batch.skipped, "wait": RETRY_REFUSED_AFTER[0]}
        connection.execute(_SET_ASIDE, bound)
    return True


def _refused_again(connection: Connection, endpoint: LoadedEndpoint, sent: Upcoming) -> bool:
    claim = endpoint.claim
    if connection.execute(_DUE_AGAIN, _of(claim)).one_or_none() is None:
        return False
    tries = sent.refused_tries + 1
    wait = RETRY_REFUSED_AFTER[tries] if tries < len(RETRY_REFUSED_AFTER) else None
    connection.execute(
        _TRY_REFUSED_LATER, {**_of(claim), "subject": sent.refused, "tries": tries, "wait": wait}
    )
    return True


def _failed(
    connection: Connection, endpoint: LoadedEndpoint, sent: Upcoming, answer: Answer, days: int
) -> bool:
    claim = endpoint.claim
    rows = sent.message.rows if sent.message else 0
    progress, wait = after_failure(endpoint.progress, answer, rows)
    progress = _within_capacity(connection, claim, progress)
    failure = answer.failure or f"status {answer.status}"
    bound = {
        **_of(claim),
        "wait": wait,
        "failures": progress.failures,
        "rows_allowed": progress.rows_allowed,
        "most_rows": progress.most_rows,
        "refused_alone": progress.refused_alone,
        "slow": timedelta(seconds=answer.seconds) > SLOW_AFTER,
        "failure": failure,
        "report_every": REPORT_EVERY,
    }
    row = connection.execute(_FAILED, bound).one_or_none()
    if row is None:
        return False
    if answer.outcome is DeliveryOutcome.GONE:
        _disable(connection, endpoint, "The receiver answered 410 Gone.")
    elif row.failing_for >= timedelta(days=days):
        _disable(connection, endpoint, f"No delivery has succeeded for {days} days ({failure}).")
    elif row.failing_for >= REPORT_AFTER and row.unreported:
        connection.execute(_REPORTED, _of(claim))
        since = row.failing_since.isoformat()
        _notify(connection, claim, FAILING, {"failing_since": since, "failure": failure})
    return True


def _within_capacity(connection: Connection, claim: Claim, progress: Progress) -> Progress:
    """Keep trying the same row when as many rows as allowed are set aside already."""
    if (
        not progress.tries_successor
        or connection.execute(_REFUSED_ROWS, _of(claim)).scalar_one() < MOST_REFUSED
    ):
        return progress
    return Progress(progress.failures, progress.rows_allowed, progress.most_rows, refused_alone=0)


def _disable(connection: Connection, endpoint: LoadedEndpoint, reason: str) -> None:
    connection.execute(_DISABLE, {**_of(endpoint.claim), "reason": reason})
    _notify(connection, endpoint.claim, DISABLED, {"reason": reason})


def _notify(connection: Connection, claim: Claim, kind: str, body: dict[str, Any]) -> None:
    named = json.dumps({"endpoint_id": claim.endpoint_id, **body})
    bound = {"endpoint_id": claim.endpoint_id, "workspace_id": claim.workspace_id}
    connection.execute(_NOTIFY, {**bound, "type": kind, "body": named})


def _log(connection: Connection, endpoint: LoadedEndpoint, sent: Upcoming, answer: Answer) -> None:
    message = sent.message
    if message is None:
        return
    _LOG.run(
        connection,
        {
            **_of(endpoint.claim),
            "type": message.type,
            "message_id": message.message_id,
            "rows": message.rows,
            "attempt": endpoint.progress.failures + 1,
            "outcome": answer.outcome.value,
            "status": answer.status,
            "failure": answer.failure,
            "seconds": answer.seconds,
            "cursor_before": endpoint.cursor,
        },
    )


def _of(claim: Claim) -> dict[str, Any]:
    return {
        "endpoint_id": claim.endpoint_id,
        "workspace_id": claim.workspace_id,
        "claim_seq": claim.claim_seq,
    }
