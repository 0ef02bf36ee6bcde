"""How long the oldest row of each class and platform has been beyond its limit."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.retention.overdue import overdue
from shared.retention.policy import DataClass, Group, Retention
from shared.vocabulary import Platform
from tests.harness import Harness
from tests.shared.retention.history import DAY, make_months, month_start, reading, run

HOUR = timedelta(hours=1)


def late(harness: Harness) -> dict[tuple[DataClass, Group | None], timedelta]:
    with harness.engine.connect() as connection:
        durations: dict[tuple[DataClass, Group | None], timedelta] = {}
        for one in overdue(connection, Retention.parse("on")):
            durations[one.kind, one.group] = max(durations.get((one.kind, one.group), timedelta()), one.late)
    return durations


def beyond(durations: dict[tuple[DataClass, Group | None], timedelta]) -> set[tuple[DataClass, Group | None]]:
    return {key for key, duration in durations.items() if duration}


def test_month_that_should_have_gone_is_late_on_every_platform_that_goes_by_months(harness: Harness) -> None:
    make_months(harness, 6)

    durations = late(harness)

    by_months = {group for group in Group if group is not Group.LINKEDIN_MEMBER}
    assert beyond(durations) == {(DataClass.READINGS, group) for group in by_months}
    expected = datetime.now(UTC) - 90 * DAY - month_start(5)
    assert abs(durations[DataClass.READINGS, Group.X] - expected) < HOUR
    run(harness)
    assert beyond(late(harness)) == set()


def test_oldest_row_of_a_shorter_limit_is_found_for_its_group_alone(harness: Harness) -> None:
    for kind in ("member", "organization"):
        account = harness.account(f"acc_{kind}", platform=Platform.LINKEDIN, kind=kind)
        (one,) = harness.publications(account)
        for hours in (50, 5):
            reading(harness, one, datetime.now(UTC) - hours * HOUR, 1)

    durations = late(harness)

    assert beyond(durations) == {(DataClass.READINGS, Group.LINKEDIN_MEMBER)}
    assert abs(durations[DataClass.READINGS, Group.LINKEDIN_MEMBER] - 2 * HOUR) < HOUR


def test_old_events_disconnected_accounts_and_gone_posts_are_late(harness: Harness) -> None:
    harness.execute("INSERT INTO events_seen VALUES ('evt_old', now() - interval '33 days')")
    harness.account(
        "acc_tiktok",
        platform=Platform.TIKTOK,
        state="disconnected",
        state_changed_at=datetime.now(UTC) - 40 * DAY,
    )
    (gone,) = harness.publications(harness.account("acc_x", platform=Platform.X))
    harness.execute(
        "UPDATE post_analytics SET outcome = 'gone', attempted_at = now() - interval '3 hours',"
        " metrics = '{\"views\": 1}' WHERE publication_id = :id",
        id=gone,
    )

    durations = late(harness)

    expected = {
        (DataClass.EVENTS, None): 3 * DAY,
        (DataClass.DISCONNECTED, Group.TIKTOK): 10 * DAY,
        (DataClass.GONE, Group.X): 3 * HOUR,
    }
    assert beyond(durations) == expected.keys()
    assert all(abs(durations[key] - duration) < HOUR for key, duration in expected.items())


def test_search_that_takes_too_long_is_answered_by_the_last_complete_removal(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.execute(
        "INSERT INTO retention_runs (unit, ended_at) VALUES ('gone x', now() - interval '5 hours')"
    )
    monkeypatch.setattr("shared.retention.overdue.within", lambda *_: None)

    durations = late(harness)

    assert beyond(durations) == {(DataClass.GONE, Group.X)}
    assert abs(durations[DataClass.GONE, Group.X] - 5 * HOUR) < HOUR
    assert (DataClass.EVENTS, None) not in durations
