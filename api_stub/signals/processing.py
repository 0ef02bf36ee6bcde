"""Storing of signals, and their application by the transitions that everything else uses."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Engine, Row, text

from api_stub.signals.signal import Signal, SignalKind
from shared.accounts import states
from shared.database import DATABASE_AWAY
from shared.erasure import requests, subject
from shared.freshness.policy import Freshness
from shared.freshness.signals import SignalSource, is_planned
from shared.ingestion.learned_ids import store_ids
from shared.operations.signals import observe
from shared.refresh_state import ingest
from shared.refresh_state.make_due import make_due
from shared.refresh_state.notifications import notify_due
from shared.refresh_state.release_claim import release_claims
from shared.settings import Settings
from shared.vocabulary import Platform, Reason

_INTERACTIVE: Final = 1
_ACCOUNTS_AT_MOST: Final = 1_000
_log = structlog.get_logger(__name__)

_REPORT_GROWTH: Final = frozenset({Platform.LINKEDIN})
"""Platforms that report new actions on a post; the others report that it was published or removed."""
_STORE: Final = text("""
INSERT INTO signals (signal_id, platform, kind, at, subject)
VALUES (:signal_id, :platform, :kind, :at, CAST(:subject AS jsonb)) ON CONFLICT DO NOTHING
""")
_NEXT: Final = text("""
SELECT signal_id, platform, kind, at, subject FROM signals
 WHERE processed_at IS NULL AND signal_id <> ALL(CAST(:failed AS text[]))
 ORDER BY received_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")
# What the platform calls the subject is deleted with its application.
_PROCESSED: Final = text("""
UPDATE signals SET processed_at = now(), subject = NULL, result = CAST(:result AS jsonb)
 WHERE signal_id = :signal_id
""")
_ACCOUNTS: Final = text("""
SELECT account_id, workspace_id, GREATEST(state_changed_at, connected_at) AS changed_at FROM accounts
 WHERE platform = :platform AND (platform_account_id = :user OR platform_user_id = :user)
   AND erasure IS NULL
 ORDER BY account_id LIMIT :most
""")
# OFFSET 0: its ids alone lead to a publication's row, never a walk over all rows of the account.
_PUBLICATIONS: Final = text("""
SELECT p.id, p.workspace_id, p.account_id, p.platform_post_id, r.freshness FROM accounts a
  JOIN (SELECT * FROM publications WHERE platform_post_id = :post OR publish_id = :publish_id OFFSET 0) p
    ON p.account_id = a.account_id
  JOIN post_analytics r ON r.publication_id = p.id
 WHERE a.platform = :platform AND (a.platform_account_id = :user OR a.platform_user_id = :user)
 ORDER BY p.id LIMIT :most
""")


def store(engine: Engine, platform: str, signals: Sequence[Signal]) -> list[bool]:
    """Store signals durably; return for each whether it is new."""
    with engine.begin() as connection:
        return [
            connection.execute(
                _STORE,
                {
                    "signal_id": one.signal_id,
                    "platform": platform,
                    "kind": one.kind.value,
                    "at": one.at,
                    "subject": json.dumps(dict(one.subject)),
                },
            ).rowcount
            == 1
            for one in signals
        ]


def process_all(engine: Engine, settings: Settings) -> int:
    """Apply every stored signal, each in a transaction of its own; return how many were tried.

    One that cannot be applied stays stored, and holds no other up.
    """
    failed: list[str] = []
    tried = 0
    while _process_one(engine, settings, failed):
        tried += 1
    return tried


def _process_one(engine: Engine, settings: Settings, failed: list[str]) -> bool:
    row = None
    try:
        with engine.begin() as connection:
            row = connection.execute(_NEXT, {"failed": failed}).one_or_none()
            if row is None:
                return False
            result = _apply(connection, settings, row)
        _log.info("signal_applied", platform=row.platform, kind=row.kind, **result)
    except DATABASE_AWAY:
        raise
    except Exception:
        if row is None:
            raise
        # One signal that cannot be applied must not hold up the later ones: it is tried again later.
        _log.exception("signal_not_applied", signal_id=row.signal_id, platform=row.platform, kind=row.kind)
        failed.append(row.signal_id)
    return True


def _apply(connection: Connection, settings: Settings, row: Row[Any]) -> dict[str, Any]:
    kind = SignalKind(row.kind)
    apply = partial(_moved, settings) if kind is SignalKind.MOVED else _APPLY[kind]
    result = apply(connection, row)
    connection.execute(_PROCESSED, {"signal_id": row.signal_id, "result": json.dumps(result)})
    return result


