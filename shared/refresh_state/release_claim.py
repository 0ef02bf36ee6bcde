"""Transition ``release_claim``: a row is due again, and whoever has its claim writes nothing any more."""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import Connection, text

from shared.refresh_queue import RefreshJob
from shared.refresh_state.start import IS_OPEN, Claim

_RELEASE_CLAIM = text(f"""
WITH mine AS (
    SELECT s.publication_id
      FROM unnest(CAST(:ids AS bigint[]), CAST(:seqs AS bigint[])) AS c (id, seq)
      JOIN refresh_state s ON s.publication_id = c.id AND s.claim_seq = c.seq AND {IS_OPEN}
     ORDER BY s.publication_id FOR UPDATE OF s
)
UPDATE refresh_state AS r
   SET next_run_at = now() + :after, claimed_at = NULL, claim_seq = r.claim_seq + 1, reason = 'stale'
  FROM mine WHERE r.publication_id = mine.publication_id
""")


def release_claim(
    connection: Connection, jobs: Iterable[RefreshJob], *, after: timedelta = timedelta()
) -> int:
    """Give back the claims of these jobs, due again after this delay; return how many still held.

    The claims are void from then on: a message that carries one finds nothing to start.
    """
    return release_claims(connection, [claim for job in jobs for claim in job.claims], after=after)


def release_claims(connection: Connection, claims: Iterable[Claim], *, after: timedelta = timedelta()) -> int:
    """Release these claims, started or not; return how many were open.

    A worker that has started one loses the row: what it has read so far is older than what the caller writes.
    """
    ids, seqs = [], []
    for publication_id, claim_seq in claims:
        ids.append(publication_id)
        seqs.append(claim_seq)
    parameters = {"ids": ids, "seqs": seqs, "after": after}
    return connection.execute(_RELEASE_CLAIM, parameters).rowcount
