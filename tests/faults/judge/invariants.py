"""The invariants, checked on observations and tables by code that shares nothing with the product."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.refresh_state.invariants import STUCK
from tests.faults.harness.environment import LEASE, THREADS, Environment
from tests.faults.judge.observations import Observations, lateness, lost_jobs

_MOST_REPORTED = 3


@dataclass(frozen=True)
class Tolerance:
    """What a fault may cause, in addition to what its kills cause."""

    late: timedelta = timedelta()
    lost_jobs: int = 0
    refused: int = 0
    pauses: bool = False
    """Rows may wait for the end of a pause."""
    poison: int = 0
    """The number of publications that must be quarantined."""
    repeated: int = 0
    """Requests for a publication in addition to one for each start: a retry within one job."""


def bound(tick: timedelta) -> timedelta:
    """Return how long recovery from a single fault may take."""
    return LEASE + 2 * tick


def judge(environment: Environment, observations: Observations, tolerance: Tolerance) -> list[str]:
    """Return a sentence for every breach, which begins with the invariant's name."""
    breaches = []
    for name, check in _CHECKS.items():
        sentences = check(environment, observations, tolerance)
        breaches += [f"{name}: {sentence}" for sentence in sentences[:_MOST_REPORTED]]
        if len(sentences) > _MOST_REPORTED:
            breaches.append(f"{name}: … and {len(sentences) - _MOST_REPORTED} more")
    return breaches


def _i1_nothing_overdue(
    environment: Environment, observations: Observations, tolerance: Tolerance
) -> list[str]:
    """Check that every polled row is refreshed again within the bound."""
    late = lateness(observations)
    left = environment.unread(observations.healed_at, but_paused=tolerance.pauses)
    unread = [f"publication {one} was not refreshed again" for one in left]
    longest = bound(environment.tick) + environment.noise + tolerance.late
    slow = [
        f"publication {one} was {took.total_seconds():.1f} s late"
        for one, took in late.items()
        if took > longest
    ]
    quarantined = environment.value("SELECT count(*) FROM refresh_state WHERE reason = 'quarantined'")
    if quarantined != tolerance.poison:
        unread.append(f"{quarantined} publications are quarantined instead of {tolerance.poison}")
    return unread + slow


def _i2_nothing_decreases(
    _environment: Environment, observations: Observations, _tolerance: Tolerance
) -> list[str]:
    return list(observations.decreases)


def _i3_history_is_true(
    environment: Environment, observations: Observations, _tolerance: Tolerance
) -> list[str]:
    breaches = [
        f"claim {seq} of publication {one} has {number} snapshots"
        for one, seq, number in environment.query(
            "SELECT publication_id, claim_seq, count(*) FROM snapshots GROUP BY 1, 2 HAVING count(*) > 1"
        )
    ]
    breaches += [
        f"publication {one} serves metrics that differ from its newest snapshot"
        for (one,) in environment.query(
            """
            SELECT a.publication_id FROM post_analytics a
              LEFT JOIN snapshots s ON s.publication_id = a.publication_id AND s.taken_at = a.snapshot_at
             WHERE a.last_updated_at IS NOT NULL
               AND (s.metrics IS DISTINCT FROM a.metrics OR s.last_seen_at <> a.last_updated_at)
            """
        )
    ]
    breaches += [
        f"{workspace} counts {counted} publications and has {existing}"
        for workspace, counted, existing in environment.query(
            """
            SELECT p.workspace_id, c.n, p.n
              FROM (SELECT workspace_id, count(*) AS n FROM publications GROUP BY 1) p
              LEFT JOIN (SELECT workspace_id, sum(n) AS n FROM publication_counts
                          WHERE grain = 'month' AND account_id = '' GROUP BY 1) c USING (workspace_id)
             WHERE c.n IS DISTINCT FROM p.n
            """
        )
    ]
    readings = sum(change.kind == "read" for change in observations.changes)
    if readings != observations.reads:
        breaches.append(f"{readings} readings were written and {observations.reads} are in the history")
    return breaches


