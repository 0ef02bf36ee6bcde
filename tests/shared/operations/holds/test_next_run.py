"""One answer to when a publication really runs and why not now, for each thing that may hold it back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.operations.holds.for_clients import sentence_for_clients
from shared.operations.holds.hold import Hold, resume_command, scope_name
from shared.operations.holds.next_run import REASONS, NextRun, RowState, explain_reason, next_run
from shared.quota import spending
from shared.quota.pauses import UNTIL_RESUMED, PauseInForce, PauseKey
from shared.vocabulary import PauseKind, Reason

NOW = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
FRESH = RowState(
    publication_id=7,
    post_id="post_7",
    account_id="acc_1",
    platform="x",
    has_id=True,
    state="active",
    next_run_at=NOW + HOUR,
    reason="stale",
    claimed_at=None,
    priority=0,
)
DUE = replace(FRESH, next_run_at=NOW - HOUR)


def pause(
    kind: PauseKind, until: datetime = NOW + 3 * HOUR, subject: str = "", platform: str = "x"
) -> PauseInForce:
    return PauseInForce(platform, kind, subject, NOW - HOUR, until, "The reason.", 1)


def test_fresh_row_runs_when_it_is_stale_and_nothing_holds_it() -> None:
    run = next_run(FRESH, [], NOW)

    assert (run.at, run.holds) == (NOW + HOUR, ())
    assert run.sentence == "its numbers are stale from then on"


def test_row_that_becomes_due_during_a_pause_runs_when_the_pause_ends() -> None:
    run = next_run(FRESH, [pause(PauseKind.APP)], NOW)

    assert run.at == NOW + 3 * HOUR
    assert run.sentence == "The reason"
    (hold,) = run.holds
    assert (hold.cause, hold.scope, hold.set_by) == ("app", "X", "X's limit")
    assert (hold.since, hold.until) == (NOW - HOUR, NOW + 3 * HOUR)


def test_pause_that_ends_before_the_row_is_due_does_not_hold_it() -> None:
    run = next_run(FRESH, [pause(PauseKind.APP, NOW + HOUR / 2)], NOW)

    assert (run.at, run.holds) == (NOW + HOUR, ())


def test_pause_without_end_leaves_the_run_open_and_names_who_lifts_it() -> None:
    paused = pause(PauseKind.OPERATOR_PLATFORM, UNTIL_RESUMED)

    run = next_run(DUE, [paused], NOW, operators={paused.key: "anna on host"})

    assert run.at is None
    assert run.holds[0].set_by == "anna on host"
    assert run.to_do == "An operator has paused it: `dravo resume --platform x` lifts it."


@pytest.mark.parametrize(("priority", "holds"), [(0, True), (1, False)])
def test_pause_of_background_work_holds_only_the_background_lane(*, priority: int, holds: bool) -> None:
    run = next_run(replace(DUE, priority=priority), [pause(PauseKind.BACKGROUND)], NOW)

    assert bool(run.holds) is holds
    assert run.at == (NOW + 3 * HOUR if holds else NOW - HOUR)


def test_stop_is_named_before_a_limit_that_ends_later() -> None:
    stop = pause(PauseKind.CREDITS, NOW + HOUR)

    run = next_run(DUE, [pause(PauseKind.APP, NOW + 5 * HOUR), stop], NOW)

    assert run.at == NOW + 5 * HOUR
    assert run.to_do.startswith("An operator must add credits")
    assert [hold.needs_operator for hold in run.holds] == [False, True]


def test_due_row_waits_for_a_worker_and_says_if_none_is_alive() -> None:
    fleet = Hold("no_worker", "everything", "No worker is alive.", "the fleet", None, None, "Start one.")

    assert next_run(DUE, [], NOW).sentence == "it is due and waits for a worker in the background lane"
    run = next_run(DUE, [], NOW, fleet=fleet)
    assert (run.at, run.sentence, run.to_do) == (None, "No worker is alive", "Start one.")


NO_WORKER = Hold("no_worker", "everything", "No worker is alive.", "the fleet", None, None, "Start one.")


@pytest.mark.parametrize(
    ("changes", "sentence", "to_do"),
    [
        ({}, "it is due and waits for a worker in the background lane", "Nothing: it is due"),
        ({"priority": 1}, "it is due and waits for a worker in the interactive lane", "Nothing: it is due"),
        ({"reason": "retry"}, "it is due and waits for a worker in the background lane", "Nothing: it is re"),
        (
            {"claimed_at": NOW - 2 * HOUR, "reason": "claimed"},
            "it is due and waits for a",
            "Nothing: a worker",
        ),
        ({"reason": "stopped", "detail": "Gone."}, "Gone", "Nothing; `dravo resync --post post_7`"),
        (
            {"reason": "quarantined", "detail": "Slow."},
            "its refresh started several times",
            "Look for its id",
        ),
    ],
)
def test_due_row_says_what_it_waits_for(changes: dict[str, Any], sentence: str, to_do: str) -> None:
    run = next_run(replace(DUE, **changes), [], NOW)

    assert run.sentence.startswith(sentence)
    assert run.to_do.startswith(to_do)


def test_missing_worker_holds_no_row_that_is_due_later_and_a_pause_no_reason_of_the_row() -> None:
    assert next_run(FRESH, [], NOW, fleet=NO_WORKER).holds == ()
    retried = next_run(replace(FRESH, reason="retry"), [pause(PauseKind.APP)], NOW, fleet=NO_WORKER)
    assert [hold.cause for hold in retried.holds] == ["app", "retry"]


def test_clients_read_the_stop_before_the_limit_and_no_word_of_operators() -> None:
    stopped = next_run(DUE, [pause(PauseKind.APP, NOW + 9 * HOUR), pause(PauseKind.CREDITS)], NOW)
    paused = next_run(DUE, [pause(PauseKind.OPERATOR_PLATFORM, UNTIL_RESUMED)], NOW)

    assert sentence_for_clients(stopped, "x", NOW).startswith(
        "not refreshed: X is not read for now; operators"
    )
    assert sentence_for_clients(paused, "x", NOW) == "not refreshed: refreshes are paused"


def test_claimed_row_is_under_way_whatever_is_paused() -> None:
    claimed = replace(FRESH, claimed_at=NOW, reason="claimed", next_run_at=NOW + timedelta(minutes=1))

    run = next_run(claimed, [pause(PauseKind.APP)], NOW)

    assert (run.at, run.sentence) == (NOW, "a worker is refreshing it")


@pytest.mark.parametrize(
    ("changes", "cause", "needs_operator"),
    [
        ({"state": "requires_reconnect", "state_reason": "Log in again."}, "requires_reconnect", False),
        ({"state": "disconnected"}, "disconnected", False),
        ({"has_id": False}, "no_id", True),
        ({"next_run_at": None, "reason": "quarantined"}, "quarantined", True),
        ({"next_run_at": None, "reason": "stopped", "detail": "Gone."}, "stopped", False),
    ],
)
def test_row_that_never_runs_by_itself_has_no_instant(
    changes: dict[str, Any], cause: str, *, needs_operator: bool
) -> None:
    run = next_run(replace(FRESH, **changes), [pause(PauseKind.APP)], NOW)

    assert run.at is None
    assert [(hold.cause, hold.needs_operator) for hold in run.holds] == [(cause, needs_operator)]
    assert run.to_do


@pytest.mark.parametrize(
    ("reason", "cause"),
    [("retry", "retry"), ("paused", "budget"), ("unconfirmed", "unconfirmed"), ("processing", "processing")],
)
def test_row_that_waits_for_its_own_reason_is_held_by_it(reason: str, cause: str) -> None:
    run = next_run(replace(FRESH, reason=reason, detail="It timed out."), [], NOW)

    (hold,) = run.holds
    assert (hold.cause, hold.scope, hold.sentence, hold.until) == (
        cause,
        "this publication",
        "It timed out.",
        NOW + HOUR,
    )
    assert run.at == NOW + HOUR


def test_deferred_row_is_held_by_the_pause_that_deferred_it() -> None:
    deferred = replace(FRESH, reason="paused", next_run_at=NOW + 3 * HOUR + timedelta(seconds=9))

    run = next_run(deferred, [pause(PauseKind.ACCOUNT, subject="acc_1")], NOW)

    assert [hold.scope for hold in run.holds] == ["account acc_1 on X"]
    assert run.at == deferred.next_run_at


def test_missing_id_explains_a_row_that_is_not_polled_alone() -> None:
    stopped = replace(DUE, reason="stopped", next_run_at=None)

    assert explain_reason(replace(stopped, has_id=False)) == "its id at the platform is not known yet"
    assert explain_reason(stopped) == "polling has ended"
    assert explain_reason(replace(DUE, reason="retry", has_id=False)) == REASONS[Reason.RETRY]


@pytest.mark.parametrize(
    ("at", "holds", "sentence"),
    [
        (HOUR, False, "the refresh is scheduled for 2026-11-26T05:00:00Z"),
        (-HOUR, False, "why; these are the last known values"),
        (HOUR, True, "not refreshed: a limit of X is reached; it is tried again from 2026-11-26T05:00:00Z"),
        (-HOUR, True, "not refreshed: a limit of X is reached"),
        (None, True, "not refreshed: a limit of X is reached"),
    ],
)
def test_clients_read_an_instant_only_if_it_lies_ahead(
    at: timedelta | None, *, holds: bool, sentence: str
) -> None:
    hold = Hold("app", "X", "The reason.", "X's limit", None, None, "Nothing.")
    run = NextRun(None if at is None else NOW + at, (hold,) if holds else (), "why", "Nothing.")

    assert sentence_for_clients(run, "x", NOW) == sentence


def test_every_reason_has_a_sentence_for_clients_without_operators_words() -> None:
    for reason in Reason:
        for ends in (None, NOW + HOUR):
            run = next_run(replace(FRESH, reason=reason.value, next_run_at=ends, detail="secret"), [], NOW)
            assert "secret" not in sentence_for_clients(run, "x", NOW)
    for kind in PauseKind:
        sentence = sentence_for_clients(next_run(DUE, [pause(kind)], NOW), "x", NOW)
        assert sentence.startswith("not refreshed: ")
        assert "The reason" not in sentence
        assert "2026-11-26T07:00:00Z" in sentence


@pytest.mark.parametrize(
    ("key", "scope", "command"),
    [
        (PauseKey("*", PauseKind.OPERATOR_PLATFORM, ""), "everything", "dravo resume --all"),
        (PauseKey("x", PauseKind.CREDITS, ""), "X", "dravo resume --platform x --try"),
        (
            PauseKey("facebook", PauseKind.BLOCKED, "acc_1"),
            "account acc_1 on Facebook",
            "dravo resume --platform facebook --account acc_1 --try",
        ),
        (
            PauseKey("*", PauseKind.OPERATOR_WORKSPACE, "ws_1"),
            "workspace ws_1",
            "dravo resume --workspace ws_1",
        ),
        (spending.PAUSE, "X", "dravo resume --platform x"),
    ],
)
def test_scope_and_command_of_a_pause(key: PauseKey, scope: str, command: str) -> None:
    assert (scope_name(key), resume_command(key)) == (scope, command)
