"""What needs an operator now, decided from figures: each alert's condition, ranked, with what to do."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.operations.attention.figures import DisabledEndpoint, Figures
from shared.operations.attention.need import Need
from shared.operations.attention.needs import MOST, needs_you_now, rank
from shared.quota.pauses import UNTIL_RESUMED, PauseInForce
from shared.vocabulary import PauseKind
from tests.harness import Harness

NOW = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
WELL = Figures(
    now=NOW,
    counted_at=NOW,
    live={
        "overdue": [["x", False, 5.0]],
        "accounts": [["x", "active", 95], ["x", "requires_reconnect", 5]],
        "workers": {"w": 8},
        "quarantined": 0,
        "stuck": 0,
    },
    rows={"polled": [["x", 1000]], "fresh": [["x", 996]], "due": [["x", 4]], "causes": []},
    failing={"x": (3, 1000)},
    not_fresh_since={"x": NOW},
)


def pause(
    kind: PauseKind, until: datetime = NOW + HOUR / 2, subject: str = "", platform: str = "x"
) -> PauseInForce:
    return PauseInForce(platform, kind, subject, NOW - 3 * HOUR, until, "Our credits at X are used up.", 1)


def live(**changed: Any) -> Mapping[str, Any]:
    return {**WELL.live, **changed}


def counts(polled: int, fresh: int, **more: Any) -> Mapping[str, Any]:
    return {**WELL.rows, "polled": [["x", polled]], "fresh": [["x", fresh]], **more}


def only(figures: Figures) -> Need:
    attention = rank(figures)
    assert [need.alert for need in attention.needs] == [attention.needs[0].alert]
    assert not attention.all_well
    return attention.needs[0]


def test_nothing_needs_an_operator_while_all_is_well() -> None:
    attention = rank(WELL)

    assert (attention.needs, attention.more, attention.all_well) == ((), 0, True)


def test_unknown_figures_are_not_well() -> None:
    assert not rank(Figures(now=NOW)).all_well


def test_stop_names_its_cause_its_beginning_and_what_ages() -> None:
    need = only(replace(WELL, stops=[pause(PauseKind.CREDITS)], rows=counts(100, 4)))

    assert need.cause == "X is stopped: Our credits at X are used up"
    assert (need.severity, need.since, need.ageing) == ("critical", NOW - 3 * HOUR, 96)
    assert need.to_do.endswith("then `dravo resume --platform x --try`.")
    assert (need.action, need.subject) == ("try", {"platform": "x"})


def test_stop_that_is_tried_says_so() -> None:
    need = only(replace(WELL, stops=[pause(PauseKind.CREDITS, NOW)]))

    assert need.cause.startswith("X is being tried: ")
    assert need.to_do == "The next call decides whether it continues."


def test_blocked_accounts_of_a_platform_are_one_line() -> None:
    blocked = [pause(PauseKind.BLOCKED, subject=f"acc_{number}") for number in range(3)]
    rows = {**WELL.rows, "blocked": [["tiktok", 4], ["x", 96]]}

    three = only(replace(WELL, stops=blocked, rows=rows))
    assert (three.cause.partition(": ")[0], three.ageing) == ("3 accounts on X are stopped", 96)
    assert three.to_do.endswith("each account; then `dravo resume --platform x --try`.")
    one = only(replace(WELL, stops=blocked[:1], rows=rows))
    assert (one.subject, one.ageing) == ({"platform": "x", "account": "acc_0"}, 96)


def test_what_ages_on_blocked_accounts_is_unknown_until_it_is_counted() -> None:
    blocked = [pause(PauseKind.BLOCKED, subject="acc_0")]

    assert only(replace(WELL, stops=blocked)).ageing is None


def test_publications_of_locked_accounts_age_until_they_are_connected_again() -> None:
    figures = replace(
        WELL,
        live=live(accounts=[["x", "active", 2], ["x", "requires_reconnect", 1]]),
        rows={**WELL.rows, "rows": [["tiktok", "requires_reconnect", 5], ["x", "requires_reconnect", 48]]},
    )

    assert only(figures).ageing == 48


def test_disabled_webhook_endpoints_are_one_line() -> None:
    disabled = [
        DisabledEndpoint(f"whe_{number}", "ws_1", "The receiver answered 410 Gone.", NOW - number * HOUR)
        for number in range(2)
    ]

    need = only(replace(WELL, disabled=disabled[:1]))
    assert need.cause == "Webhook endpoint whe_0 of ws_1 is disabled: The receiver answered 410 Gone"
    assert need.to_do.endswith("then `dravo webhooks enable whe_0`.")
    assert (need.since, need.page) == (NOW, "webhooks")
    assert only(replace(WELL, disabled=disabled)).cause.startswith("2 webhook endpoints are disabled, first ")


@pytest.mark.parametrize(
    ("figures", "alert", "severity"),
    [
        (replace(WELL, counted_at=NOW - timedelta(seconds=121)), "DravoNoScheduler", "critical"),
        (replace(WELL, live=live(workers={})), "DravoNoWorkers", "critical"),
        (replace(WELL, live=live(workers=None, redis_error="x")), "DravoFleetUnknown", "critical"),
        (replace(WELL, live=live(stuck=2)), "DravoRowsStuck", "critical"),
        (replace(WELL, live=live(overdue=[["x", False, 901.0]])), "DravoOverdue", "critical"),
        (
            replace(WELL, rows=counts(9, 9, causes=[["x", "misconfigured", "Wrong key.", 7]])),
            "DravoPlatformRefusesUs",
            "critical",
        ),
        (
            replace(WELL, rows=counts(1000, 899), not_fresh_since={"x": NOW - HOUR}),
            "DravoNotFresh",
            "warning",
        ),
        (replace(WELL, pauses=[pause(PauseKind.APP, NOW + 2 * HOUR)]), "DravoParked", "warning"),
        (replace(WELL, failing={"x": (21, 100)}), "DravoRefreshesFail", "warning"),
        (
            replace(WELL, live=live(accounts=[["x", "active", 89], ["x", "requires_reconnect", 11]])),
            "DravoAccountsNeedReconnect",
            "warning",
        ),
        (replace(WELL, live=live(quarantined=1)), "DravoQuarantine", "warning"),
        (
            replace(WELL, disabled=[DisabledEndpoint("whe_1", "ws_1", "410.", NOW)]),
            "DravoWebhookDisabled",
            "warning",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_condition_of_each_alert_is_a_need(figures: Figures, alert: str, severity: str) -> None:
    need = only(figures)

    assert (need.alert, need.severity) == (alert, severity)
    assert need.to_do


OWNER = "Ask its owner to connect it again; `dravo accounts` says why it must be."
OWNERS = "Ask their owners to connect them again; `dravo accounts` says why each must be."
ONE_CAUSE = (
    "So many have one cause: revoked permissions, a changed application secret, or a scope that the consent"
    " screen lost. Compare the reasons in `dravo accounts`."
)


@pytest.mark.parametrize(
    ("to_reconnect", "active", "cause", "to_do"),
    [
        (1, 2, "X: 1 of 3 accounts must be connected again", OWNER),
        (3, 0, "X: 3 of 3 accounts must be connected again", OWNERS),
        (9, 3, "X: 9 of 12 accounts must be connected again", OWNERS),
        (11, 34, "X: 11 of 45 accounts must be connected again", OWNERS),
        (10, 30, "X: 10 of 40 accounts must be connected again", ONE_CAUSE),
        (40, 10, "X: 40 of 50 accounts must be connected again", ONE_CAUSE),
    ],
)
def test_one_cause_is_suspected_only_where_many_accounts_need_a_reconnect(
    to_reconnect: int, active: int, cause: str, to_do: str
) -> None:
    accounts = [["x", "active", active], ["x", "requires_reconnect", to_reconnect]]

    need = only(replace(WELL, live=live(accounts=accounts)))

    assert (need.cause, need.to_do) == (cause, to_do)


@pytest.mark.parametrize(
    "figures",
    [
        replace(WELL, counted_at=NOW - timedelta(seconds=120)),
        replace(WELL, live=live(overdue=[["x", False, 900.0], ["x", True, 90_000.0]])),
        replace(WELL, rows=counts(1000, 900), not_fresh_since={"x": NOW - HOUR}),
        replace(WELL, rows=counts(1000, 0), not_fresh_since={"x": NOW - HOUR / 2}),
        replace(
            WELL, pauses=[pause(PauseKind.APP, NOW + HOUR), pause(PauseKind.ACCOUNT, NOW + 9 * HOUR, "a")]
        ),
        replace(WELL, failing={"x": (20, 100)}),
        replace(WELL, live=live(accounts=[["x", "active", 90], ["x", "requires_reconnect", 10]])),
        replace(WELL, live=live(workers=None)),
    ],
)
def test_no_need_below_the_alerts_thresholds(figures: Figures) -> None:
    assert rank(figures).needs == ()


def test_platform_that_an_operator_paused_names_who_and_offers_to_resume() -> None:
    placed = pause(PauseKind.OPERATOR_PLATFORM, UNTIL_RESUMED)
    figures = replace(
        WELL,
        rows=counts(100, 0),
        not_fresh_since={"x": NOW - 2 * HOUR},
        pauses=[placed],
        operators={placed.key: "anna on host"},
    )

    need = only(figures)

    assert "only 0.0% of the polled rows are fresh; it is paused by anna on host: " in need.cause
    assert (need.action, need.subject) == ("resume", {"platform": "x"})


def test_critical_needs_come_first_and_at_most_five_are_named() -> None:
    figures = replace(
        WELL,
        live=live(
            quarantined=9, stuck=2, workers={}, overdue=[["x", False, 5_000.0], ["tiktok", False, 901.0]]
        ),
        rows=counts(1000, 900, due=[["x", 50], ["tiktok", 60]]),
        failing={"x": (90, 100)},
    )

    attention = rank(figures)

    assert len(attention.needs) == MOST
    assert attention.more == 1
    assert [need.alert for need in attention.needs] == [
        "DravoOverdue",
        "DravoOverdue",
        "DravoRowsStuck",
        "DravoNoWorkers",
        "DravoRefreshesFail",
    ]
    assert [need.ageing for need in attention.needs[:2]] == [60, 50]


def test_figures_are_read_from_the_summary_and_the_pauses(harness: Harness) -> None:
    with harness.engine.connect() as connection:
        assert not needs_you_now(connection).known
    harness.execute(
        "INSERT INTO ops_summary (part, payload, counted_from, counted_at) VALUES"
        " ('live', '{\"workers\": {\"w\": 8}}', now(), now()),"
        ' (\'rows\', \'{"polled": [["x", 10]], "fresh": [["x", 2]]}\', now(), now())'
    )
    harness.execute(
        "INSERT INTO ops_history (at, platform, polled, fresh, outcomes)"
        " SELECT now() - make_interval(mins => n), 'x', 10, CASE WHEN n > 90 THEN 10 ELSE 2 END,"
        ' \'{"retry": 3, "synced": 2}\''
        " FROM generate_series(1, 120) n"
    )

    with harness.engine.connect() as connection:
        attention = needs_you_now(connection)

    assert [need.alert for need in attention.needs] == ["DravoRefreshesFail", "DravoNotFresh"]
    assert attention.needs[1].ageing == 8


def test_endpoints_that_the_sender_disabled_in_the_last_hour_are_needs(harness: Harness) -> None:
    for endpoint_id, minutes in (("whe_old", 61), ("whe_new", 59), ("whe_ours", 30)):
        harness.execute(
            "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret, state,"
            " state_reason, state_changed_at) VALUES (:id, 'ws_1', 'u', 'h', 's', 'disabled', 'Gone.',"
            " now() - make_interval(mins => :minutes))",
            id=endpoint_id,
            minutes=minutes,
        )
    harness.execute(
        "INSERT INTO operator_acts (acted_at, operator, via, act, subject)"
        " SELECT state_changed_at, 'anna', 'terminal', 'webhooks disable', '{}' FROM webhook_endpoints"
        " WHERE endpoint_id = 'whe_ours'"
    )

    with harness.engine.connect() as connection:
        attention = needs_you_now(connection)

    assert [need.cause for need in attention.needs] == ["Webhook endpoint whe_new of ws_1 is disabled: Gone"]
