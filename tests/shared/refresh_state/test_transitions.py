"""Every transition does what the table in `shared.refresh_state` says, and leaves other rows alone."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pytest
from sqlalchemy import Connection, text

import shared.refresh_state
from shared.refresh_queue import RefreshJob
from shared.refresh_state import ingest
from shared.refresh_state.block import block, unblock
from shared.refresh_state.finish import NextRun, finish
from shared.refresh_state.make_due import make_deferred_due, make_due, promote_one
from shared.refresh_state.release_claim import release_claim
from shared.refresh_state.replan import replan
from shared.refresh_state.start import extend, start
from shared.refresh_state.unquarantine import unquarantine
from shared.vocabulary import Reason
from tests.claiming import claim_due
from tests.harness import Harness

LEASE: Final = timedelta(seconds=60)
ATTEMPTS: Final = 7
POLLED_NO_MORE: Final = ("stopped", "blocked", "quarantined")
WAITING: Final = [one.value for one in Reason if one not in {Reason.CLAIMED, *map(Reason, POLLED_NO_MORE)}]
STATES: Final = [
    *(f"{reason} {when}" for reason in WAITING for when in ("later", "due")),
    "claimed",
    "expired",
    *POLLED_NO_MORE,
]
NO_ROW: Final = "no row"


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    name: str
    states: frozenset[str]
    to: tuple[str, ...]
    effects: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """The row of each state: its publication, its account, and its claim."""

    ids: Mapping[str, int]
    claim_seq: int = 4

    def jobs(self, *, off_by: int = 0) -> Iterator[RefreshJob]:
        """Yield a job of each row's claim; ``off_by``: a claim that was made earlier or later."""
        for state, publication_id in self.ids.items():
            yield RefreshJob(account_of(state), ((publication_id, self.claim_seq + off_by),))


Operation = Callable[[Connection, Rows, str], object]


def account_of(state: str) -> str:
    return f"acc_{state.replace(' ', '_')}"


def _each(operation: Callable[[Connection, str], object]) -> Operation:
    return lambda connection, _, __: [operation(connection, account_of(state)) for state in [*STATES, NO_ROW]]


def _make_due(connection: Connection, rows: Rows, reason: Reason) -> None:
    make_due(connection, "ws_1", list(rows.ids.values()), reason)


def _claim(connection: Connection, _rows: Rows, _to: str) -> None:
    claim_due(connection, lease=LEASE)


def _start(connection: Connection, rows: Rows, off_by: int = 0) -> None:
    for job in rows.jobs(off_by=off_by):
        start(connection, job, LEASE)


def _extend(connection: Connection, rows: Rows, off_by: int = 0) -> None:
    extend(connection, [claim for job in rows.jobs(off_by=off_by) for claim in job.claims], [], LEASE)


def _finish(connection: Connection, rows: Rows, to: str, off_by: int = 0) -> None:
    next_run_at = connection.execute(text("SELECT now() + interval '1 hour'")).scalar_one()
    finish(
        connection,
        [
            NextRun(
                publication_id=publication_id,
                claim_seq=rows.claim_seq + off_by,
                next_run_at=None if to in POLLED_NO_MORE else next_run_at,
                reason=Reason(to),
                attempts=ATTEMPTS,
                missing_since=None,
            )
            for publication_id in rows.ids.values()
        ],
    )


def _replan(connection: Connection, rows: Rows, _to: str) -> None:
    soon = connection.execute(text("SELECT now() + interval '1 second'")).scalar_one()
    replan(connection, dict.fromkeys(rows.ids.values(), soon))


def _delete(connection: Connection, _rows: Rows, _to: str) -> None:
    connection.execute(text("DELETE FROM post_analytics"))
    connection.execute(text("DELETE FROM publications"))