def _i4_no_needless_calls(
    _environment: Environment, observations: Observations, tolerance: Tolerance
) -> list[str]:
    """Check that each start requests a publication once, and that only the fault makes starts fail."""
    starts = Counter(change.publication_id for change in observations.changes if change.kind == "started")
    starts.update(observations.baseline.claimed)
    requested = Counter(
        (publication_id, entry.endpoint)
        for entry in observations.entries
        if entry.outcome in {"ok", "fault"}
        for one in entry.ids
        if (publication_id := observations.publication_ids.get((entry.platform, one))) is not None
    )
    breaches = [
        f"publication {one} was requested {number} times at {endpoint} in {starts[one]} starts"
        for (one, endpoint), number in requested.items()
        if number > starts[one] + tolerance.repeated
    ]
    lost, excused = lost_jobs(observations), observations.kills * THREADS + tolerance.lost_jobs
    if lost > excused:
        breaches.append(f"{lost} jobs were started and never finished; the fault allows {excused}")
    return breaches


def _i5_limits_hold(_environment: Environment, observations: Observations, tolerance: Tolerance) -> list[str]:
    refused = Counter(
        entry.platform
        for entry in observations.entries
        if entry.outcome == "refused_limit" or entry.status == 429
    )
    return [
        f"{platform} refused {number} requests because of its limits; the fault allows {tolerance.refused}"
        for platform, number in refused.items()
        if number > tolerance.refused
    ]


def _i7_no_event_lost(
    environment: Environment, _observations: Observations, _tolerance: Tolerance
) -> list[str]:
    acknowledged = dict(environment.producer.acknowledged)
    seen = {row[0] for row in environment.query("SELECT event_id FROM events_seen")}
    lost = [f"event {one} was acknowledged and is not stored" for one in acknowledged if one not in seen]
    texts = {row[0]: row[1] or "" for row in environment.query("SELECT post_id, text FROM publications")}
    newest = dict(acknowledged.values())
    lost += [
        f"{post} has the text {texts[post]!r} after event {number}"
        for post, number in newest.items()
        if int(texts[post] or -1) < number
    ]
    return lost


def _i8_tokens_kept(
    environment: Environment, _observations: Observations, _tolerance: Tolerance
) -> list[str]:
    breaches = []
    stored = {
        (platform, owner): (access, refresh)
        for platform, owner, access, refresh in environment.query(
            "SELECT platform, platform_account_id, sealed_access_token, sealed_refresh_token FROM accounts"
        )
    }
    for account in environment.simulators.world.accounts():
        access, refresh = stored[account.platform, account.platform_account_id]
        if environment.vault.open(access).get_secret_value() != account.access_token:
            breaches.append(f"the access token of {account.platform_account_id} is not the platform's")
        if refresh and environment.vault.open(refresh).get_secret_value() != account.refresh_token:
            breaches.append(f"the refresh token of {account.platform_account_id} is not the platform's")
    return breaches + [f"a token is in {place}" for place in _leaks(environment)]


def _leaks(environment: Environment) -> list[str]:
    tokens = [token.encode() for token in set(environment.tokens)]
    places = {path.name: path.read_bytes() for path in environment.fleet.logs.glob("*.log")}
    with environment.redis() as client:
        for key in client.scan_iter():
            if client.type(key) == b"hash":
                places[f"Redis {key.decode()}"] = b"".join(client.hvals(key))
    return [place for place, content in places.items() if any(token in content for token in tokens)]


def _i9_no_row_is_stuck(
    environment: Environment, _observations: Observations, _tolerance: Tolerance
) -> list[str]:
    """Check the rule that operators are alerted by, with the product's own query."""
    return [
        f"publication {one} of {account} on {platform} is stuck: {breach}"
        for one, account, platform, breach in environment.query(STUCK)
    ]


_CHECKS: dict[str, Callable[[Environment, Observations, Tolerance], Sequence[str]]] = {
    "I1": _i1_nothing_overdue,
    "I2": _i2_nothing_decreases,
    "I3": _i3_history_is_true,
    "I4": _i4_no_needless_calls,
    "I5": _i5_limits_hold,
    "I7": _i7_no_event_lost,
    "I8": _i8_tokens_kept,
    "I9": _i9_no_row_is_stuck,
}
