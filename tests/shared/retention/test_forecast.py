"""What the readings will need on disk, at instants around the beginning of a month."""

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from shared.retention import months
from shared.retention.months import Month
from shared.retention.policy import DataClass, Retention
from shared.retention.status import Forecast, forecast, status
from tests.harness import Harness
from tests.shared.retention.history import make_months, month_start, reading

JUNE = (2026, 6)


def month(number: int, size: int, *, attached: bool = True) -> Month:
    name = f"snapshots_2026_{number:02}"
    return Month("snapshots", name, date(2026, number, 1), attached, pending=False, rows=0, bytes=size)


ALL = [month(4, 50, attached=False), month(5, 310), month(6, 600), month(7, 7)]


def of(
    monkeypatch: pytest.MonkeyPatch, now: datetime, setting: str = "on", every: list[Month] = ALL
) -> Forecast:
    monkeypatch.setattr(months, "months", lambda *_: every)
    connection: Any = SimpleNamespace(execute=lambda _: SimpleNamespace(scalar_one=lambda: now))
    return forecast(connection, Retention.parse(setting))


@pytest.mark.parametrize(
    ("day", "hour", "daily"),
    [(11, 0, 60), (30, 23, 600 / (29 + 23 / 24)), (4, 0, 200), (3, 23, 10), (1, 0, 10), (1, 12, 10)],
)
def test_growth_is_that_of_this_month_or_of_the_last_one_while_this_one_is_young(
    monkeypatch: pytest.MonkeyPatch, day: int, hour: int, daily: float
) -> None:
    made = of(monkeypatch, datetime(*JUNE, day, hour, tzinfo=UTC))

    assert made.bytes_a_day == pytest.approx(daily)
    assert made.bytes_now == 310 + 600 + 7
    assert made.steady_bytes == pytest.approx(daily * (90 + 31))


def test_growth_without_a_month_before_is_that_of_the_young_one(monkeypatch: pytest.MonkeyPatch) -> None:
    second = datetime(*JUNE, 2, tzinfo=UTC)

    assert of(monkeypatch, second, every=ALL[2:]).bytes_a_day == 600
    assert of(monkeypatch, datetime(*JUNE, 1, tzinfo=UTC), every=ALL[2:]).bytes_a_day == 0
    assert of(monkeypatch, second, every=[]) == Forecast(0.0, 0, 0.0)


def test_readings_that_are_kept_for_ever_have_no_steady_size(monkeypatch: pytest.MonkeyPatch) -> None:
    eleventh = datetime(*JUNE, 11, tzinfo=UTC)

    assert of(monkeypatch, eleventh, "off").steady_bytes is None
    assert of(monkeypatch, eleventh, "on,x:readings=forever").steady_bytes is None
    assert of(monkeypatch, eleventh, "on,readings=10d").steady_bytes == pytest.approx(60 * (10 + 31))


def test_readings_of_all_expired_months_are_counted(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    make_months(harness, 6, 7, 1)
    for ago in (6, 7, 1):
        reading(harness, one, month_start(ago), 1)

    with harness.engine.begin() as connection:
        whole = [each for each in status(connection, Retention.parse("on")) if each.group is None]
    (readings,) = (each for each in whole if each.kind is DataClass.READINGS)

    assert readings.expired is not None
    assert readings.expired.rows == 2
