"""Trials of stops: which stops a scope covers, which publication is called, and what became of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.operations.pause import Scope
from shared.operations.trial import NothingToTryError, Trial, trial_result, try_stops
from shared.quota.pauses import PauseKey
from shared.vocabulary import PauseKind, Platform
from tests.harness import Harness
from tests.shared.operations.rows import ADA, log

HOUR = timedelta(hours=1)
CREDITS = PauseKey("x", PauseKind.CREDITS, "")
BLOCKED = {name: PauseKey("facebook", PauseKind.BLOCKED, name) for name in ("acc_f1", "acc_f2")}


def stop(harness: Harness, key: PauseKey, *, until: timedelta = HOUR, reason: str = "why") -> None:
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES (:platform, :kind, :subject, now() + CAST(:until AS interval), :reason)",
        platform=key.platform,
        kind=key.kind.value,
        subject=key.subject,
        until=until,
        reason=reason,
    )


def attempt(harness: Harness, scope: Scope) -> Trial:
    with harness.engine.begin() as connection:
        return try_stops(connection, ADA, scope)


def row(harness: Harness, account_id: str, hours: float | None, **state: Any) -> int:
    at = None if hours is None else datetime.now(UTC) + hours * HOUR
    (one,) = harness.publications(account_id, next_run_at=at, **{"reason": "paused", **state})
    harness.execute("UPDATE publications SET post_id = 'post_' || id, platform_post_id = 'pp_' || id")
    return one


def test_row_that_waits_longest_and_can_be_called_is_the_probe(harness: Harness) -> None:
    for name, platform, state in (
        ("acc_1", Platform.X, "active"),
        ("acc_2", Platform.X, "active"),
        ("acc_held", Platform.X, "active"),
        ("acc_dead", Platform.X, "disconnected"),
        ("acc_f1", Platform.FACEBOOK, "active"),
    ):
        harness.account(name, platform, state=state)
    row(harness, "acc_1", 5)
    row(harness, "acc_2", 3)
    first = row(harness, "acc_2", 2)
    row(harness, "acc_2", None, reason="stopped")
    row(harness, "acc_2", 0.5, claimed_at=datetime.now(UTC), reason="claimed")
    row(harness, "acc_2", 1, unfinished=2)
    for name in ("acc_held", "acc_dead", "acc_f1"):
        row(harness, name, -3)
    stop(harness, CREDITS)
    stop(harness, PauseKey("x", PauseKind.ACCOUNT, "acc_held"))

    trial = attempt(harness, Scope(Platform.X))

    assert trial.probes == {CREDITS: first}
    state = harness.state(first)
    assert (state.reason, state.wait <= timedelta(), state.priority) == ("manual", True, 1)
    assert log(harness) == [("try", {"platform": "x"}, None, 1, True)]


@pytest.mark.parametrize(
    ("scope", "tried"),
    [
        (Scope(), {CREDITS, *BLOCKED.values()}),
        (Scope(Platform.X), {CREDITS}),
        (Scope(Platform.FACEBOOK), set(BLOCKED.values())),
        (Scope(account_id="acc_f2"), {BLOCKED["acc_f2"]}),
        (Scope(Platform.FACEBOOK, account_id="acc_f1"), {BLOCKED["acc_f1"]}),
    ],
)
def test_scope_covers_its_stops_alone(harness: Harness, scope: Scope, tried: set[PauseKey]) -> None:
    for name, platform in (
        ("acc_x", Platform.X),
        ("acc_f1", Platform.FACEBOOK),
        ("acc_f2", Platform.FACEBOOK),
    ):
        harness.account(name, platform)
        row(harness, name, 1)
    for key in (CREDITS, *BLOCKED.values()):
        stop(harness, key)

    probes = attempt(harness, scope).probes

    assert probes.keys() == tried
    accounts = dict(map(tuple, harness.execute("SELECT id, account_id FROM publications")))
    assert {accounts[one] for key, one in probes.items() if key in BLOCKED.values()} == {
        key.subject for key in tried & set(BLOCKED.values())
    }


def test_nothing_is_tried_where_nothing_stands_or_nothing_can_be_called(harness: Harness) -> None:
    harness.account("acc_x", Platform.X)
    stop(harness, PauseKey("x", PauseKind.APP, ""))
    for scope, sentence in ((Scope(Platform.X), "nothing on X waits"), (Scope(), "nothing on any platform")):
        with pytest.raises(NothingToTryError, match=sentence):
            attempt(harness, scope)
    stop(harness, CREDITS)
    with pytest.raises(NothingToTryError, match="X cannot be called now"):
        attempt(harness, Scope(Platform.X))
    with pytest.raises(NothingToTryError, match="account acc_9"):
        attempt(harness, Scope(account_id="acc_9"))
    assert log(harness) == []


def test_stop_is_accepted_when_it_is_gone_and_refused_when_it_stands_again(harness: Harness) -> None:
    stop(harness, CREDITS, reason="no credits")
    stop(harness, BLOCKED["acc_f1"], until=-HOUR)
    with harness.engine.begin() as connection:
        result = trial_result(connection, [CREDITS, *BLOCKED.values()])

    assert (result.accepted, result.refused, result.waiting, result.reasons) == (
        (BLOCKED["acc_f2"],),
        (CREDITS,),
        (BLOCKED["acc_f1"],),
        ("no credits",),
    )