OPERATIONS: Final[dict[str, Operation]] = {
    "insert": lambda connection, rows, _: ingest.insert(connection, [rows.ids[NO_ROW]], 1),
    "make_due read": lambda connection, rows, _: _make_due(connection, rows, Reason.READ),
    "make_due forced": lambda connection, rows, _: _make_due(connection, rows, Reason.FORCED),
    "make_due manual": lambda connection, rows, _: _make_due(connection, rows, Reason.MANUAL),
    "make_deferred_due": lambda connection, _, __: make_deferred_due(connection),
    "promote": _each(lambda connection, one: promote_one(connection, "instagram", one, only_if="TRUE")),
    "replan": _replan,
    "claim": _claim,
    "release_claim": lambda connection, rows, _: release_claim(connection, rows.jobs()),
    "start": lambda connection, rows, _: _start(connection, rows),
    "extend": lambda connection, rows, _: _extend(connection, rows),
    "finish": _finish,
    "block": _each(lambda connection, account: block(connection, "ws_1", account, "Reconnect.")),
    "unblock": _each(lambda connection, account: unblock(connection, "ws_1", account)),
    "id_arrived": lambda connection, rows, _: ingest.id_arrived(connection, list(rows.ids.values()), 0),
    "unquarantine": lambda connection, _, __: unquarantine(connection, None, unreadable="Reconnect."),
    "delete": _delete,
}
PRIORITY: Final = {"finish": 1, "block": 1, "unblock": 1, "id_arrived": 1, "unquarantine": 1}
"""The rows' priority before a transition that may lower it or must keep it; 0 before the others."""
ASKS_PRIORITY: Final = {"insert", "make_due forced", "make_due manual"}
"""Transitions that the tests call for priority 1."""


def table() -> Iterator[Line]:
    """Yield the lines of the table of transitions in the docstring of the package."""
    _, lines = (shared.refresh_state.__doc__ or "").split("----\n", 1)
    for line in lines.partition("\n\n")[0].splitlines():
        name, states, to, *effects = re.split(r"\s{2,}", line.strip())
        yield Line(
            name, frozenset(_states(states)), (to,) if to == NO_ROW else tuple(to.split()), tuple(effects)
        )


def _states(named: str) -> Iterator[str]:
    if named in {"all", "all but quarantined"}:
        yield from (state for state in STATES if named == "all" or state != "quarantined")
    elif named == NO_ROW:
        yield NO_ROW
    else:
        for name in named.split():
            names = {"waiting": {"later", "due"}}.get(name, {name})
            yield from (state for state in STATES if names & set(state.split()))


LINES: Final = tuple(table())


@pytest.fixture
def rows(harness: Harness) -> Rows:
    """Return a row in every state, each of an account of its own, and a publication without a row."""
    return Rows(
        {state: harness.publications(harness.account(account_of(state)))[0] for state in [*STATES, NO_ROW]}
    )


RESET: Final = text("""
INSERT INTO refresh_state (publication_id, account_id, reason, next_run_at, claimed_at, claim_seq, attempts,
                           unfinished, priority)
SELECT id, account_id,
       CASE WHEN state IN ('claimed', 'expired') THEN 'claimed' ELSE split_part(state, ' ', 1) END,
       CASE WHEN state = ANY(:polled_no_more) THEN NULL
            WHEN state = 'expired' OR state LIKE '% due' THEN now() - interval '1 minute'
            ELSE now() + interval '1 hour' END,
       CASE WHEN state IN ('claimed', 'expired') THEN now() - interval '2 minutes' END,
       :claim_seq, 2, CASE WHEN state LIKE '% %' THEN 0 ELSE 1 END, :priority
  FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[])) AS s (id, state)
  JOIN publications p USING (id)
""")


