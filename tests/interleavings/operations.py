"""The operations: every function of the product that writes accounts, rows, analytics, pauses or budgets."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy import Connection, Engine

from api_stub.events.processing import Event, EventProcessor, EventType
from shared import partitions
from shared.operations.audit_log import Operator
from shared.operations.pause import Scope, pause_scope, resume_scope
from shared.operations.quarantine import release_from_quarantine
from shared.operations.resync import resync_one
from shared.quota import spending
from shared.refresh_queue import RefreshJob
from shared.refresh_state.claim import claim
from shared.refresh_state.make_due import make_due
from shared.refresh_state.release_claim import release_claim
from shared.vocabulary import BucketKind, Lane, Platform, Reason
from tests.harness import Harness, Script, ScriptedAdapter, open_harness, reads
from tests.interleavings.world import (
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
from worker.clock import DatabaseClock
from worker.context import WorkerContext
from worker.credentials.renewal import renew_ahead
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Account, Answer, Publication, Reading, Tokens
from worker.refresh import refresh

JOB: Final = RefreshJob(ACCOUNT, ((CLAIMED_WITHOUT_ID, 5), (CLAIMED, 5)))
"""In an order that is not that of the ids, as a claim may return its rows."""
PLATFORM_JOBS: Final = 4
_OPERATOR: Final = Operator("explorer", "command")
_ALL: Final = frozenset({"active", "disconnected", "expiring", "paused", "spent"})


@dataclass(frozen=True, slots=True)
class Environment:
    """What operations need besides their connection."""

    harness: Harness

    def tools(
        self, engine: Engine, script: Script, renewal: Tokens | RefreshError | None = None
    ) -> WorkerContext:
        """Return the tools of a worker of its own on a session's connection."""
        adapter = ScriptedAdapter(script, renewal=renewal)
        return replace(
            self.harness.tools,
            engine=engine,
            clock=DatabaseClock(),
            adapters=dict.fromkeys(Platform, adapter),
        )


@contextmanager
def environment(url: str) -> Iterator[Environment]:
    """Open the environment; settings are such that a raised budget at X ends its pause."""
    with open_harness(url, x_monthly_budget_dollars=1000) as harness:
        yield Environment(harness)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation, and the worlds in which it says something."""

    name: str
    run: Callable[[Environment, Engine], Any]
    worlds: frozenset[str]
    prepare: str = ""
    """Statements that its world needs besides."""


def _refresh(script: Script, environment: Environment, engine: Engine, **renewal: Any) -> None:
    refresh(JOB, environment.tools(engine, script, **renewal))


def _answers(answer: Answer, **fields: Any) -> Script:
    return lambda _account, publication: Reading(publication.id, answer, **fields)


def _ends(error: Callable[[], RefreshError]) -> Script:
    return lambda _account, _publication: error()


def _learns(_account: Account, publication: Publication) -> Reading:
    came = "702" if publication.id == CLAIMED_WITHOUT_ID else None
    return Reading(publication.id, Answer.READ, {"views": 20}, platform_post_id=came)


def _learns_the_same(_account: Account, publication: Publication) -> Reading:
    return Reading(publication.id, Answer.READ, {"views": 20}, platform_post_id="799")


def _processes(_account: Account, publication: Publication) -> Reading:
    if publication.platform_post_id is None:
        return Reading(publication.id, Answer.PROCESSING)
    return Reading(publication.id, Answer.READ, {"views": 20})


def _limited() -> Paused:
    until = datetime.now(UTC) + timedelta(hours=1)
    return Paused("The limit is reached.", kind=BucketKind.ACCOUNT, until=until)


def _tokens() -> Tokens:
    return Tokens(
        SecretStr("access-2"), datetime.now(UTC) + timedelta(days=1), refresh_token=SecretStr("refresh-2")
    )


def _refresh_renewed(environment: Environment, engine: Engine) -> None:
    refresh(JOB, environment.tools(engine, reads(views=20), renewal=_tokens()))


def _renew(environment: Environment, engine: Engine) -> None:
    renew_ahead(ACCOUNT, environment.tools(engine, reads(views=20), renewal=_tokens()))


def _renew_refused(environment: Environment, engine: Engine) -> None:
    refused = Reauthorize("The refresh token is refused.")
    renew_ahead(ACCOUNT, environment.tools(engine, reads(views=20), renewal=refused))


def _claim(lane: Lane, _environment: Environment, engine: Engine) -> Any:
    with engine.begin() as connection:
        return claim(
            connection,
            lane,
            jobs=10,
            platform_jobs=PLATFORM_JOBS,
            lease=timedelta(seconds=60),
            top_up=dict.fromkeys(Platform, timedelta()),
        )


def _event(kind: EventType, data: Mapping[str, Any], environment: Environment, engine: Engine) -> Any:
    event = Event(0, f"evt_{kind}_{len(data)}", kind, data)
    return EventProcessor(engine, environment.harness.tools.vault).process([event])


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


def _in_transaction(act: Callable[[Connection], Any], _environment: Environment, engine: Engine) -> Any:
    with engine.begin() as connection:
        return act(connection)


def _due(reason: Reason, ids: tuple[int, ...]) -> Callable[[Connection], int]:
    return lambda connection: make_due(connection, WORKSPACE, ids, reason)


def _pause(connection: Connection) -> None:
    pause_scope(connection, _OPERATOR, Scope(account_id=ACCOUNT), "explored")


def _release_claims(connection: Connection) -> int:
    return release_claim(connection, [JOB])


def _raise_budget(connection: Connection) -> bool:
    return spending.lift_pause_after_budget_increase(connection, spending.Caps(2**62, 2**62))


_THIRD_MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC') + interval '2 months'"
_DROP_PARTITION = f"""
DO $$ BEGIN
    EXECUTE 'DROP TABLE IF EXISTS snapshots_' || to_char({_THIRD_MONTH}, 'YYYY_MM');
