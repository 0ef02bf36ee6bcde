"""Operators' pauses are placed, replaced and lifted together with the rows that they deferred."""

from typing import Any

import pytest

from shared.operations.pause import Scope, pause_scope, resume_scope
from shared.quota.pauses import UNTIL_RESUMED, PauseKey, try_now
from shared.vocabulary import PauseKind, Platform
from tests.harness import Harness
from tests.servers import connect
from tests.shared.operations.rows import ADA, LATER, MINUTE, NOW, deferred_row, is_due, log


def pauses(harness: Harness) -> list[tuple[Any, ...]]:
    rows = harness.execute(
        "SELECT platform, kind, subject, paused_until, reason, refusals FROM pauses"
        " ORDER BY kind, platform, subject"
    )
    return [tuple(row) for row in rows]


def test_pause_is_replaced_and_its_rows_do_not_wait_for_the_old_end(harness: Harness) -> None:
    account = harness.account("acc_1")
    with harness.engine.begin() as connection:
        pause_scope(connection, ADA, Scope(account_id="acc_3"), "another", LATER)
        pause_scope(connection, ADA, Scope(account_id=account), "first", LATER)
    harness.execute("UPDATE pauses SET refusals = 5, paused_at = :at", at=NOW)
    harness.account("acc_2")
    ids = [deferred_row(harness, account, until=LATER), deferred_row(harness, "acc_2", until=LATER)]

    for reason, until in (("same end", LATER), ("longer", LATER + MINUTE)):
        with harness.engine.begin() as connection:
            pause_scope(connection, ADA, Scope(account_id=account), reason, until)
        assert [is_due(harness, one) for one in ids] == [False, False]
    with harness.engine.begin() as connection:
        pause_scope(connection, ADA, Scope(account_id=account), "shorter", LATER - MINUTE)

    assert [is_due(harness, one) for one in ids] == [True, False]
    assert pauses(harness)[0] == ("*", "operator_account", "acc_1", LATER - MINUTE, "shorter", 1)
    assert harness.execute("SELECT paused_at > :at FROM pauses WHERE subject = 'acc_1'", at=NOW) == [(True,)]
    ends = (LATER - MINUTE).isoformat().replace("+00:00", "Z")
    assert log(harness)[-1] == ("pause", {"account": "acc_1", "until": ends}, "shorter", None, True)


def test_pause_without_end_lasts_until_resumed(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        pause_scope(connection, ADA, Scope(platform=Platform.X, workspace_id="ws_1"), "a wish")

    assert pauses(harness) == [("x", "operator_workspace", "ws_1", UNTIL_RESUMED, "a wish", 1)]
    assert log(harness) == [("pause", {"platform": "x", "workspace": "ws_1"}, "a wish", None, True)]


def test_resume_lifts_its_own_pause_makes_rows_due_and_notifies_the_scheduler(
    harness: Harness, database_url: str
) -> None:
    account = harness.account("acc_1")
    with harness.engine.begin() as connection:
        for scope, end in (
            (Scope(account_id=account), LATER),
            (Scope(platform=Platform.X), LATER + 5 * MINUTE),
            (Scope(workspace_id="ws_1"), None),
        ):
            pause_scope(connection, ADA, scope, "a wish", end)
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('*', 'account', 'acc_1', :until, 'a limit')",
        until=LATER,
    )
    harness.account("acc_2", Platform.X, workspace_id="ws_2")
    mine = deferred_row(harness, account, until=LATER + MINUTE / 2)
    other = deferred_row(harness, "acc_2", until=LATER + 5 * MINUTE)
    retrying = deferred_row(harness, account, until=LATER, reason="retry")

    with connect(database_url) as listener:
        listener.execute("LISTEN dravo_due")
        with harness.engine.begin() as connection:
            assert resume_scope(connection, ADA, Scope(account_id="acc_9")) == 0
            assert resume_scope(connection, ADA, Scope(account_id=account), "over") == 1
        assert len(list(listener.notifies(timeout=30, stop_after=1))) == 1

    assert [is_due(harness, one) for one in (mine, other, retrying)] == [True, False, False]
    assert [kind for _, kind, *_ in pauses(harness)] == ["account", "operator_platform", "operator_workspace"]
    assert log(harness)[3:] == [("resume", {"account": "acc_1"}, "over", None, True)]

    with harness.engine.begin() as connection:
        assert resume_scope(connection, ADA, Scope()) == 2
    assert [is_due(harness, one) for one in (mine, other, retrying)] == [True, True, False]
    assert [kind for _, kind, *_ in pauses(harness)] == ["account"], "a platform's own pause stands"
    assert log(harness)[4:] == [("resume", {"all": "all"}, None, None, True)]


@pytest.mark.parametrize(
    ("scope", "key", "audited"),
    [
        (Scope(), ("*", "operator_platform", ""), {"all": "all"}),
        (Scope(Platform.X), ("x", "operator_platform", ""), {"platform": "x"}),
        (Scope(account_id="a"), ("*", "operator_account", "a"), {"account": "a"}),
        (Scope(workspace_id="w"), ("*", "operator_workspace", "w"), {"workspace": "w"}),
        (
            Scope(Platform.X, workspace_id="w"),
            ("x", "operator_workspace", "w"),
            {"workspace": "w", "platform": "x"},
        ),
    ],
)
def test_scope_has_one_pause_key(scope: Scope, key: tuple[str, str, str], audited: dict[str, str]) -> None:
    assert scope.key == dict(zip(("platform", "kind", "subject"), key, strict=True))
    assert scope.audited == audited


def test_stop_that_is_tried_ends_now_and_is_in_force_no_more(harness: Harness) -> None:
    for subject, left in (("acc_1", 1), ("acc_2", 1), ("acc_3", -1)):
        harness.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            " VALUES ('x', 'blocked', :subject, now() + :left * interval '1 hour', '')",
            subject=subject,
            left=left,
        )
    one, ended = (PauseKey("x", PauseKind.BLOCKED, subject) for subject in ("acc_1", "acc_3"))

    with harness.engine.begin() as connection:
        assert try_now(connection, [one, ended, one]) == [one]

    in_force = harness.execute("SELECT subject FROM pauses WHERE paused_until > now()")
    assert [row.subject for row in in_force] == ["acc_2"]
    assert len(harness.execute("SELECT FROM pauses")) == 3
