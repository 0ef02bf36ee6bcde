"""When a figure of the overview is coloured, and how the figures of platforms add up."""

from datetime import UTC, datetime
from typing import Any

import pytest

from api_stub.ops.drawing import charts
from api_stub.ops.views.overview import (
    STALE_AFTER_SECONDS,
    Overview,
    PlatformSummary,
    _platforms,
    _recent,
    group_of,
)

LINE = charts.line([(0.0, 1.0)], width=10, height=10)


def platform(**figures: Any) -> PlatformSummary:
    given = {"name": "x", "total": 10, "statuses": {"failed": 1}, "polled": 10, "fresh": 9, "due": 1}
    return PlatformSummary(
        **{**given, "overdue_seconds": None, "paused_seconds": None, "line": LINE, **figures}
    )


def overview(*platforms: PlatformSummary, **figures: Any) -> Overview:
    given = dict.fromkeys(Overview.__dataclass_fields__)
    del given["overdue_threshold"]
    return Overview(**{**given, "platforms": platforms, "reconnect": [], "recent": [], **figures})


@pytest.mark.parametrize(("fresh", "level"), [(91, ""), (90, ""), (89, "waiting"), (0, "waiting")])
def test_share_of_fresh_rows_is_coloured_below_the_threshold(fresh: int, level: str) -> None:
    assert overview(platform(polled=100, fresh=fresh)).fresh_level == level


@pytest.mark.parametrize(("seconds", "level"), [(None, ""), (900.0, ""), (900.1, "bad")])
def test_overdue_row_is_coloured_above_the_threshold(seconds: float | None, level: str) -> None:
    summary = overview(platform(overdue_seconds=seconds), platform(overdue_seconds=5.0, paused_seconds=9e9))

    assert summary.overdue_level == level
    assert Overview.delay_level(seconds or 0) == level


@pytest.mark.parametrize(("number", "level"), [(0, ""), (10, ""), (11, "waiting")])
def test_accounts_to_reconnect_are_coloured_above_their_share(number: int, level: str) -> None:
    summary = overview(accounts=100, reconnect=[("x", number), ("tiktok", 0)])

    assert (summary.to_reconnect, summary.reconnect_level) == (number, level)


@pytest.mark.parametrize(("age", "outdated"), [(None, True), (STALE_AFTER_SECONDS + 1, True), (29.0, False)])
def test_figures_are_outdated_when_no_scheduler_updates_them(age: float | None, *, outdated: bool) -> None:
    assert overview(live_age=age).outdated is outdated


def test_figures_of_platforms_add_up_and_unknown_ones_stay_unknown() -> None:
    one, other = platform(overdue_seconds=3.0), platform(polled=30, fresh=1, paused_seconds=7.0)
    summary = overview(one, other, recent=[("synced", "good", 4), ("paused", "waiting", 2)])

    assert (summary.total, summary.due, summary.failed, summary.share) == (20, 2, 2, 0.25)
    assert (summary.overdue_seconds, summary.paused_seconds) == (3.0, 7.0)
    assert (summary.synced_per_minute, summary.others_per_minute) == (4, [("paused", 2)])
    counted = {"recent": [["x", "synced", 1], ["x", "paused", 3], ["tiktok", "synced", 1]]}
    assert [(outcome, rows) for outcome, _, rows in _recent(counted)] == [("paused", 3), ("synced", 2)]
    nothing = overview(platform(polled=0, fresh=0))
    assert (nothing.share, nothing.platforms[0].share, nothing.fresh_level) == (None, None, "")
    assert (nothing.overdue_seconds, nothing.paused_seconds) == (None, None)
    assert group_of("an outcome of a newer version") == "bad"


def test_waits_of_paused_rows_differ_from_those_of_others() -> None:
    rows = {"rows": [["x", "synced", 3], ["x", "failed", 1], ["tiktok", "synced", 2]], "polled": [["x", 4]]}
    live = {"overdue": [["x", False, 5.0], ["x", True, 9.0], ["tiktok", True, 7.0]]}

    tiktok, of_x = sorted(_platforms(rows, live, [], datetime.now(UTC)), key=lambda one: one.name)

    assert (of_x.total, of_x.statuses, of_x.polled, of_x.fresh) == (4, {"synced": 3, "failed": 1}, 4, 0)
    assert (of_x.overdue_seconds, of_x.paused_seconds) == (5.0, 9.0)
    assert (tiktok.overdue_seconds, tiktok.paused_seconds, tiktok.share) == (None, 7.0, None)
