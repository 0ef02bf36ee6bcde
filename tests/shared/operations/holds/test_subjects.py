"""What holds a platform, an account and a workspace back, who set it, and what ages meanwhile."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.operations.audit_log import Operator
from shared.operations.holds.subjects import SubjectKind, SubjectState, find_subject, subject_state
from shared.operations.pause import Scope, pause_scope
from shared.vocabulary import Platform
from tests.harness import Harness

ANNA = Operator("anna on host", "command")
NOW = datetime.now(UTC)


def state(harness: Harness, kind: SubjectKind, name: str) -> SubjectState:
    with harness.engine.connect() as connection:
        return subject_state(connection, kind, name)


def pause(harness: Harness, kind: str, subject: str = "", **columns: Any) -> None:
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('x', :kind, :subject, now() + interval '1 hour', 'A limit.')",
        kind=kind,
        subject=subject,
        **columns,
    )


def test_names_of_platforms_accounts_and_workspaces_are_found(harness: Harness) -> None:
    harness.account("acc_1", workspace_id="ws_7")

    with harness.engine.connect() as connection:
        assert find_subject(connection, "x") == ("platform", "x")
        assert find_subject(connection, "acc_1") == ("account", "acc_1")
        assert find_subject(connection, "ws_7") == ("workspace", "ws_7")
        assert find_subject(connection, "nobody") is None


def test_nothing_holds_an_active_account_and_what_ages_is_counted(harness: Harness) -> None:
    harness.publications(harness.account("acc_1", Platform.X), 2)
    harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
    harness.publications("acc_1", 3, reason="stale", next_run_at=NOW + timedelta(hours=1))
    harness.execute("UPDATE publications SET platform_post_id = 'pq_' || id")
    harness.publications("acc_1", 1, reason="stopped", next_run_at=None)

    account = state(harness, "account", "acc_1")

    assert (account.holds, account.publications, account.ageing) == ((), 6, 2)
    assert account.overdue_seconds is not None
    assert 50 < account.overdue_seconds < 600
    assert account.to_do == "Nothing: nothing holds it back."


def test_operators_pause_names_who_placed_it_at_every_level(harness: Harness) -> None:
    harness.account("acc_1", Platform.X)
    with harness.engine.begin() as connection:
        pause_scope(connection, ANNA, Scope(platform=Platform.X), "their wish")

    names: dict[SubjectKind, str] = {"platform": "x", "account": "acc_1", "workspace": "ws_1"}
    for kind, name in names.items():
        (hold,) = state(harness, kind, name).holds
        assert (hold.set_by, hold.sentence, hold.until) == ("anna on host", "their wish", None)
        assert "`dravo resume --platform x`" in hold.to_do


def test_holds_of_many_accounts_are_one_and_what_needs_an_operator_is_first(harness: Harness) -> None:
    for number in range(3):
        harness.account(f"acc_{number}", Platform.X)
        pause(harness, "account", f"acc_{number}")
    pause(harness, "credits")
    harness.account("acc_9", Platform.X, state="requires_reconnect", state_reason="Log in again.")

    platform = state(harness, "platform", "x")

    assert [(hold.cause, hold.scope) for hold in platform.holds] == [
        ("credits", "X"),
        ("requires_reconnect", "account acc_9"),
        ("account", "3 accounts"),
    ]
    assert platform.to_do.startswith("An operator must add credits")
    assert [hold.cause for hold in state(harness, "workspace", "ws_1").holds] == [
        "credits",
        "requires_reconnect",
        "account",
    ]
    assert {hold.cause for hold in state(harness, "account", "acc_9").holds} == {
        "credits",
        "requires_reconnect",
    }
