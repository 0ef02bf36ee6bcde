"""What operators do: pauses replaced and lifted with the rows they held, releases, re-syncs, and the log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.operations import actions
from shared.operations.actions import Operator, Scope
from shared.quota.pauses import UNTIL_RESUMED
from shared.vocabulary import Platform
from tests.harness import Harness
from tests.servers import connect

ADA = Operator("ada", "command")
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(hours=3)
MINUTE = timedelta(minutes=1)


def log(harness: Harness) -> list[tuple[Any, ...]]:
    with harness.engine.connect() as connection:
        acts = actions.acts(connection)
    return [(one.act, one.subject, one.reason, one.rows, one.ended_at is not None) for one in reversed(acts)]


def held(harness: Harness, account: str, *, until: datetime | None, **state: Any) -> int:
    """Store a row that a pause until then has put off."""
    harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
    (one,) = harness.publications(account, next_run_at=until, **{"reason": "paused", **state})
    return one


def is_due(harness: Harness, one: int) -> bool:
    return harness.state(one).next_run_at is not None and harness.state(one).wait <= timedelta()


def pauses(harness: Harness) -> list[tuple[Any, ...]]:
    rows = harness.execute(
        "SELECT platform, kind, subject, paused_until, reason, refusals FROM pauses"
        " ORDER BY kind, platform, subject"
    )
    return [tuple(row) for row in rows]


def test_a_pause_is_replaced_and_its_rows_do_not_wait_for_the_old_end(harness: Harness) -> None:
    account = harness.account("acc_1")
    with harness.engine.begin() as connection:
        actions.pause(connection, ADA, Scope(account_id="acc_3"), "another", LATER)
        actions.pause(connection, ADA, Scope(account_id=account), "first", LATER)
    harness.execute("UPDATE pauses SET refusals = 5, paused_at = :at", at=NOW)
    harness.account("acc_2")
    ids = [held(harness, account, until=LATER), held(harness, "acc_2", until=LATER)]

    for reason, until in (("same end", LATER), ("longer", LATER + MINUTE)):
        with harness.engine.begin() as connection:
            actions.pause(connection, ADA, Scope(account_id=account), reason, until)
        assert [is_due(harness, one) for one in ids] == [False, False]
    with harness.engine.begin() as connection:
        actions.pause(connection, ADA, Scope(account_id=account), "shorter", LATER - MINUTE)

    assert [is_due(harness, one) for one in ids] == [True, False]
    assert pauses(harness)[0] == ("*", "operator_account", "acc_1", LATER - MINUTE, "shorter", 1)
    assert harness.execute("SELECT paused_at > :at FROM pauses WHERE subject = 'acc_1'", at=NOW) == [(True,)]
    ends = (LATER - MINUTE).isoformat().replace("+00:00", "Z")
    assert log(harness)[-1] == ("pause", {"account": "acc_1", "until": ends}, "shorter", None, True)


def test_a_pause_without_an_end_ends_at_no_date(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        actions.pause(connection, ADA, Scope(platform=Platform.X, workspace_id="ws_1"), "a wish")

    assert pauses(harness) == [("x", "operator_workspace", "ws_1", UNTIL_RESUMED, "a wish", 1)]
    assert log(harness) == [("pause", {"platform": "x", "workspace": "ws_1"}, "a wish", None, True)]


def test_a_resume_lifts_its_own_pause_makes_its_rows_due_and_wakes_the_scheduler(
    harness: Harness, database_url: str
) -> None:
    account = harness.account("acc_1")
    with harness.engine.begin() as connection:
        for scope, end in (
            (Scope(account_id=account), LATER),
            (Scope(platform=Platform.X), LATER + 5 * MINUTE),
            (Scope(workspace_id="ws_1"), None),
        ):
            actions.pause(connection, ADA, scope, "a wish", end)
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('*', 'account', 'acc_1', :until, 'a limit')",
        until=LATER,
    )
    harness.account("acc_2", Platform.X, workspace_id="ws_2")
    mine = held(harness, account, until=LATER + MINUTE / 2)
    other = held(harness, "acc_2", until=LATER + 5 * MINUTE)
    retrying = held(harness, account, until=LATER, reason="retry")

    with connect(database_url) as listener:
        listener.execute("LISTEN dravo_due")
        with harness.engine.begin() as connection:
            assert actions.resume(connection, ADA, Scope(account_id="acc_9")) == 0
            assert actions.resume(connection, ADA, Scope(account_id=account), "over") == 1
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1

    assert [is_due(harness, one) for one in (mine, other, retrying)] == [True, False, False]
    assert [kind for _, kind, *_ in pauses(harness)] == ["account", "operator_platform", "operator_workspace"]
    assert log(harness)[3:] == [("resume", {"account": "acc_1"}, "over", None, True)]

    with harness.engine.begin() as connection:
        assert actions.resume(connection, ADA, Scope()) == 2
    assert [is_due(harness, one) for one in (mine, other, retrying)] == [True, True, False]
    assert [kind for _, kind, *_ in pauses(harness)] == ["account"], "a platform's own pause stands"
    assert log(harness)[4:] == [("resume", {"all": "all"}, None, None, True)]


def test_a_release_lets_quarantined_rows_be_tried_again_and_no_other(harness: Harness) -> None:
    harness.account("acc_1")
    harness.account("acc_dead", state="requires_reconnect")
    poisoned: dict[str, Any] = {
        "until": None,
        "reason": "quarantined",
        "attempts": 5,
        "unfinished": 6,
        "claim_seq": 4,
        "claimed_at": NOW,
    }
    first, second, third = (held(harness, "acc_1", **poisoned) for _ in range(3))
    dead = held(harness, "acc_dead", **poisoned)
    stopped = held(harness, "acc_1", until=None, reason="stopped")
    in_flight = held(harness, "acc_1", until=LATER, reason="quarantined")

    with harness.engine.begin() as connection:
        now = connection.exec_driver_sql("SELECT now()").scalar_one()
        assert actions.release(connection, ADA, [second, first, first, stopped, in_flight]) == [
            first,
            second,
        ]
        assert actions.release(connection, ADA, []) == []
    states = {one: harness.state(one) for one in (first, third, stopped, in_flight)}
    row = states[first]
    assert (row.next_run_at, row.reason, row.attempts, row.unfinished, row.claimed_at, row.claim_seq) == (
        now,
        "manual",
        0,
        0,
        None,
        5,
    )
    assert [states[one].reason for one in (third, stopped, in_flight)] == [
        "quarantined",
        "stopped",
        "quarantined",
    ]

    with harness.engine.begin() as connection:
        assert actions.release(connection, ADA, None) == [third, dead]
    assert (harness.state(dead).next_run_at, harness.state(dead).reason) == (None, "blocked")
    assert log(harness) == [
        ("release", {"publications": [first, second]}, None, 2, True),
        ("release", {"all": "all"}, None, 2, True),
    ]


def test_one_publication_is_re_synced_if_it_can_be_asked_for(harness: Harness) -> None:
    harness.account("acc_1")
    harness.account("acc_dead", state="disconnected")
    known = held(harness, "acc_1", until=LATER, reason="stale")
    stopped = held(harness, "acc_1", until=None, reason="stopped")
    blocked = held(harness, "acc_1", until=None, reason="blocked")
    poison = held(harness, "acc_1", until=None, reason="quarantined")
    dead = held(harness, "acc_dead", until=LATER, reason="stale")
    publishing = held(harness, "acc_1", until=LATER, reason="processing")
    harness.execute(
        "UPDATE publications SET publish_id = 'v1', platform_post_id = NULL WHERE id = :id", id=publishing
    )
    unknown = held(harness, "acc_1", until=None, reason="stopped")
    harness.execute("UPDATE publications SET platform_post_id = NULL WHERE id = :id", id=unknown)
    harness.execute(
        "UPDATE publications SET publish_id = 'v1', platform_post_id = NULL WHERE id = :id", id=publishing
    )

    with harness.engine.begin() as connection:
        asked = [
            actions.resync_one(connection, ADA, one)
            for one in (known, stopped, publishing, blocked, poison, dead, unknown, 10**9)
        ]

    assert asked == [True, True, True, False, False, False, False, False]
    assert [is_due(harness, one) for one in (known, stopped, publishing, blocked, poison, dead)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert harness.state(known).priority == 1
    assert log(harness) == [
        ("resync", {"publications": [one]}, None, rows, True)
        for one, rows in (
            (known, 1),
            (stopped, 1),
            (publishing, 1),
            (blocked, 0),
            (poison, 0),
            (dead, 0),
            (unknown, 0),
        )
    ]


def test_the_log_keeps_who_did_what_how_far_and_in_which_order(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        first = actions.begin_resync(connection, ADA, {"platform": "x"}, "asked by support")
        second = actions.begin_resync(connection, Operator("bob", "page"), {"all": "all"})
        begun = actions.act_of(connection, first)
        actions.note_progress(connection, first, rows=10, last=7)
        under_way = actions.act_of(connection, first)
        actions.note_progress(connection, first, rows=12, last=None, ended=True)
        done = actions.act_of(connection, first)
        untouched = actions.act_of(connection, second)
        assert actions.act_of(connection, 10**9) is None
        assert [one.act_id for one in actions.acts(connection)] == [second, first]
        assert [one.act_id for one in actions.acts(connection, most=1)] == [second]
        assert [one.act_id for one in actions.acts(connection, before=second)] == [first]

    assert begun is not None
    assert under_way is not None
    assert done is not None
    assert untouched is not None
    assert (begun.operator, begun.via, begun.act, begun.subject) == (
        "ada",
        "command",
        "resync",
        {"platform": "x"},
    )
    assert (begun.reason, begun.rows, begun.last, begun.ended_at) == ("asked by support", None, None, None)
    assert (under_way.rows, under_way.last, under_way.ended_at) == (10, 7, None)
    assert (done.rows, done.last, done.ended_at is not None) == (12, None, True)
    assert (untouched.operator, untouched.rows, untouched.ended_at) == ("bob", None, None)


@pytest.mark.parametrize(
    ("scope", "key", "told"),
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
def test_a_scope_has_one_pause(scope: Scope, key: tuple[str, str, str], told: dict[str, str]) -> None:
    assert scope.key == dict(zip(("platform", "kind", "subject"), key, strict=True))
    assert scope.told == told


@pytest.mark.parametrize(
    ("user", "sudo", "name"),
    [
        ("ada", None, "ada on host"),
        ("root", "ada", "root (sudo by ada) on host"),
        ("ada", "ada", "ada on host"),
    ],
)
def test_an_operator_at_a_terminal_is_the_user_and_who_became_it(
    monkeypatch: pytest.MonkeyPatch, user: str, sudo: str | None, name: str
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: user)
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    monkeypatch.delenv("SUDO_USER", raising=False)
    if sudo:
        monkeypatch.setenv("SUDO_USER", sudo)

    assert Operator.at_terminal() == Operator(name, "command")