END $$;
"""
_REFRESHES: Final[dict[str, Script]] = {
    "synced": reads(views=20),
    "unchanged": reads(views=10),
    "id_learned": _learns,
    "processing": _processes,
    "missing": _answers(Answer.MISSING),
    "window_closed": _answers(Answer.WINDOW_CLOSED),
    "unavailable": _answers(Answer.UNAVAILABLE),
    "retried": _ends(lambda: TryAgain("Timed out.")),
    "limited": _ends(_limited),
    "misconfigured": _ends(lambda: Misconfigured("The app is refused.")),
    "reauthorize": _ends(lambda: Reauthorize("The token is refused.")),
}
_OLD = f"UPDATE publications SET created_at = now() - interval '40 days' WHERE id = {CLAIMED_WITHOUT_ID};"  # noqa: S608 - a constant of ours
_GONE = (
    f"UPDATE refresh_state SET missing_since = now() - interval '3 days' WHERE publication_id = {CLAIMED};"  # noqa: S608 - a constant of ours
)
_POISONED = "UPDATE refresh_state SET unfinished = 6, attempts = 6 WHERE publication_id = 1;"


def _operation(
    name: str, run: Callable[[Environment, Engine], Any], worlds: str = "", prepare: str = ""
) -> Operation:
    return Operation(name, run, frozenset(worlds.split()) or _ALL, prepare)


_LIST: Final = [
    _operation("claim", partial(_claim, Lane.BACKGROUND)),
    _operation("claim_interactive", partial(_claim, Lane.INTERACTIVE), "active"),
    *(
        _operation(
            f"refresh_{name}",
            partial(_refresh, script),
            "active disconnected paused spent" if name == "synced" else "active",
        )
        for name, script in _REFRESHES.items()
    ),
    _operation("refresh_gone", partial(_refresh, _answers(Answer.MISSING)), "active", _GONE),
    _operation("refresh_given_up", partial(_refresh, _processes), "active", _OLD),
    _operation("refresh_same_id_learned", partial(_refresh, _learns_the_same), "active"),
    _operation("refresh_poisoned", partial(_refresh, reads(views=20)), "active", _POISONED),
    _operation("refresh_renewed", _refresh_renewed, "expiring"),
    _operation("renew", _renew, "expiring"),
    _operation("renew_refused", _renew_refused, "expiring"),
    _operation(
        "publish",
        partial(_event, EventType.PUBLISHED, _publication(LAST + 1, platform_post_id="new")),
        "active disconnected paused",
    ),
    _operation(
        "publish_learned_id",
        partial(_event, EventType.PUBLISHED, _publication(LAST + 3, platform_post_id="799")),
        "active",
    ),
    _operation(
        "publish_without_id",
        partial(_event, EventType.PUBLISHED, _publication(LAST + 2)),
        "active disconnected",
    ),
    _operation(
        "id_arrives",
        partial(_event, EventType.PUBLISHED, _publication(WITHOUT_ID, platform_post_id="705")),
        "active disconnected",
    ),
    _operation(
        "claimed_id_arrives",
        partial(_event, EventType.PUBLISHED, _publication(CLAIMED_WITHOUT_ID, platform_post_id="702")),
        "active disconnected",
    ),
    _operation(
        "delete",
        partial(_event, EventType.DELETED, {"post_id": f"post_{CLAIMED}"}),
        "active disconnected paused",
    ),
    _operation(
        "connect",
        partial(
            _event,
            EventType.CONNECTED,
            {**_account(), "account_id": "acc_new", "platform": "tiktok", **_NEW_TOKENS},
        ),
        "active",
    ),
    _operation("reconnect", partial(_event, EventType.RECONNECTED, _account(**_NEW_TOKENS))),
    _operation(
        "reconnect_same_tokens", partial(_event, EventType.RECONNECTED, _account()), "active disconnected"
    ),
    _operation("disconnect", partial(_event, EventType.DISCONNECTED, _account())),
    _operation("make_due_by_read", partial(_in_transaction, _due(Reason.READ, (CLAIMED, DUE, LATER)))),
    _operation(
        "make_due_by_force",
        partial(_in_transaction, _due(Reason.FORCED, (CLAIMED_WITHOUT_ID, LATER, WITHOUT_ID, EXPIRED))),
        "active disconnected paused",
    ),
    _operation(
        "resync",
        partial(_in_transaction, lambda connection: resync_one(connection, _OPERATOR, LATER)),
        "active disconnected paused",
    ),
    _operation("pause", partial(_in_transaction, _pause), "active paused disconnected"),
    _operation(
        "resume",
        partial(
            _in_transaction,
            lambda connection: resume_scope(connection, _OPERATOR, Scope(account_id=ACCOUNT)),
        ),
        "paused",
    ),
    _operation(
        "unquarantine",
        partial(
            _in_transaction, lambda connection: release_from_quarantine(connection, _OPERATOR, [QUARANTINED])
        ),
        "active disconnected",
    ),
    _operation("release_claims", partial(_in_transaction, _release_claims), "active disconnected paused"),
    _operation("raise_budget", partial(_in_transaction, _raise_budget), "spent"),
    _operation(
        "partitions", partial(_in_transaction, partitions.ensure_partitions), "active", _DROP_PARTITION
    ),
]
OPERATIONS: Final = {operation.name: operation for operation in _LIST}
