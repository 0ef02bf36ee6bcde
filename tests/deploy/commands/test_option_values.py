"""What the values of options mean: lengths of time, scopes, and figures for people."""

from datetime import UTC, datetime, timedelta

import pytest

from deploy.commands.stops.pause import _end, _scope
from deploy.commands.stored_data.retention import _size, limit_text
from deploy.commands.webhooks.support import parse_overlap
from deploy.console import UsageError
from shared.operations.pause import Scope
from shared.vocabulary import Platform

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3_600, 86_400))


@pytest.mark.parametrize(
    ("until", "length", "ends"),
    [
        (None, None, None),
        (None, "90s", NOW + 90 * SECOND),
        (None, "30m", NOW + 30 * MINUTE),
        (None, "2h", NOW + 2 * HOUR),
        (None, "3d", NOW + 3 * DAY),
        ("2026-11-26T12:00:01Z", None, NOW + SECOND),
        ("2026-11-27", None, NOW + 12 * HOUR),
    ],
)
def test_pause_ends_at_an_instant_or_after_a_length(
    until: str | None, length: str | None, ends: datetime | None
) -> None:
    assert _end(until, length, NOW) == ends


@pytest.mark.parametrize(
    ("until", "length"),
    [
        *((None, length) for length in ("0s", "00h", "h", "1w", "-1h", "1.5h", "1234567s", "2h ")),
        *((until, None) for until in ("2026-11-26T12:00:00Z", "2026-11-26", "9999-12-31")),
    ],
)
def test_pause_that_has_no_length_or_lies_in_the_past_is_wrong_usage(
    until: str | None, length: str | None
) -> None:
    with pytest.raises(UsageError):
        _end(until, length, NOW)


@pytest.mark.parametrize(
    ("platform", "account", "workspace", "every", "scope"),
    [
        (Platform.X, None, None, False, Scope(Platform.X)),
        (None, "acc_1", None, False, Scope(None, "acc_1")),
        (Platform.X, "acc_1", None, False, Scope(Platform.X, "acc_1")),
        (Platform.X, None, "ws_1", False, Scope(Platform.X, None, "ws_1")),
        (None, None, None, True, Scope()),
        (None, None, None, False, None),
        (None, "acc_1", "ws_1", False, None),
        (Platform.X, None, None, True, None),
        (None, "acc_1", None, True, None),
        (None, None, "ws_1", True, None),
        (Platform.X, "", None, False, None),
        (Platform.X, None, "", False, None),
    ],
)
def test_scope_is_named_once_and_never_widened(
    platform: Platform | None, account: str | None, workspace: str | None, *, every: bool, scope: Scope | None
) -> None:
    if scope is not None:
        assert _scope(platform, account, workspace, every=every) == scope
        return
    with pytest.raises(UsageError):
        _scope(platform, account, workspace, every=every)


@pytest.mark.parametrize(
    ("text", "length"),
    [("0s", timedelta()), ("90s", 90 * SECOND), ("5m", 5 * MINUTE), ("24h", DAY), ("7d", 7 * DAY)],
)
def test_overlap_of_secrets_lasts_up_to_a_week(text: str, length: timedelta) -> None:
    assert parse_overlap(text) == length


@pytest.mark.parametrize("text", ["8d", "169h", "10081m", "", "7", "d", "-1d", "12345s", "1w"])
def test_other_overlap_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError):
        parse_overlap(text)


@pytest.mark.parametrize(
    ("limit", "text"),
    [(None, "without end"), (timedelta(), "not at all"), (HOUR, "1 h"), (2 * DAY, "48 h"), (3 * DAY, "3 d")],
)
def test_limit_is_shown_in_hours_up_to_two_days(limit: timedelta | None, text: str) -> None:
    assert limit_text(limit) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (2_500_000, "2 MB"), (7e9, "7 GB"), (1.25e12, "1.2 TB")],
)
def test_size_is_shown_in_the_largest_unit(number: float, text: str) -> None:
    assert _size(number) == text
