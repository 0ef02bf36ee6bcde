"""A pause and an account's state as people read them: whom they hold, who set them, what to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.operations.audit_log import Operator
from shared.operations.holds.groups import held_groups
from shared.operations.holds.hold import NOTHING, of_account, of_pause, placed_by, remedy, remedy_of_accounts
from shared.operations.holds.services import missing_service
from shared.operations.pause import Scope, pause_scope
from shared.quota import spending
from shared.quota.pauses import UNTIL_RESUMED, PauseInForce, pauses_in_force
from shared.vocabulary import PauseKind, Platform
from tests.harness import Harness

NOON = datetime(2026, 6, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def pause(kind: PauseKind, subject: str = "", until: datetime = NOON + HOUR) -> PauseInForce:
    return PauseInForce("x", kind, subject, NOON, until, "Why.", 1)


@pytest.mark.parametrize(
    ("standing", "set_by", "needs_operator", "to_do"),
    [
        (pause(PauseKind.APP), "X's limit", False, NOTHING),
        (pause(PauseKind.ACCOUNT, "acc_1"), "X's limit", False, NOTHING),
        (pause(PauseKind.BREAKER), "our circuit breaker, because X fails", False, NOTHING),
        (pause(PauseKind.BACKGROUND), "our budget for X, of which most is used", False, NOTHING),
        (pause(PauseKind.CREDITS), "X", True, "An operator must add credits"),
        (pause(PauseKind.MISCONFIGURED), "X", True, "An operator must repair our application at X"),
        (
            pause(PauseKind.BLOCKED, "acc_1"),
            "X",
            True,
            "clear the block of account acc_1; then `dravo resume",
        ),
        (pause(PauseKind.OPERATOR_ACCOUNT, "acc_1"), "an operator", False, "An operator has paused it"),
        (pause(PauseKind.OPERATOR_PLATFORM, until=UNTIL_RESUMED), "an operator", True, "has paused it"),
        (
            replace(pause(spending.PAUSE.kind, spending.PAUSE.subject), platform=spending.PAUSE.platform),
            "our budget for reads at X",
            False,
            "or raise DRAVO_X_DAILY_BUDGET_DOLLARS",
        ),
    ],
)
def test_pause_says_who_set_it_and_what_to_do(
    standing: PauseInForce, set_by: str, to_do: str, *, needs_operator: bool
) -> None:
    hold = of_pause(standing)

    assert (hold.set_by, hold.needs_operator, hold.cause) == (set_by, needs_operator, standing.kind.value)
    assert to_do in hold.to_do == remedy(standing)
    assert (hold.since, hold.sentence) == (NOON, "Why.")
    assert hold.until == (None if standing.paused_until == UNTIL_RESUMED else NOON + HOUR)


def test_accounts_that_are_stopped_alike_have_one_remedy() -> None:
    assert remedy_of_accounts(pause(PauseKind.BLOCKED, "acc_1")) == (
        "An operator must have X clear the block of each account; then `dravo resume --platform x --try`."
    )


@pytest.mark.parametrize(
    ("state", "reason", "sentence", "set_by"),
    [
        ("disconnected", None, "The account was disconnected.", "the account's owner"),
        ("disconnected", "Gone.", "Gone.", "the account's owner"),
        ("requires_reconnect", None, "It must be connected again.", "the platform, which refuses"),
    ],
)
def test_account_that_may_not_be_read_names_its_owner(
    state: str, reason: str | None, sentence: str, set_by: str
) -> None:
    hold = of_account("acc_1", state, reason, NOON)

    assert (hold.cause, hold.scope, hold.sentence) == (state, "account acc_1", sentence)
    assert hold.set_by.startswith(set_by)
    assert hold.to_do.startswith(sentence)
    assert (hold.since, hold.until, hold.needs_operator) == (NOON, None, False)


def test_pause_is_placed_by_whom_the_audit_log_names_at_its_instant(harness: Harness) -> None:
    for name, scope in (("anna", Scope(Platform.X)), ("bob", Scope(account_id="acc_1"))):
        with harness.engine.begin() as connection:
            pause_scope(connection, Operator(name, "page"), scope, "a wish")
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('x', 'app', '', now() + interval '1 hour', 'limit')"
    )
    with harness.engine.connect() as connection:
        names = placed_by(connection, pauses_in_force(connection))
        assert placed_by(connection, []) == {}
    assert {key.subject: name for key, name in names.items()} == {"": "anna", "acc_1": "bob"}
    assert {key.kind for key in names} == {PauseKind.OPERATOR_PLATFORM, PauseKind.OPERATOR_ACCOUNT}


def test_publications_are_grouped_by_what_holds_them_the_largest_group_first(harness: Harness) -> None:
    harness.account("acc_1", Platform.X)
    harness.account("acc_2", Platform.TIKTOK)
    deferred = harness.publications("acc_1", 5, next_run_at=datetime.now(UTC) + HOUR, reason="paused")
    due = harness.publications("acc_2", 2)
    earlier = datetime.now(UTC) - 5 * HOUR
    harness.execute(
        "UPDATE refresh_state SET next_run_at = :at WHERE publication_id = :id", at=earlier, id=due[0]
    )
    for account_id, hours in (("acc_1", 3),):
        harness.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            " VALUES ('x', 'account', :id, now() + CAST(:wait AS interval), 'A limit.')",
            id=account_id,
            wait=hours * HOUR,
        )
    with harness.engine.connect() as connection:
        large, small = held_groups(connection, [*due, *deferred])
        assert held_groups(connection, []) == []

    assert (large.cause, large.scope, large.rows, large.sentence) == (
        "account",
        "account acc_1 on X",
        5,
        "A limit",
    )
    assert len(large.examples) == 3
    assert small.at == earlier, "when the first of them will run"
    assert large.at is not None
    assert 2 * HOUR < large.at - datetime.now(UTC) <= 3 * HOUR
    assert (small.cause, small.scope, small.rows) == ("waiting", "nothing", 2)


@pytest.mark.parametrize(
    ("payload", "age", "cause"),
    [
        ('{"workers": {}}', 0, "no_worker"),
        ('{"workers": {"w": 8}}', 0, None),
        ('{"workers": null}', 0, None),
        ('{"workers": {"w": 8}}', 119, None),
        ('{"workers": {"w": 8}}', 125, "no_scheduler"),
    ],
)
def test_missing_service_is_known_from_the_summary(
    harness: Harness, payload: str, age: int, cause: str | None
) -> None:
    harness.execute(
        "INSERT INTO ops_summary (part, payload, counted_from, counted_at) VALUES"
        " ('live', CAST(:payload AS jsonb), now(), now() - CAST(:age AS interval)),"
        " ('rows', '{\"workers\": {}}', now(), now())",
        payload=payload,
        age=timedelta(seconds=age),
    )
    with harness.engine.connect() as connection:
        hold = missing_service(connection)

    assert (hold and hold.cause) == cause
    if hold is not None:
        assert (hold.scope, hold.until, hold.needs_operator) == ("everything", None, True)
