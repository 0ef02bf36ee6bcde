"""What holds an account, a workspace or a platform back, and what ages meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, text

from shared.operations.holds.hold import Hold, of_account, of_pause, placed_by
from shared.operations.holds.services import missing_service
from shared.quota.pauses import PauseInForce, pauses_in_force, pauses_of_accounts, stops
from shared.vocabulary import AccountState, PauseSubject, Platform

SubjectKind = Literal["platform", "account", "workspace"]
COUNTED: Final = 100_000
"""Publications of a subject that are counted at most."""
_ACCOUNTS_AT_MOST: Final = 10_000

_ACCOUNTS: Final = """
SELECT account_id, workspace_id, platform, state, state_reason, state_changed_at FROM accounts
 WHERE {column} = :name ORDER BY account_id LIMIT :most
"""
_COLUMNS: Final = {"platform": "platform", "account": "account_id", "workspace": "workspace_id"}
_COUNTS: Final = text("""
SELECT count(*) AS publications,
       count(*) FILTER (WHERE next_run_at IS NOT NULL AND NOT (reason = 'stale' AND next_run_at > now()))
           AS ageing,
       CAST(EXTRACT(epoch FROM now() - min(next_run_at) FILTER (WHERE next_run_at <= now())) AS float8)
           AS overdue
  FROM (SELECT next_run_at, reason FROM refresh_state WHERE account_id = ANY(:accounts) LIMIT :most) counted
""")


_NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SubjectState:
    """What holds a platform, an account or a workspace back now."""

    kind: SubjectKind
    name: str
    holds: tuple[Hold, ...]
    """Those that need an operator first, then the last to end; none: its rows run when they are due."""
    publications: int
    """At most `COUNTED`."""
    ageing: int
    """Polled publications whose numbers are not fresh."""
    overdue_seconds: float | None
    """How long the longest due row has been due, paused or not; ``None``: no row is due."""

    @property
    def to_do(self) -> str:
        """What to do first."""
        return self.holds[0].to_do if self.holds else "Nothing: nothing holds it back."


def find_subject(connection: Connection, name: str) -> tuple[SubjectKind, str] | None:
    """Return what a name names: a platform, an account or a workspace; ``None``: none of them."""
    if name in {platform.value for platform in Platform}:
        return "platform", name
    kinds: tuple[SubjectKind, ...] = ("account", "workspace")
    for kind in kinds:
        if _accounts(connection, kind, name, most=1):
            return kind, name
    return None


def subject_state(connection: Connection, kind: SubjectKind, name: str) -> SubjectState:
    """Return what holds a platform, an account or a workspace back; a name without accounts has no holds."""
    accounts = _accounts(connection, kind, name)
    ids = [account.account_id for account in accounts]
    pauses = _pauses(connection, kind, name, ids)
    operators = placed_by(connection, pauses)
    holds = [of_pause(pause, operators) for pause in pauses if not _of_one_account(pause)]
    holds += _grouped(kind, [of_pause(pause, operators) for pause in pauses if _of_one_account(pause)])
    states = [
        of_account(one.account_id, one.state, one.state_reason, one.state_changed_at)
        for one in accounts
        if one.state != AccountState.ACTIVE
    ]
    holds += _grouped(kind, states)
    if fleet := missing_service(connection):
        holds.append(fleet)
    counts = connection.execute(_COUNTS, {"accounts": ids, "most": COUNTED}).one()
    holds.sort(key=lambda hold: (not hold.needs_operator, -(hold.until or _NEVER).timestamp()))
    return SubjectState(kind, name, tuple(holds), counts.publications, counts.ageing, counts.overdue)


def _accounts(
    connection: Connection, kind: SubjectKind, name: str, *, most: int = _ACCOUNTS_AT_MOST
) -> Sequence[Row[Any]]:
    statement = text(_ACCOUNTS.format(column=_COLUMNS[kind]))
    return connection.execute(statement, {"name": name, "most": most}).all()


def _pauses(
    connection: Connection, kind: SubjectKind, name: str, accounts: Sequence[str]
) -> list[PauseInForce]:
    """Return the pauses that hold any part of the subject, and the stops of it that are being tried."""
    if kind == "platform":
        tried = [stop for stop in stops(connection) if stop.platform == name]
        standing = [pause for pause in pauses_in_force(connection) if pause.platform in {name, "*"}]
    else:
        tried = []
        standing = [pause for one in pauses_of_accounts(connection, accounts).values() for pause in one]
    return list({pause.key: pause for pause in [*tried, *standing]}.values())


def _of_one_account(pause: PauseInForce) -> bool:
    return pause.kind.subject is PauseSubject.ACCOUNT and bool(pause.subject)


def _grouped(kind: SubjectKind, holds: Sequence[Hold]) -> list[Hold]:
    """Return holds of single accounts as they are for an account, and else one for each cause."""
    if kind == "account":
        return list(holds)
    grouped = []
    for _, group in groupby(sorted(holds, key=lambda hold: hold.cause), key=lambda hold: hold.cause):
        same = list(group)
        if len(same) == 1:
            grouped.append(same[0])
            continue
        ends = [hold.until for hold in same]
        grouped.append(
            replace(
                same[0],
                scope=f"{len(same)} accounts",
                since=_earliest([hold.since for hold in same]),
                until=None if None in ends else max(end for end in ends if end is not None),
            )
        )
    return grouped


def _earliest(instants: Sequence[datetime | None]) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)
