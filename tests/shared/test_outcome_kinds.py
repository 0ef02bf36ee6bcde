"""What each way to end means: one table, which everybody asks."""

import re
from itertools import pairwise

import pytest

from shared import outcome_kinds
from shared.outcome_kinds import OutcomeGroup, OutcomeKind, Verdict, outcome_kind


def _documented() -> dict[str, tuple[str, str, bool, bool]]:
    """Read the table of the module's docstring, by the columns of its rule."""
    lines = (outcome_kinds.__doc__ or "").splitlines()
    rule = next(line for line in lines if line.startswith("="))
    starts = [match.start() for match in re.finditer("=+", rule)] + [200]
    table = {}
    for line in lines:
        cells = [line[start:end].strip() for start, end in pairwise(starts)]
        if cells[0] in set(OutcomeKind):
            table[cells[0]] = (cells[1], cells[2], cells[3] == "yes", cells[4] == "yes")
    return table


def test_properties_match_the_documented_table() -> None:
    assert _documented() == {
        kind.value: (kind.verdict.value, kind.group.value, kind.answered, kind.ends_polling)
        for kind in OutcomeKind
    }


@pytest.mark.parametrize("kind", OutcomeKind, ids=str)
def test_properties_of_a_kind_are_consistent(kind: OutcomeKind) -> None:
    if kind.verdict is Verdict.RETRIED:
        assert not kind.ends_polling, "what is tried again by itself goes on being polled"
        assert not kind.answered
    if kind.verdict is Verdict.FAILED:
        assert kind.group is OutcomeGroup.BAD
    if kind.group is OutcomeGroup.GOOD:
        assert kind.verdict is Verdict.SUCCEEDED


@pytest.mark.parametrize(
    ("word", "kind"), [("gone", OutcomeKind.GONE), (None, None), ("of_a_newer_version", None)]
)
def test_stored_value_has_a_kind_or_none(word: str | None, kind: OutcomeKind | None) -> None:
    assert outcome_kind(word) is kind
