"""Pauses: prolonged, never shortened, and longer when the same limit is met right after relief."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from shared.operations.audit_log import Operator
from shared.operations.pause import Scope, pause_scope
from shared.quota.pauses import (
    BACKGROUND_NOT_PAUSED,
    NOT_PAUSED,
    PauseKey,
    end,
    lock_if_in_force,
    make_deferred_due,
    pause,
    pauses_in_force,
    pauses_of_accounts,
    shorten,
    stops,
)
from shared.vocabulary import PauseKind, Platform
from tests.harness import Harness

NOW = datetime.now(UTC)


def place(harness: Harness, until: datetime) -> datetime:
    with harness.engine.begin() as connection:
        return pause(
            connection,
            platform="linkedin",
            kind=PauseKind.ACCOUNT,
            subject="acc_1",
            until=until,
            reason="limit",
        )


def test_pause_is_extended_and_never_shortened(harness: Harness) -> None:
    place(harness, NOW + timedelta(hours=2))

    assert place(harness, NOW + timedelta(hours=1)) == NOW + timedelta(hours=2)
    assert place(harness, NOW + timedelta(hours=3)) == NOW + timedelta(hours=3)


# Of the accounts of `fleet`: whom a pause holds up.
EVERYBODY = {"acc_x", "acc_app", "acc_org", "acc_member", "acc_other"}
AFFECTED = [
    ("x", PauseKind.APP, "", {"acc_x", "acc_app"}),
    ("x", PauseKind.APP, "budget", {"acc_x", "acc_app"}),
    ("linkedin", PauseKind.ACCOUNT, "acc_org", {"acc_org"}),
    ("x", PauseKind.ACCOUNT, "acc_org", set()),
    ("linkedin", PauseKind.ENDPOINT, "", {"acc_org", "acc_member"}),
    ("linkedin", PauseKind.ENDPOINT, "memberCreatorPostAnalytics", {"acc_member"}),
    ("x", PauseKind.ENDPOINT, "tweets:app", {"acc_app"}),
    ("x", PauseKind.BREAKER, "tweets", {"acc_x"}),
    ("linkedin", PauseKind.BREAKER, "ugcPosts", set()),
    ("x", PauseKind.BACKGROUND, "", {"acc_x", "acc_app"}),
    ("x", PauseKind.BACKGROUND, "acc_x", {"acc_x"}),
    ("x", PauseKind.CREDITS, "", {"acc_x", "acc_app"}),
    ("x", PauseKind.MISCONFIGURED, "", {"acc_x", "acc_app"}),
    ("x", PauseKind.BLOCKED, "acc_x", {"acc_x"}),
    ("linkedin", PauseKind.OPERATOR_PLATFORM, "", {"acc_org", "acc_member"}),
    ("*", PauseKind.OPERATOR_PLATFORM, "", EVERYBODY),
    ("*", PauseKind.OPERATOR_ACCOUNT, "acc_x", {"acc_x"}),
    ("linkedin", PauseKind.OPERATOR_ACCOUNT, "acc_x", set()),
    ("*", PauseKind.OPERATOR_WORKSPACE, "ws_2", {"acc_other"}),
    ("x", PauseKind.OPERATOR_WORKSPACE, "ws_1", {"acc_x", "acc_app"}),
]


@pytest.fixture
def fleet(harness: Harness) -> Harness:
    harness.account("acc_x", Platform.X)
    harness.account("acc_app", Platform.X, sealed_access_token=None)
    harness.account("acc_org", Platform.LINKEDIN, kind="organization")
    harness.account("acc_member", Platform.LINKEDIN, kind="member")
    harness.account("acc_other", Platform.TIKTOK, workspace_id="ws_2")
    return harness


@pytest.mark.parametrize(("platform", "kind", "subject", "affected"), AFFECTED)
def test_pause_applies_to_its_subject_and_claims_skip_the_same_accounts(
    fleet: Harness, platform: str, kind: PauseKind, subject: str, affected: set[str]
) -> None:
    with fleet.engine.connect() as connection:
        until = datetime.now(UTC) + timedelta(hours=1)
        pause(connection, platform=platform, kind=kind, subject=subject, until=until, reason="limit")
        by_account = pauses_of_accounts(connection, sorted(EVERYBODY))
        condition = BACKGROUND_NOT_PAUSED if kind.background_only else NOT_PAUSED
        statement = f"SELECT account_id FROM accounts a WHERE {condition}"
        claimable = set(connection.execute(text(statement)).scalars())

    assert set(by_account) == affected
    assert all([one.kind for one in pauses] == [kind] for pauses in by_account.values())
    assert claimable == EVERYBODY - affected


def test_every_kind_of_pause_is_covered() -> None:
    assert {kind for _, kind, _, _ in AFFECTED} == set(PauseKind)


def test_worker_sees_pauses_of_every_endpoint_of_its_platform(fleet: Harness) -> None:
    fleet.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason) VALUES"
        " ('linkedin', 'endpoint', 'ugcPosts', now() + interval '1 hour', 'limit'),"
        " ('x', 'endpoint', 'tweets', now() + interval '1 hour', 'limit')"
    )

    with fleet.engine.connect() as connection:
        by_account = pauses_of_accounts(connection, ["acc_org", "acc_other"], of_job=True)

    assert {account: [one.subject for one in pauses] for account, pauses in by_account.items()} == {
        "acc_org": ["ugcPosts"]
    }


def test_ended_or_unknown_pause_applies_to_no_account(fleet: Harness) -> None:
    fleet.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason) VALUES"
        " ('*', 'operator_platform', '', now(), 'over'),"
        " ('*', 'of_a_newer_version', '', now() + interval '1 hour', 'unknown')"
    )

    with fleet.engine.connect() as connection:
        assert pauses_of_accounts(connection, sorted(EVERYBODY), of_job=True) == {}
        assert pauses_in_force(connection) == []


def test_pause_until_resumed_has_no_end(fleet: Harness) -> None:
    with fleet.engine.begin() as connection:
        pause_scope(connection, Operator("ada", "command"), Scope(account_id="acc_x"), "a wish")
        (by_account,) = pauses_of_accounts(connection, ["acc_x"])["acc_x"]

        assert by_account.ends_at is None
        assert pauses_in_force(connection) == [by_account]


def test_pause_counts_consecutive_refusals_and_keeps_its_start(harness: Harness) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=2)
    # When the pause that stands ends, seen from now; then what a refusal makes of it.
    cases = [
        (timedelta(hours=1), False, 3),
        (timedelta(), True, 3),
        (timedelta(minutes=-9, seconds=-55), True, 3),
        (timedelta(minutes=-10), True, 1),
    ]
    for left, begins_anew, refusals in cases:
        with harness.engine.connect() as connection:
            now = connection.exec_driver_sql("SELECT now()").scalar_one()
            connection.execute(
                text(
                    "INSERT INTO pauses (platform, kind, subject, paused_at, paused_until, reason, refusals)"
                    " VALUES ('x', 'account', 'acc_1', :began, :until, 'before', 2)"
                ),
                {"began": now - timedelta(days=1), "until": now + left},
            )
            names: dict[str, Any] = {
                "platform": "x",
                "kind": PauseKind.ACCOUNT,
                "subject": "acc_1",
                "reason": "again",
            }
            ends = pause(connection, **names, until=soon)
            (row,) = connection.exec_driver_sql("SELECT * FROM pauses").all()

        assert ends == max(soon, now + left)
        assert (row.paused_until, row.reason, row.refusals) == (ends, "again", refusals)
        assert row.paused_at == (now if begins_anew else now - timedelta(days=1))


def test_end_of_pause_makes_the_rows_due_that_it_deferred_and_no_others(harness: Harness) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    for account, at_platform, workspace in (
        ("acc_1", Platform.X, "ws_1"),
        ("acc_2", Platform.X, "ws_2"),
        ("acc_3", Platform.TIKTOK, "ws_1"),
    ):
        harness.account(account, at_platform, workspace_id=workspace)
        for number, (reason, at) in enumerate(
            (
                ("paused", later),
                ("retry", later),
                ("stale", later),
                ("paused", datetime(2026, 1, 1, tzinfo=UTC)),
            )
        ):
            harness.publications(account, reason=reason, next_run_at=at)
            harness.execute(f"UPDATE publications SET platform_post_id = platform_post_id || '_{number}'")
    cases = [
        ("*", PauseKind.OPERATOR_PLATFORM, "", {"acc_1", "acc_2", "acc_3"}),
        ("x", PauseKind.APP, "budget", {"acc_1", "acc_2"}),
        ("x", PauseKind.ENDPOINT, "tweets", {"acc_1", "acc_2"}),
        ("x", PauseKind.ACCOUNT, "acc_1", {"acc_1"}),
        ("x", PauseKind.BACKGROUND, "", {"acc_1", "acc_2"}),
        ("*", PauseKind.OPERATOR_ACCOUNT, "acc_3", {"acc_3"}),
        ("*", PauseKind.OPERATOR_WORKSPACE, "ws_1", {"acc_1", "acc_3"}),
        ("tiktok", PauseKind.OPERATOR_WORKSPACE, "ws_1", {"acc_3"}),
        ("tiktok", PauseKind.OPERATOR_WORKSPACE, "ws_2", set()),
    ]
    for platform, kind, subject, accounts in cases:
        with harness.engine.connect() as connection:
            count = make_deferred_due(connection, PauseKey(platform, kind, subject))
            due = connection.exec_driver_sql(
                "SELECT account_id, reason FROM refresh_state WHERE next_run_at = now()"
            ).all()

        assert (kind, {(row.account_id, row.reason) for row in due}) == (
            kind,
            {(account, "paused") for account in accounts},
        )
        assert count == len(due) == len(accounts)


def test_only_existing_pauses_are_ended(harness: Harness) -> None:
    place(harness, NOW + timedelta(hours=2))
    stands, unknown = (PauseKey("linkedin", PauseKind.ACCOUNT, one) for one in ("acc_1", "acc_2"))

    with harness.engine.begin() as connection:
        assert lock_if_in_force(connection, stands) == NOW + timedelta(hours=2)
        assert lock_if_in_force(connection, unknown) is None
        assert end(connection, [unknown, stands, stands]) == [stands]
        assert lock_if_in_force(connection, stands) is None
        assert end(connection, [stands]) == []


def store(harness: Harness, kind: PauseKind, subject: str, left: timedelta) -> None:
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_at, paused_until, reason, refusals)"
        " VALUES ('x', :kind, :subject, now() - interval '3 days', now() + :left, 'before', 2)",
        kind=kind.value,
        subject=subject,
        left=left,
    )


def test_job_sees_the_longest_pause_first_and_the_stops_of_its_account_that_are_tried(
    harness: Harness,
) -> None:
    harness.account("acc_1", Platform.X)
    ago = -timedelta(hours=1)
    for kind, subject, left in (
        (PauseKind.ENDPOINT, "soon", timedelta(hours=1)),
        (PauseKind.ENDPOINT, "late", timedelta(hours=2)),
        (PauseKind.ENDPOINT, "ended", ago),
        (PauseKind.ACCOUNT, "acc_1", ago),
        (PauseKind.CREDITS, "", ago),
        (PauseKind.BLOCKED, "acc_1", 2 * ago),
        (PauseKind.BLOCKED, "acc_2", ago),
    ):
        store(harness, kind, subject, left)

    with harness.engine.connect() as connection:
        (of_job,) = pauses_of_accounts(connection, ["acc_1"], of_job=True).values()

    assert [(one.kind, one.subject) for one in of_job] == [
        (PauseKind.ENDPOINT, "late"),
        (PauseKind.ENDPOINT, "soon"),
        (PauseKind.CREDITS, ""),
        (PauseKind.BLOCKED, "acc_1"),
    ]


def test_stop_that_has_ended_is_listed_for_a_day(harness: Harness) -> None:
    for subject, hours in (("acc_new", 9), ("acc_recent", -23), ("acc_old", -25)):
        store(harness, PauseKind.BLOCKED, subject, timedelta(hours=hours))
    store(harness, PauseKind.ACCOUNT, "acc_1", timedelta(hours=9))

    with harness.engine.connect() as connection:
        assert [one.subject for one in stops(connection)] == ["acc_new", "acc_recent"]


def test_stop_that_is_refused_again_goes_on_from_its_first_refusal(harness: Harness) -> None:
    store(harness, PauseKind.CREDITS, "", -timedelta(hours=5))
    (before,) = harness.execute("SELECT paused_at FROM pauses")
    names: dict[str, Any] = {"platform": "x", "kind": PauseKind.CREDITS, "subject": ""}

    with harness.engine.begin() as connection:
        pause(connection, **names, until=NOW + timedelta(hours=1), reason="again")

    assert harness.execute("SELECT paused_at, refusals FROM pauses") == [(before.paused_at, 3)]


@pytest.mark.parametrize(
    ("less", "shortened"), [(timedelta(seconds=60), False), (timedelta(seconds=61), True)]
)
def test_pause_is_shortened_by_more_than_a_minute_or_not_at_all(
    harness: Harness, less: timedelta, *, shortened: bool
) -> None:
    until = NOW + timedelta(hours=1)
    place(harness, until)

    with harness.engine.begin() as connection:
        shorten(connection, PauseKey("linkedin", PauseKind.ACCOUNT, "acc_1"), until - less)

    assert harness.execute("SELECT paused_until FROM pauses") == [(until - less if shortened else until,)]
