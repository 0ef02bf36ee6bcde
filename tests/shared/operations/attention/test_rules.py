"""Rules of attention that depend on one another: stops and pauses explain what is late."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.operations.attention.figures import Figures, read_figures
from shared.operations.attention.needs import rank
from shared.quota.pauses import UNTIL_RESUMED
from shared.vocabulary import PauseKind
from tests.harness import Harness
from tests.shared.operations.attention.test_needs import HOUR, NOW, WELL, counts, live, only, pause

REFUSED = [["x", "misconfigured", "Wrong key.", 7], ["x", "misconfigured", "No scope.", 9]]
LATE: dict[str, Any] = {"rows": counts(1000, 100), "not_fresh_since": {"x": NOW - 2 * HOUR}}
CREDITS = pause(PauseKind.CREDITS)
MISCONFIGURED = pause(PauseKind.MISCONFIGURED)
BLOCKED = pause(PauseKind.BLOCKED, subject="acc_1")


def alerts(figures: Figures) -> list[str]:
    return sorted(need.alert for need in rank(figures).needs)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (replace(WELL, rows=counts(9, 9, causes=REFUSED), stops=[MISCONFIGURED]), ["DravoOperatorNeeded"]),
        (
            replace(WELL, rows=counts(9, 9, causes=REFUSED), stops=[CREDITS]),
            ["DravoOperatorNeeded", "DravoPlatformRefusesUs"],
        ),
        (
            replace(
                WELL,
                rows=counts(9, 9, causes=REFUSED),
                stops=[pause(PauseKind.MISCONFIGURED, platform="tiktok")],
            ),
            ["DravoOperatorNeeded", "DravoPlatformRefusesUs"],
        ),
        (replace(WELL, rows=counts(9, 9, causes=[["x", "retry", "Slow.", 7]])), []),
        (replace(WELL, **LATE, stops=[CREDITS]), ["DravoOperatorNeeded"]),
        (replace(WELL, **LATE, stops=[BLOCKED]), ["DravoNotFresh", "DravoOperatorNeeded"]),
        (replace(WELL, rows=counts(1000, 100)), []),
        (replace(WELL, rows=counts(1000, 100), not_fresh_since={}), []),
        (replace(WELL, rows=counts(0, 0), not_fresh_since={"x": NOW - 2 * HOUR}), []),
        (replace(WELL, failing={"x": (0, 0)}), []),
        (
            replace(WELL, counted_at=NOW - HOUR, live=live(redis_error="away", workers={})),
            ["DravoNoScheduler"],
        ),
        (replace(WELL, live=live(redis_error="away", workers={})), ["DravoFleetUnknown"]),
        (replace(WELL, live=live(accounts=[["x", "disconnected", 50], ["x", "active", 50]])), []),
        (replace(WELL, pauses=[pause(PauseKind.ENDPOINT, NOW + 2 * HOUR, "tweets")]), ["DravoParked"]),
        (replace(WELL, pauses=[pause(PauseKind.BREAKER, NOW + 2 * HOUR)]), ["DravoParked"]),
        (replace(WELL, pauses=[pause(PauseKind.BACKGROUND, NOW + 2 * HOUR)]), []),
    ],
)
def test_alerts_of_figures(figures: Figures, expected: list[str]) -> None:
    assert alerts(figures) == expected


def test_refused_publications_of_a_platform_are_added_and_the_most_frequent_cause_is_named() -> None:
    need = only(replace(WELL, rows=counts(9, 9, causes=REFUSED)))

    assert (need.cause, need.ageing) == ("X: 16 publications refused: No scope", 16)
    assert need.rows == {"platform": "x", "outcome": "misconfigured"}


def test_late_platform_names_the_pause_that_holds_it_for_longest() -> None:
    ours = pause(PauseKind.APP, NOW + HOUR / 4)
    everything = replace(
        pause(PauseKind.OPERATOR_PLATFORM, UNTIL_RESUMED, platform="*"), reason="A move of servers."
    )
    others = [
        pause(PauseKind.OPERATOR_PLATFORM, UNTIL_RESUMED, platform="tiktok"),
        pause(PauseKind.OPERATOR_ACCOUNT, UNTIL_RESUMED, subject="acc_1"),
        pause(PauseKind.ACCOUNT, NOW + 9 * HOUR, subject="acc_1"),
    ]
    need = only(replace(WELL, **LATE, pauses=[ours, everything, *others]))
    assert need.cause.endswith("only 10.0% of the polled rows are fresh; it is paused: A move of servers")
    assert (need.action, need.subject, need.ageing) == ("resume", {"all": "1"}, 900)

    limited = only(replace(WELL, **LATE, pauses=[ours, *others]))
    assert (limited.action, limited.subject) == (None, {"platform": "x"})
    assert "it is paused: Our credits" in limited.cause

    free = only(replace(WELL, **LATE, pauses=others))
    assert "paused" not in free.cause
    assert free.to_do.startswith("Add workers")


def test_stops_of_one_kind_and_platform_are_one_line_since_the_first() -> None:
    early = replace(BLOCKED, subject="acc_2", paused_at=NOW - 9 * HOUR)
    elsewhere = replace(BLOCKED, platform="tiktok", subject="acc_3")
    tried = replace(BLOCKED, subject="acc_4", paused_until=NOW - HOUR)
    needs = rank(replace(WELL, stops=[BLOCKED, elsewhere, early, CREDITS])).needs

    assert sorted((need.subject["platform"], need.since) for need in needs) == [
        ("tiktok", NOW - 3 * HOUR),
        ("x", NOW - 9 * HOUR),
        ("x", NOW - 3 * HOUR),
    ]
    assert only(replace(WELL, stops=[BLOCKED, tried])).cause.startswith("2 accounts on X are being tried: ")


def test_history_of_the_last_quarter_of_an_hour_and_of_a_day_decides(harness: Harness) -> None:
    for platform, minutes, fresh, outcomes in (
        ("x", 16, 10, '{"retry": 50}'),
        ("x", 14, 1, '{"retry": 3, "failed": 1, "synced": 6}'),
        ("x", 5, 1, '{"retry": 1}'),
        ("tiktok", 30 * 60, 0, "{}"),
        ("tiktok", 23 * 60, 8, "{}"),
        ("tiktok", 60, 9, '{"synced": 1}'),
        ("tiktok", 30, 8, "{}"),
    ):
        harness.execute(
            "INSERT INTO ops_history (at, platform, polled, fresh, outcomes)"
            " VALUES (now() - CAST(:age AS interval), :platform, 10, :fresh, CAST(:outcomes AS jsonb))",
            age=timedelta(minutes=minutes),
            platform=platform,
            fresh=fresh,
            outcomes=outcomes,
        )
    with harness.engine.connect() as connection:
        figures = read_figures(connection)

    assert figures.failing == {"x": (5, 11)}
    since = {
        name: round((figures.now - at) / timedelta(minutes=1)) for name, at in figures.not_fresh_since.items()
    }
    assert since == {"x": 16, "tiktok": 60}
    assert (figures.live, figures.counted_at, figures.age) == ({}, None, None)
