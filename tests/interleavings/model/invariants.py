"""What must hold after every interleaving: queries that return the breaches."""

from typing import Any, Final

import psycopg

from shared.accounts.vault import Vault
from shared.refresh_state.claim import JOBS_PER_ACCOUNT
from shared.refresh_state.invariants import STUCK
from tests.interleavings.engine.explorer import Run
from tests.interleavings.model.deliveries import delivery_breaches
from tests.interleavings.model.environment import PLATFORM_JOBS, Environment
from tests.interleavings.model.erasures import left_of_erased
from tests.interleavings.model.pauses import MOST_READS
from tests.interleavings.model.world import ACCOUNT, SERVED

_ROWS: Final = """
  FROM refresh_state r JOIN publications p ON p.id = r.publication_id
  JOIN accounts a ON a.account_id = p.account_id JOIN post_analytics s USING (publication_id)
"""
_QUERIES: Final = {
    "no row is stuck, as the product itself checks": f"""
SELECT format('row %s: %s', publication_id, breach) FROM ({STUCK}) found
""",
    "a row has no next run exactly while its reason says so, and is blocked only with its account": f"""
SELECT format('row %s of a %s account is %s, next run %s', p.id, a.state, r.reason, r.next_run_at) {_ROWS}
 WHERE (r.next_run_at IS NULL) <> (r.reason IN ('blocked', 'stopped', 'quarantined'))
    OR (r.reason = 'blocked' AND a.state = 'active')
""",
    "rows of an account that is not active are served as requires_reconnect": f"""
SELECT format('row %s of a %s account is %s (%s)', p.id, a.state, r.reason, s.sync_status) {_ROWS}
 WHERE a.state <> 'active' AND r.reason <> 'quarantined' AND s.sync_status <> 'requires_reconnect'
""",
    "a deferred row waits for a pause that is in force": f"""
SELECT format('row %s is deferred until %s', p.id, r.next_run_at) {_ROWS}
 WHERE r.reason = 'paused' AND r.next_run_at > now() + interval '10 minutes' AND NOT EXISTS (
       SELECT 1 FROM pauses w WHERE w.platform IN (a.platform, '*')
          AND w.paused_until >= r.next_run_at - interval '1 minute')
""",
    "a claim is open exactly while its row says so": f"""
SELECT format('row %s is %s, claimed at %s, next run %s', p.id, r.reason, r.claimed_at, r.next_run_at) {_ROWS}
 WHERE (r.reason = 'claimed' AND r.claimed_at IS NULL)
    OR (r.reason <> 'claimed' AND r.claimed_at IS NOT NULL AND r.next_run_at > now())
    OR (r.claimed_at IS NOT NULL AND (r.next_run_at IS NULL OR r.next_run_at > now() + interval '2 minutes'))
""",
    "nothing older over newer": f"""
SELECT format('row %s: version %s, claim_seq %s, read at %s, snapshot at %s', p.id, s.version, r.claim_seq,
              s.last_updated_at, s.snapshot_at) {_ROWS}
 WHERE s.version > r.claim_seq
    OR (s.last_updated_at IS NOT NULL
        -- retention has removed the counters of a post that was gone, and no refresh has read new ones
        AND NOT (s.snapshot_at IS NULL AND s.metrics = '{{}}' AND s.outcome <> 'synced'
             AND NOT EXISTS (SELECT FROM snapshots h WHERE h.publication_id = p.id))
        AND (s.last_updated_at > now() - interval '6 hours' OR NOT EXISTS (SELECT FROM retention_runs))
        AND NOT EXISTS (
        SELECT 1 FROM snapshots h WHERE h.publication_id = p.id AND h.taken_at = s.snapshot_at
           AND h.metrics = s.metrics AND h.last_seen_at = s.last_updated_at))
    OR EXISTS (SELECT 1 FROM snapshots h WHERE h.publication_id = p.id AND h.last_seen_at > s.last_updated_at)
""",
    "publication_counts equal a brute-force count": """
SELECT format('%s: %s counted, %s there', COALESCE(c.key, b.key), COALESCE(c.n, 0), COALESCE(b.n, 0))
  FROM (SELECT ROW(workspace_id, account_id, grain, bucket, platform)::text AS key, n
          FROM publication_counts WHERE n <> 0) c
  FULL JOIN (
       SELECT ROW(workspace_id, counted.account_id, grain, bucket, platform)::text AS key, count(*) AS n
         FROM publications p CROSS JOIN LATERAL (VALUES
              ('', 'day', (created_at AT TIME ZONE 'UTC')::date),
              ('', 'month', date_trunc('month', created_at AT TIME ZONE 'UTC')::date),
              (p.account_id, 'month', date_trunc('month', created_at AT TIME ZONE 'UTC')::date)
              ) AS counted (account_id, grain, bucket)
        GROUP BY 1) b USING (key)
 WHERE c.n IS DISTINCT FROM b.n
""",
    "a publication and its rows come and go together": """
SELECT format('publication %s lacks a row', p.id) FROM publications p
  LEFT JOIN refresh_state r ON r.publication_id = p.id AND r.account_id = p.account_id
  LEFT JOIN post_analytics s ON s.publication_id = p.id
 WHERE r.publication_id IS NULL OR s.publication_id IS NULL
 UNION ALL
SELECT format('%s of the deleted publication %s', kind, h.publication_id) FROM (
       SELECT 'snapshots' AS kind, publication_id FROM snapshots
        UNION ALL SELECT 'daily readings', publication_id FROM daily_snapshots
        UNION ALL SELECT 'the last reading', publication_id FROM last_snapshots) h
 WHERE NOT EXISTS (SELECT 1 FROM publications p WHERE p.id = h.publication_id)
""",
    "the feed has every change of a served value, and every deletion": f"""
SELECT format('row %s', b.id) FROM explorer.start b LEFT JOIN changes c ON c.publication_id = b.id
  LEFT JOIN publications p ON p.id = b.id LEFT JOIN post_analytics s ON s.publication_id = p.id
 WHERE b.id > 0 AND CASE WHEN p.id IS NULL THEN
           c.gone IS NULL AND (c.publication_id IS NOT NULL OR NOT EXISTS (SELECT FROM erasures))
       ELSE c.publication_id IS NULL OR c.gone IS NOT NULL
            OR ({SERVED}::text <> b.served AND c.changed_in <= b.changed_in) END
 UNION ALL
SELECT format('new row %s', p.id) FROM publications p
 WHERE NOT EXISTS (SELECT FROM changes c WHERE c.publication_id = p.id AND c.gone IS NULL)
 UNION ALL
SELECT format('account %s', a.account_id) FROM accounts a JOIN explorer.start b ON b.id = 0
 WHERE a.account_id = '{ACCOUNT}' AND ROW(a.state, a.state_reason)::text <> b.served
   AND a.changed_in <= b.changed_in
""",
    "jobs in flight stay within their caps": f"""
SELECT format('%s jobs of account %s', count(DISTINCT claimed_at), account_id) FROM refresh_state
 WHERE claimed_at IS NOT NULL AND next_run_at > now()
 GROUP BY account_id HAVING count(DISTINCT claimed_at) > {JOBS_PER_ACCOUNT}
 UNION ALL
SELECT format('%s jobs of platform %s', count(DISTINCT (account_id, claimed_at)), a.platform)
  FROM refresh_state JOIN accounts a USING (account_id)
 WHERE claimed_at IS NOT NULL AND next_run_at > now()
 GROUP BY a.platform HAVING count(DISTINCT (account_id, claimed_at)) > {PLATFORM_JOBS}
""",
    "a claim finds every row in time: its account is ready or has a timer": """
SELECT format('row %s (%s) in lane %s', r.publication_id, r.reason, lane)
  FROM refresh_state r JOIN accounts a USING (account_id)
  JOIN (VALUES (0), (1)) AS l (lane) ON r.priority >= l.lane
 WHERE a.state = 'active' AND r.next_run_at IS NOT NULL AND (r.claimed_at IS NULL OR r.unfinished < 2)
   AND NOT EXISTS (SELECT 1 FROM ready_accounts q WHERE q.account_id = r.account_id AND q.lane = l.lane
                      AND q.rows_from <= r.next_run_at)
   AND NOT EXISTS (SELECT 1 FROM account_timers t WHERE t.account_id = r.account_id AND t.lane = l.lane
                      AND t.rows_from <= r.next_run_at
                      AND t.due_at <= GREATEST(r.next_run_at, clock_timestamp()))
""",
    "reads that cost money are settled, and stay within their cap": f"""
SELECT format('%s reads are reserved, %s counted', reserved, reads) FROM post_reads
 WHERE reserved <> 0 OR reads < 0 OR reads > {MOST_READS}
""",
}


