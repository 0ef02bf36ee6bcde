"""Claims of endpoints: which endpoint is next, and what a sender needs to deliver to it.

``next_run_at`` is due time, lease and retry timer at once, as for publications; without one an enabled
endpoint has seen every change and waits for news.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from shared.driver.statement import Statement
from worker.webhooks.messages import Recipient
from worker.webhooks.rules import Progress

LEASE: Final = timedelta(seconds=30)
"""Longer than a delivery may take: after it another sender may deliver."""
PROBE_EVERY: Final = timedelta(milliseconds=500)
"""How often endpoints that wait are compared with the feed."""
PROBE_RESTS: Final = 10
"""A probe of very many endpoints is followed by a rest of so many times its duration."""
MOST_PER_WORKSPACE: Final = 4
MOST_PER_HOST: Final = 4
SLOW_SHARE: Final = 4
"""Endpoints that failed or are slow share one place in so many."""
_CANDIDATES: Final = 4
"""Due endpoints that are locked for each free place: in some hosts and workspaces all places are taken."""

# One sender at a time probes; the others find that it was done just now. Nobody waits for a locked endpoint.
_PROBE: Final = text("""
WITH probed AS (
    UPDATE webhook_probe SET probed_at = clock_timestamp()
     WHERE probed_at < clock_timestamp() - CAST(:every AS interval) * 0.8 RETURNING 1
), waiting AS MATERIALIZED (
    SELECT e.endpoint_id FROM webhook_endpoints e
     WHERE e.state = 'enabled' AND e.next_run_at IS NULL AND e.rest_until <= now()
       AND EXISTS (SELECT FROM probed)
       AND (EXISTS (SELECT FROM changes c WHERE c.workspace_id = e.workspace_id
                       AND (c.changed_in, c.publication_id) > (e.changed_in, e.changed_key)
                       AND c.changed_in < pg_snapshot_xmin(pg_current_snapshot()))
         OR EXISTS (SELECT FROM accounts a WHERE a.workspace_id = e.workspace_id
                       AND a.changed_in > e.changed_in
                       AND a.changed_in < pg_snapshot_xmin(pg_current_snapshot()))
         OR EXISTS (SELECT FROM webhook_refused_rows r WHERE r.endpoint_id = e.endpoint_id
                       AND r.workspace_id = e.workspace_id AND r.next_try_at <= now())
         -- one that came during a delivery
         OR EXISTS (SELECT FROM webhook_notices n WHERE n.endpoint_id = e.endpoint_id
                       AND n.workspace_id = e.workspace_id))
     FOR NO KEY UPDATE OF e SKIP LOCKED
)
UPDATE webhook_endpoints e SET next_run_at = now() FROM waiting w WHERE e.endpoint_id = w.endpoint_id
""")

_DUE: Final = text("""
SELECT endpoint_id, workspace_id, host, slow OR failures > 0 AS slow FROM webhook_endpoints
 WHERE state = 'enabled' AND next_run_at <= now()
   AND NOT workspace_id = ANY(:full_workspaces) AND NOT host = ANY(:full_hosts)
   AND (:slow_places > 0 OR NOT (slow OR failures > 0))
 ORDER BY next_run_at LIMIT :candidates FOR NO KEY UPDATE SKIP LOCKED
""")

_CLAIM: Final = text("""
UPDATE webhook_endpoints SET claim_seq = claim_seq + 1, next_run_at = now() + CAST(:lease AS interval)
 WHERE endpoint_id = ANY(:ids)
RETURNING endpoint_id, workspace_id, claim_seq, host, slow OR failures > 0 AS slow
""")

_LOAD: Final = Statement("""
SELECT now(), url, types, thin, redelivery, reset, cursor, failures, rows_allowed, most_rows, refused_alone,
       sealed_secret, CASE WHEN former_secret_until > now() THEN sealed_former_secret END,
       EXISTS (SELECT FROM webhook_notices n
                WHERE n.endpoint_id = e.endpoint_id AND n.workspace_id = e.workspace_id),
       EXISTS (SELECT FROM webhook_refused_rows r
                WHERE r.endpoint_id = e.endpoint_id AND r.workspace_id = e.workspace_id)
  FROM webhook_endpoints e
 WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id AND claim_seq = :claim_seq
