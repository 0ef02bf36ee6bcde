"""The freshness policy: when a row is due again, and how that is said."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.freshness.policy import Freshness

READ_AT = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "interval", "words"),
    [
        ("fixed:6h", timedelta(hours=6), "6 h"),
        ("fixed:90m", timedelta(minutes=90), "90 min"),
        ("fixed:20s", timedelta(seconds=20), "20 s"),
        ("fixed:48h", timedelta(days=2), "2 d"),
    ],
)
def test_fixed_interval_is_applied_and_explained(text: str, interval: timedelta, words: str) -> None:
    policy = Freshness.parse(text)

    assert policy.stale_after(READ_AT) == READ_AT + interval
    assert policy.explain() == f"every row is refreshed {words} after its last successful read"


@pytest.mark.parametrize("text", ["", "6h", "fixed:", "fixed:0h", "fixed:6", "fixed:-1h", "fixed:6w"])
def test_malformed_policy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fixed:6h"):
        Freshness.parse(text)