def _accounts(connection: Connection, row: Row[Any]) -> tuple[list[Row[Any]], int]:
    """Return the accounts of the user that a signal names, locked, without those of a later connection.

    Whoever connected an account again after the event is not disconnected by a late or repeated signal. The
    second value counts those.
    """
    bound = {"platform": row.platform, "user": row.subject["user"], "most": _ACCOUNTS_AT_MOST}
    states.lock(connection, [one.account_id for one in connection.execute(_ACCOUNTS, bound)])
    accounts = connection.execute(_ACCOUNTS, bound).all()
    earlier = [one for one in accounts if row.at is None or one.changed_at <= row.at]
    return earlier, len(accounts) - len(earlier)


def _revoked(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    sentence = f"{row.subject['sentence']}: connect the account again to refresh its posts."
    accounts, connected_since = _accounts(connection, row)
    for one in accounts:
        states.disconnect(connection, one.workspace_id, one.account_id, sentence)
    return {"accounts": len(accounts), "connected_since": connected_since}


def _deletion(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    codes = []
    accounts, connected_since = _accounts(connection, row)
    for one in accounts:
        erased = subject.account(connection, one.account_id)
        if erased is not None:
            codes.append(requests.request(connection, erased, row.platform))
    return {"erasures": codes, "connected_since": connected_since}


def _publications(connection: Connection, row: Row[Any]) -> list[Row[Any]]:
    bound = {
        "platform": row.platform,
        "user": row.subject["user"].removeprefix("urn:li:organization:"),
        "post": row.subject.get("post"),
        "publish_id": row.subject.get("publish_id"),
        "most": _ACCOUNTS_AT_MOST,
    }
    return list(connection.execute(_PUBLICATIONS, bound).all())


def _moved(settings: Settings, connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """Weigh a hint of growth by the freshness rule; ask the platform at once about posts that may be gone."""
    adaptive = Freshness.parse(settings.freshness).interval is None and row.platform in _REPORT_GROWTH
    sooner = due = 0
    for one in _publications(connection, row):
        if adaptive and is_planned(one.freshness):
            sooner += observe(connection, settings, one.workspace_id, [one.id], SignalSource.PUSH)
        else:
            due += make_due(connection, one.workspace_id, [one.id], Reason.READ)
    return {"due": due, "sooner": sooner}


def _published(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """Store the public id, once; of several posts of one publishing process the first one counts."""
    matches = _publications(connection, row)
    states.lock_shared(connection, [one.account_id for one in matches])
    ingest.lock(connection, [one.id for one in matches])
    learned: list[int] = []
    for one in _publications(connection, row):  # as they are under the lock
        if one.platform_post_id is None:
            learned += store_ids(connection, one.workspace_id, {one.id: row.subject["post"]})
    if learned and ingest.id_arrived(connection, learned, _INTERACTIVE):
        notify_due(connection)
    return {"learned": len(learned)}


# Numbers that nobody can read again are stored beside the others. They are dated under the lock of the row: a
# refresh may have ended since the transaction began, and its clock may be a little ahead.
_STORY: Final = text("""
WITH written AS (
    UPDATE post_analytics
       SET metrics = metrics || CAST(:metrics AS jsonb),
           last_updated_at = GREATEST(statement_timestamp(), last_updated_at + interval '1 microsecond'),
           snapshot_at = GREATEST(statement_timestamp(), last_updated_at + interval '1 microsecond')
     WHERE publication_id = :id AND NOT metrics @> CAST(:metrics AS jsonb)
    RETURNING publication_id, snapshot_at, version, sync_status, metrics
)
INSERT INTO snapshots (publication_id, taken_at, last_seen_at, claim_seq, sync_status, metrics)
SELECT publication_id, snapshot_at, snapshot_at, version, sync_status, metrics FROM written
""")


def _story_ended(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """Store the numbers; a refresh under way has read older ones, so it loses the row."""
    claims = ingest.lock(connection, [one.id for one in _publications(connection, row)])
    metrics = row.subject["metrics"]
    stored = [
        claim
        for claim in (claims if metrics else ())
        if connection.execute(_STORY, {"id": claim[0], "metrics": json.dumps(metrics)}).rowcount
    ]
    if release_claims(connection, stored):
        notify_due(connection)
    return {"stored": len(stored)}


def _ignored(_connection: Connection, _row: Row[Any]) -> dict[str, Any]:
    return {}


_APPLY: Final = {
    SignalKind.REVOKED: _revoked,
    SignalKind.DELETION: _deletion,
    SignalKind.PUBLISHED: _published,
    SignalKind.STORY_ENDED: _story_ended,
    SignalKind.IGNORED: _ignored,
}