""")


@dataclass(frozen=True, slots=True)
class Claim:
    """One endpoint that this sender may deliver to until the lease ends."""

    endpoint_id: str
    workspace_id: str
    claim_seq: int
    """The fencing token: a record with an older number changes nothing."""
    host: str
    slow: bool


@dataclass(frozen=True, slots=True)
class LoadedEndpoint:
    """What a delivery needs of a claimed endpoint."""

    claim: Claim
    loaded_at: datetime
    """The database's time."""
    url: str = field(repr=False)
    recipient: Recipient
    cursor: str | None
    progress: Progress
    sealed_secrets: tuple[str, ...] = field(repr=False)
    has_notices: bool
    """Whether news of other endpoints wait for it."""
    has_refused_rows: bool
    """Whether rows were set aside."""


class Places:
    """The deliveries under way of one sender, and who may still get a place."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._workspaces: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()
        self._slow = 0

    @property
    def free(self) -> int:
        """How many more deliveries may start."""
        return self._places - self._workspaces.total()

    @property
    def slow_free(self) -> int:
        """How many of them may go to endpoints that failed or are slow."""
        return max(1, self._places // SLOW_SHARE) - self._slow

    @property
    def full_workspaces(self) -> list[str]:
        """The workspaces that have all their places."""
        return [name for name, number in self._workspaces.items() if number >= MOST_PER_WORKSPACE]

    @property
    def full_hosts(self) -> list[str]:
        """The hosts that have all their places."""
        return [name for name, number in self._hosts.items() if number >= MOST_PER_HOST]

    def take(self, workspace_id: str, host: str, *, slow: bool) -> bool:
        """Take a place and return true, or return false when none is left for this endpoint."""
        if (
            self.free <= 0
            or self._workspaces[workspace_id] >= MOST_PER_WORKSPACE
            or self._hosts[host] >= MOST_PER_HOST
            or (slow and self.slow_free <= 0)
        ):
            return False
        self._workspaces[workspace_id] += 1
        self._hosts[host] += 1
        self._slow += slow
        return True

    def release(self, claim: Claim) -> None:
        """Give a claim's place back."""
        for counter, name in ((self._workspaces, claim.workspace_id), (self._hosts, claim.host)):
            counter[name] -= 1
            if not counter[name]:
                del counter[name]
        self._slow -= claim.slow


def probe(connection: Connection, every: timedelta = PROBE_EVERY) -> int:
    """Make endpoints due whose position the feed has passed; return how many.

    ``every``: nothing happens when any sender has probed within that time.
    """
    return connection.execute(_PROBE, {"every": every}).rowcount


def claim(connection: Connection, places: Places) -> list[Claim]:
    """Claim due endpoints, those first that have waited longest, and take their places."""
    if places.free <= 0:
        return []
    due = connection.execute(
        _DUE,
        {
            "full_workspaces": places.full_workspaces,
            "full_hosts": places.full_hosts,
            "slow_places": places.slow_free,
            "candidates": places.free * _CANDIDATES,
        },
    ).all()
    chosen = {row.endpoint_id for row in due if places.take(row.workspace_id, row.host, slow=row.slow)}
    if not chosen:
        return []
    claimed = connection.execute(_CLAIM, {"ids": sorted(chosen), "lease": LEASE})
    return [Claim(*row) for row in claimed]


def load(connection: Connection, claim: Claim) -> LoadedEndpoint | None:
    """Return what a delivery needs; ``None`` when the claim does not stand any more."""
    bound = {
        "endpoint_id": claim.endpoint_id,
        "workspace_id": claim.workspace_id,
        "claim_seq": claim.claim_seq,
    }
    rows = _LOAD.tuples(connection, bound)
    if not rows:
        return None
    loaded_at, url, types, thin, redelivery, reset, cursor, *progress, secret, former, notices, refused = (
        rows[0]
    )
    return LoadedEndpoint(
        claim=claim,
        loaded_at=loaded_at,
        url=url,
        recipient=Recipient(claim.endpoint_id, claim.workspace_id, frozenset(types), thin, redelivery, reset),
        cursor=cursor,
        progress=Progress(*progress),
        sealed_secrets=_present(secret, former),
        has_notices=notices,
        has_refused_rows=refused,
    )


def _present(*sealed: str | None) -> tuple[str, ...]:
    return tuple(one for one in sealed if one is not None)


def release_all(connection: Connection, claims: Iterable[Claim]) -> None:
    """Make claimed endpoints due again whose delivery was not started."""
    for one in claims:
        connection.execute(
            text("""
            UPDATE webhook_endpoints SET next_run_at = now()
             WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id AND claim_seq = :claim_seq
            """),
            {"endpoint_id": one.endpoint_id, "workspace_id": one.workspace_id, "claim_seq": one.claim_seq},
        )
