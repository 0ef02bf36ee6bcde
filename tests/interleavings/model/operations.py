"""All operations: the functions of the product that write accounts, rows, analytics, pauses or budgets."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine

from api_stub.events.batch import Event, EventType
from api_stub.events.processing import EventProcessor
from shared import partitions
from shared.accounts import reseal
from shared.operations.quarantine import release_from_quarantine
from shared.operations.resync import resync_one
from shared.quota.pauses import NOT_PAUSED
from shared.refresh_state.make_due import make_due, promote_one
from shared.refresh_state.ready.memory import ClaimMemory
from shared.refresh_state.ready.queue import add_due
from shared.refresh_state.ready.sweep import sweep
from shared.refresh_state.release_claim import release_claim
from shared.refresh_state.replan import replan
from shared.refresh_state.start import extend
from shared.vocabulary import Lane, Reason
from tests.claiming import claim_due
from tests.harness import reads
from tests.interleavings.model.deliveries import DELIVERIES
from tests.interleavings.model.environment import (
    JOB,
    OPERATOR,
    PLATFORM_JOBS,
    Environment,
    in_transaction,
    new_tokens,
    operation,
)
from tests.interleavings.model.erasures import ERASURES
from tests.interleavings.model.pauses import PAUSES
from tests.interleavings.model.refreshes import REFRESHES
from tests.interleavings.model.retention import RETENTION
from tests.interleavings.model.signals import SIGNALS
from tests.interleavings.model.world import (
    ACCOUNT,
    CLAIMED,
    CLAIMED_WITHOUT_ID,
    DUE,
    EXPIRED,
    LAST,
    LATER,
    QUARANTINED,
    WITHOUT_ID,
    WORKSPACE,
)
from worker.credentials.renewal import renew_ahead
from worker.errors import Reauthorize


def _renew(environment: Environment, engine: Engine) -> None:
    renew_ahead(ACCOUNT, environment.context(engine, reads(views=20), renewal=new_tokens()))


def _renew_refused(environment: Environment, engine: Engine) -> None:
    refused = Reauthorize("The refresh token is refused.")
    renew_ahead(ACCOUNT, environment.context(engine, reads(views=20), renewal=refused))


def _rotate_secrets(environment: Environment, engine: Engine) -> Any:
    *_, done = reseal.reseal(engine, environment.rotated_vault)
    return done


def _claim(lane: Lane, _environment: Environment, engine: Engine, memory: ClaimMemory | None = None) -> Any:
    with engine.begin() as connection:
        return claim_due(connection, lane, jobs=10, platform_jobs=PLATFORM_JOBS, memory=memory)


def _claims(environment: Environment, engine: Engine) -> None:
    """Two claims of one scheduler, which remembers what the first one read."""
    memory = ClaimMemory()
    for _ in range(2):
        _claim(Lane.BACKGROUND, environment, engine, memory)


def _event(kind: EventType, data: Mapping[str, Any], environment: Environment, engine: Engine) -> Any:
    event = Event(0, f"evt_{kind}_{len(data)}", kind, data)
    return EventProcessor(engine, environment.harness.context.vault).process([event])


def _publication(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "post_id": f"post_{number}",
        "account_id": ACCOUNT,
        "created_at": "2026-06-23T10:15:30Z",
        **fields,
    }


def _account(**fields: Any) -> dict[str, Any]:
    return {"account_id": ACCOUNT, "workspace_id": WORKSPACE, **fields}


_NEW_TOKENS = {
    "platform_account_id": "pa",
    "access_token": "access-3",
    "refresh_token": "refresh-3",
    "token_expires_at": "2035-01-01T00:00:00Z",
}


def _due(reason: Reason, ids: tuple[int, ...]) -> Callable[[Connection], int]:
    return lambda connection: make_due(connection, WORKSPACE, ids, reason)


def _release_claims(connection: Connection) -> int:
    return release_claim(connection, [JOB])


def _extend_lease(connection: Connection) -> frozenset[int]:
    """Extend the lease of a row that waits for its answer, while the other one ends."""
    return extend(connection, [(CLAIMED_WITHOUT_ID, 5)], [(CLAIMED, 5)], timedelta(seconds=60))


def _replan(connection: Connection) -> int:
    soon = datetime.now(UTC) + timedelta(hours=1)
    return replan(connection, dict.fromkeys((CLAIMED, DUE, LATER), soon))


_THIRD_MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC') + interval '2 months'"
_DROP_PARTITION = f"""
DO $$ BEGIN
    EXECUTE 'DROP TABLE IF EXISTS snapshots_' || to_char({_THIRD_MONTH}, 'YYYY_MM');
