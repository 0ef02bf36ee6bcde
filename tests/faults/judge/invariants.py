"""The invariants, judged from journal, ledger and tables by code that shares nothing with the product's."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.refresh_state.invariants import STUCK
from tests.faults.harness.environment import LEASE, THREADS, Stage
from tests.faults.judge.observations import Evidence, lateness, lost_jobs

NOISE = timedelta(seconds=2)
"""What a shared machine may add to it before a test fails."""
_MOST_TOLD = 3


@dataclass(frozen=True)
class Allowed:
    """What a fault excuses, beyond what its kills do."""

    late: timedelta = timedelta()
    lost_jobs: int = 0
    refused: int = 0
    pauses: bool = False
    """Rows may wait for the end of a pause instead of being read."""
    poison: int = 0
    """Publications that must be set aside."""
    repeated: int = 0
    """Requests for a publication beyond its starts: what comes of a second try inside one job."""


def bound(tick: timedelta) -> timedelta:
    """Return what recovery after a single fault may take."""
    return LEASE + 2 * tick


def judge(stage: Stage, evidence: Evidence, allowed: Allowed) -> list[str]:
    """Return every breach, as a sentence that begins with the invariant's name."""
    breaches = []
    for name, check in _CHECKS.items():
        found = check(stage, evidence, allowed)
        breaches += [f"{name}: {sentence}" for sentence in found[:_MOST_TOLD]]
        if len(found) > _MOST_TOLD:
            breaches.append(f"{name}: … and {len(found) - _MOST_TOLD} more")
    return breaches


def _i1_nothing_overdue(stage: Stage, evidence: Evidence, allowed: Allowed) -> list[str]:
    """Every polled row is read again, and none later than lease and ticks allow."""
    late = lateness(evidence)
    left = stage.unread(evidence.healed_at, but_paused=allowed.pauses)
    unread = [f"publication {one} was not read again" for one in left]
    longest = bound(stage.tick) + NOISE + allowed.late
    slow = [
        f"publication {one} was {took.total_seconds():.1f} s late"
        for one, took in late.items()
        if took > longest
    ]
    aside = stage.value("SELECT count(*) FROM refresh_state WHERE reason = 'quarantined'")
    if aside != allowed.poison:
        unread.append(f"{aside} publications are set aside instead of {allowed.poison}")
    return unread + slow


def _i2_nothing_goes_back(_stage: Stage, evidence: Evidence, _allowed: Allowed) -> list[str]:
    return list(evidence.backwards)


def _i3_history_is_true(stage: Stage, evidence: Evidence, _allowed: Allowed) -> list[str]:
    breaches = [
        f"claim {seq} of publication {one} has {number} snapshots"
        for one, seq, number in stage.query(
            "SELECT publication_id, claim_seq, count(*) FROM snapshots GROUP BY 1, 2 HAVING count(*) > 1"
        )
    ]
    breaches += [
        f"publication {one} serves numbers that its newest snapshot does not have"
        for (one,) in stage.query(
            """
            SELECT a.publication_id FROM post_analytics a
              LEFT JOIN snapshots s ON s.publication_id = a.publication_id AND s.taken_at = a.snapshot_at
             WHERE a.last_updated_at IS NOT NULL
               AND (s.metrics IS DISTINCT FROM a.metrics OR s.last_seen_at <> a.last_updated_at)
            """
        )
    ]
    breaches += [
        f"{workspace} counts {counted} publications and has {there}"
        for workspace, counted, there in stage.query(
            """
            SELECT p.workspace_id, c.n, p.n
              FROM (SELECT workspace_id, count(*) AS n FROM publications GROUP BY 1) p
              LEFT JOIN (SELECT workspace_id, sum(n) AS n FROM publication_counts
                          WHERE grain = 'month' AND account_id = '' GROUP BY 1) c USING (workspace_id)
             WHERE c.n IS DISTINCT FROM p.n
            """
        )
    ]
    told = sum(step.kind == "read" for step in evidence.steps)
    if told != evidence.reads:
        breaches.append(f"{told} readings were written and {evidence.reads} are in the history")
    return breaches