def reset(connection: Connection, rows: Rows, priority: int, to: str) -> None:
    """Bring every row into its state; the accounts and ids are such that a row may end in ``to``."""
    connection.execute(text("DELETE FROM refresh_state"))
    connection.execute(
        text("UPDATE accounts SET state = :state"), {"state": "disconnected" if to == "blocked" else "active"}
    )
    connection.execute(
        text("UPDATE publications SET platform_post_id = CASE WHEN :known THEN id::text END"),
        {"known": to != "stopped"},
    )
    states = {state: one for state, one in rows.ids.items() if state != NO_ROW}
    connection.execute(
        RESET,
        {
            "ids": list(states.values()),
            "states": list(states),
            "polled_no_more": list(POLLED_NO_MORE),
            "claim_seq": rows.claim_seq,
            "priority": priority,
        },
    )


def stored(connection: Connection, rows: Rows) -> dict[str, Any]:
    """Return the stored row of each state, and whether it is due."""
    rows_after = connection.execute(text("SELECT *, next_run_at <= now() AS due FROM refresh_state"))
    states = {publication_id: state for state, publication_id in rows.ids.items()}
    return {states[row.publication_id]: row for row in rows_after}


def expected(line: Line, to: str, before: Any) -> tuple[Any, ...]:
    """Return reason, claim_seq, attempts, unfinished and priority of a row after its transition."""
    reason = before.reason if to == "same" else to
    given = {"attempts": ATTEMPTS, "priority": int(line.name in ASKS_PRIORITY)}
    values = []
    for name, effect in zip(("claim_seq", "attempts", "unfinished", "priority"), line.effects, strict=True):
        old, new = getattr(before, name, 0), given.get(name, 0)
        by_word = {"=": old, "+1": old + 1, "max": max(old, new), "set": new}
        values.append(int(effect) if effect.isdigit() else by_word[effect])
    return (reason, *values)


def test_transition_changes_the_rows_that_the_table_names_and_no_others(harness: Harness, rows: Rows) -> None:
    with harness.engine.connect() as connection:
        for name in OPERATIONS:
            lines = [line for line in LINES if line.name == name]
            for to in (to for line in lines for to in line.to):
                reset(connection, rows, PRIORITY.get(name, 0), to)
                before = stored(connection, rows)
                OPERATIONS[name](connection, rows, to)
                after = stored(connection, rows)
                connection.rollback()
                for state in rows.ids:
                    check(name, state, to, before.get(state), after.get(state))


def check(name: str, state: str, to: str, before: Any, after: Any) -> None:
    """Assert that a transition that should end in ``to`` did to the row of a state what the table says."""
    lines = [line for line in LINES if line.name == name and state in line.states]
    line = next((line for line in lines if to in line.to), next(iter(lines), None))
    if line is None:
        assert (name, state, after) == (name, state, before)
        return
    end = to if to in line.to else line.to[0]
    if end == NO_ROW:
        assert (name, state, after) == (name, state, None)
        return
    actual = (after.reason, after.claim_seq, after.attempts, after.unfinished, after.priority)
    assert (name, state, *actual) == (name, state, *expected(line, end, before))
    ended = after.reason in POLLED_NO_MORE
    keeps_claim = name.startswith("make_due") and state in {"claimed", "expired"}
    assert (name, state, after.next_run_at is None) == (name, state, ended)
    assert (name, state, after.claimed_at is not None) == (
        name,
        state,
        after.reason == "claimed" or keeps_claim,
    )
    assert not (after.due and after.reason == "claimed"), (name, state)


def test_transition_of_another_claim_changes_no_row(harness: Harness, rows: Rows) -> None:
    with harness.engine.begin() as connection:
        reset(connection, rows, 0, "stale")
        before = stored(connection, rows)
        for off_by in (-1, 1):
            release_claim(connection, rows.jobs(off_by=off_by))
            _start(connection, rows, off_by)
            _extend(connection, rows, off_by)
            _finish(connection, rows, "stale", off_by)

        assert stored(connection, rows) == before


def test_table_names_every_transition() -> None:
    assert {line.name for line in LINES} == set(OPERATIONS)