END $$;
"""
_LIST: Final = [
    operation(
        "claim",
        partial(_claim, Lane.BACKGROUND),
        "active disconnected erasing expiring paused spent",
    ),
    operation("claim_interactive", partial(_claim, Lane.INTERACTIVE), "active"),
    operation("claims", _claims, "active paused"),
    operation(
        "add_due",
        partial(in_transaction, lambda connection: add_due(connection, Lane.BACKGROUND)),
        "active paused",
    ),
    operation("sweep", partial(in_transaction, sweep), "active"),
    *REFRESHES,
    operation("renew", _renew, "expiring"),
    operation("rotate_secrets", _rotate_secrets, "active disconnected expiring erasing delivering"),
    operation("renew_refused", _renew_refused, "expiring"),
    operation(
        "publish",
        partial(_event, EventType.PUBLISHED, _publication(LAST + 1, platform_post_id="new")),
        "active disconnected paused erasing delivering",
    ),
    operation(
        "publish_learned_id",
        partial(_event, EventType.PUBLISHED, _publication(LAST + 3, platform_post_id="799")),
        "active",
    ),
    operation(
        "publish_without_id",
        partial(_event, EventType.PUBLISHED, _publication(LAST + 2)),
        "active disconnected erasing",
    ),
    operation(
        "id_arrives",
        partial(_event, EventType.PUBLISHED, _publication(WITHOUT_ID, platform_post_id="705")),
        "active disconnected erasing",
    ),
    operation(
        "claimed_id_arrives",
        partial(_event, EventType.PUBLISHED, _publication(CLAIMED_WITHOUT_ID, platform_post_id="702")),
        "active disconnected",
    ),
    operation(
        "delete",
        partial(_event, EventType.DELETED, {"post_id": f"post_{CLAIMED}"}),
        "active disconnected paused erasing delivering ended_month",
    ),
    operation(
        "connect",
        partial(
            _event,
            EventType.CONNECTED,
            {**_account(), "account_id": "acc_new", "platform": "tiktok", **_NEW_TOKENS},
        ),
        "active erasing",
    ),
    operation(
        "reconnect",
        partial(_event, EventType.RECONNECTED, _account(**_NEW_TOKENS)),
        "active disconnected erasing expiring paused spent",
    ),
    operation(
        "reconnect_same_tokens",
        partial(_event, EventType.RECONNECTED, _account()),
        "active disconnected erasing",
    ),
    operation("disconnect", partial(_event, EventType.DISCONNECTED, _account())),
    operation("make_due_by_read", partial(in_transaction, _due(Reason.READ, (CLAIMED, DUE, LATER)))),
    operation(
        "make_due_by_force",
        partial(in_transaction, _due(Reason.FORCED, (CLAIMED_WITHOUT_ID, LATER, WITHOUT_ID, EXPIRED))),
        "active disconnected paused erasing",
    ),
    operation(
        "resync",
        partial(in_transaction, lambda connection: resync_one(connection, OPERATOR, LATER)),
        "active disconnected paused erasing",
    ),
    operation("replan", partial(in_transaction, _replan), "active paused"),
    operation(
        "unquarantine",
        partial(
            in_transaction, lambda connection: release_from_quarantine(connection, OPERATOR, [QUARANTINED])
        ),
        "active disconnected erasing",
    ),
    operation("extend_lease", partial(in_transaction, _extend_lease), "active disconnected paused"),
    operation(
        "promote",
        partial(
            in_transaction, lambda connection: promote_one(connection, "tiktok", ACCOUNT, only_if=NOT_PAUSED)
        ),
        "active",
    ),
    operation("release_claims", partial(in_transaction, _release_claims), "active disconnected paused"),
    operation(
        "partitions",
        partial(in_transaction, partitions.ensure_partitions),
        "active ended_month",
        _DROP_PARTITION,
    ),
    *ERASURES,
    *RETENTION,
    *DELIVERIES,
    *PAUSES,
    *SIGNALS,
]
OPERATIONS: Final = {operation.name: operation for operation in _LIST}