def _i4_no_needless_calls(_stage: Stage, evidence: Evidence, allowed: Allowed) -> list[str]:
    """Asked upstream at most once a start; starts are lost only to the fault."""
    starts = Counter(step.publication_id for step in evidence.steps if step.kind == "started")
    starts.update(evidence.beginning.claimed)
    asked = Counter(
        (publication_id, entry.endpoint)
        for entry in evidence.entries
        if entry.outcome in {"ok", "fault"}
        for one in entry.ids
        if (publication_id := evidence.publication_ids.get((entry.platform, one))) is not None
    )
    breaches = [
        f"publication {one} was asked for {number} times at {endpoint} in {starts[one]} starts"
        for (one, endpoint), number in asked.items()
        if number > starts[one] + allowed.repeated
    ]
    lost, excused = lost_jobs(evidence), evidence.kills * THREADS + allowed.lost_jobs
    if lost > excused:
        breaches.append(f"{lost} jobs were started and never finished; the fault excuses {excused}")
    return breaches


def _i5_limits_hold(_stage: Stage, evidence: Evidence, allowed: Allowed) -> list[str]:
    refused = Counter(
        entry.platform
        for entry in evidence.entries
        if entry.outcome == "refused_limit" or entry.status == 429
    )
    return [
        f"{platform} refused {number} requests for its limits; the fault excuses {allowed.refused}"
        for platform, number in refused.items()
        if number > allowed.refused
    ]


def _i7_no_event_lost(stage: Stage, _evidence: Evidence, _allowed: Allowed) -> list[str]:
    acknowledged = dict(stage.teller.acknowledged)
    seen = {row[0] for row in stage.query("SELECT event_id FROM events_seen")}
    lost = [f"event {one} was acknowledged and is not known" for one in acknowledged if one not in seen]
    texts = {row[0]: row[1] or "" for row in stage.query("SELECT post_id, text FROM publications")}
    newest = dict(acknowledged.values())
    lost += [
        f"{post} says {texts[post]!r} after event {number}"
        for post, number in newest.items()
        if int(texts[post] or -1) < number
    ]
    return lost


def _i8_tokens_kept(stage: Stage, _evidence: Evidence, _allowed: Allowed) -> list[str]:
    breaches = []
    stored = {
        (platform, owner): (access, refresh)
        for platform, owner, access, refresh in stage.query(
            "SELECT platform, platform_account_id, sealed_access_token, sealed_refresh_token FROM accounts"
        )
    }
    for account in stage.simulators.world.accounts():
        access, refresh = stored[account.platform, account.platform_account_id]
        if stage.vault.open(access).get_secret_value() != account.access_token:
            breaches.append(f"the access token of {account.platform_account_id} is not the platform's")
        if refresh and stage.vault.open(refresh).get_secret_value() != account.refresh_token:
            breaches.append(f"the refresh token of {account.platform_account_id} is not the platform's")
    return breaches + [f"a token is in {place}" for place in _leaks(stage)]


def _leaks(stage: Stage) -> list[str]:
    tokens = [token.encode() for token in set(stage.tokens)]
    places = {path.name: path.read_bytes() for path in stage.fleet.logs.glob("*.log")}
    with stage.redis() as client:
        for key in client.scan_iter():
            if client.type(key) == b"hash":
                places[f"Redis {key.decode()}"] = b"".join(client.hvals(key))
    return [place for place, content in places.items() if any(token in content for token in tokens)]


def _i9_no_row_is_stuck(stage: Stage, _evidence: Evidence, _allowed: Allowed) -> list[str]:
    """No row breaks the rule that operators are alerted by: here the product's own query is the judge."""
    return [
        f"publication {one} of {account} on {platform} is stuck: {breach}"
        for one, account, platform, breach in stage.query(STUCK)
    ]


_CHECKS: dict[str, Callable[[Stage, Evidence, Allowed], Sequence[str]]] = {
    "I1": _i1_nothing_overdue,
    "I2": _i2_nothing_goes_back,
    "I3": _i3_history_is_true,
    "I4": _i4_no_needless_calls,
    "I5": _i5_limits_hold,
    "I7": _i7_no_event_lost,
    "I8": _i8_tokens_kept,
    "I9": _i9_no_row_is_stuck,
}
