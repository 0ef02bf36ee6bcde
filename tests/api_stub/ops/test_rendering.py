"""Formatting of shares, numbers, durations and inline code."""

import pytest

from api_stub.ops.rendering import inline_code, number, seconds, share


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\N{EN DASH}"), (0, "0 %"), (1, "100 %"), (0.99999, "99.9 %"), (0.00001, "0.1 %")],
)
def test_share_is_0_or_100_percent_only_when_exact(value: float | None, text: str) -> None:
    assert share(value) == text


def test_numbers_durations_and_inline_code_are_formatted() -> None:
    assert number(None) == seconds(None) == "\N{EN DASH}"
    assert seconds(3_700) == "1 h 1 min"
    assert inline_code("run `<b>` now") == "run <code>&lt;b&gt;</code> now"
