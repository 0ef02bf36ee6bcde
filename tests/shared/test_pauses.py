"""Pauses: prolonged, never shortened, and longer when the same limit is met right after relief."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from shared.pauses import in_force, pause
from tests.stories import House, house

NOW = datetime.now(UTC)


@pytest.fixture
def home(database_url: str) -> Iterator[House]:
    with house(database_url) as opened:
        yield opened


def place(home: House, until: datetime, escalates_until: datetime | None = None) -> datetime:
    with home.engine.begin() as connection:
        return pause(
            connection,
            platform="linkedin",
            kind="account",
            subject="acc_1",
            until=until,
            reason="limit",
            escalates_until=escalates_until,
        )


def test_a_pause_is_prolonged_and_never_shortened(home: House) -> None:
    place(home, NOW + timedelta(hours=2))

    assert place(home, NOW + timedelta(hours=1)) == NOW + timedelta(hours=2)
    assert place(home, NOW + timedelta(hours=3)) == NOW + timedelta(hours=3)


def test_a_second_refusal_right_after_relief_escalates(home: House) -> None:
    soon, midnight = datetime.now(UTC) + timedelta(seconds=90), NOW + timedelta(hours=9)
    assert place(home, soon, midnight) == soon
    home.execute("UPDATE pauses SET paused_until = now() - interval '1 minute'")

    assert place(home, soon, midnight) == midnight


def test_an_old_refusal_does_not_escalate(home: House) -> None:
    place(home, datetime.now(UTC) + timedelta(seconds=90))
    home.execute("UPDATE pauses SET paused_until = now() - interval '1 hour'")

    later = NOW + timedelta(hours=1)
    assert place(home, later, NOW + timedelta(hours=9)) == later


@pytest.mark.parametrize(
    ("platform", "account_id", "concerned"),
    [("linkedin", "acc_1", True), ("linkedin", "acc_2", False), ("x", "acc_1", False)],
)
def test_a_pause_concerns_what_it_names(
    home: House, platform: str, account_id: str, *, concerned: bool
) -> None:
    place(home, NOW + timedelta(hours=1))

    with home.engine.connect() as connection:
        found = in_force(connection, platform=platform, account_id=account_id, workspace_id="ws_1")
    assert bool(found) is concerned