_ALL: Final = " UNION ALL ".join(
    f"SELECT '{name}: ' || sentence FROM ({query}) found (sentence)" for name, query in _QUERIES.items()
)
"""One statement for all of them: a round trip takes longer than most of the queries."""


def breaches(connection: psycopg.Connection, environment: Environment, run: Run) -> list[str]:
    """Return every breach after a run, as a sentence that begins with the invariant."""
    sentences = [
        f"no unexpected error: {type(error).__name__}: {error}" for error in run.errors if error is not None
    ]
    if run.deadlocks:
        sentences.append(f"no deadlock: PostgreSQL ended {run.deadlocks} transactions")
    erased = connection.execute("SELECT FROM erasures").fetchone() is not None
    sentences += [f"events are taken: {refused.message}" for refused in _refused(run) if not erased]
    sentences += [f"every token can be opened: {one}" for result in run.results for one in _unopened(result)]
    # The request for a workspace leaves the polling of its rows to the next steps.
    of_workspace = connection.execute("SELECT FROM erasures WHERE kind = 'workspace'").fetchone()
    if of_workspace is not None:
        sentences += left_of_erased(connection, environment.harness.engine)
    sentences += [row[0] for row in connection.execute(_ALL)]
    sentences += _mixed_tokens(connection, environment.harness.context.vault)
    sentences += delivery_breaches(connection, environment, run)
    return sentences + (left_of_erased(connection, environment.harness.engine) if erased else [])


def _refused(run: Run) -> list[Any]:
    """Return the refused events, but those that lack a token after their account's were destroyed."""
    return [
        refused
        for result in run.results
        for refused in getattr(result, "refused", ())
        if "were destroyed when it was disconnected" not in refused.message
    ]


def _unopened(result: Any) -> list[str]:
    return list(getattr(result, "unopened", ()))


def _mixed_tokens(connection: psycopg.Connection, vault: Vault) -> list[str]:
    """Find tokens of two pairs beside each other, and an old pair that was stored over a newer one."""
    sentences = []
    rows = connection.execute(
        "SELECT account_id, state, token_version, sealed_access_token, sealed_refresh_token FROM accounts"
    )
    for account_id, state, version, *sealed in rows:
        if sealed == [None, None]:
            if state != "disconnected":
                sentences.append(f"only a disconnected account has no tokens: {account_id} is {state}")
            continue
        numbers = {vault.open(one).get_secret_value()[-1] for one in sealed}
        if len(numbers) > 1:
            sentences.append(f"tokens stay in pairs: those of {account_id} do not belong together")
        if account_id == ACCOUNT and (version == 1) is not (numbers == {"1"}):
            sentences.append(f"no newer pair is lost: {account_id} has pair {numbers} as version {version}")
    return sentences
