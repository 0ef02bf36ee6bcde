"""Filters of the operators' page: which values are allowed, and which publications they select."""

from typing import Any

import pytest

from api_stub.ops.filters import Filter, FilterError
from shared.operations.selection import Selection
from shared.vocabulary import Platform, Reason, SyncStatus


@pytest.mark.parametrize(
    ("name", "value", "selection"),
    [
        ("platform", "x", Selection(platforms=(Platform.X,))),
        ("status", "failed", Selection(statuses=(SyncStatus.FAILED,))),
        ("reason", "retry", Selection(reasons=(Reason.RETRY,))),
        ("outcome", "gone", Selection(outcomes=("gone",))),
        ("cause", "It timed out.", Selection(causes=("It timed out.",))),
        ("account", "acc_1", Selection(accounts=("acc_1",))),
        ("workspace", "ws_1", Selection(workspaces=("ws_1",))),
        ("due", "1", Selection(due=True)),
        ("within", "86400", Selection(within=86_400)),
        ("within", "1", Selection(within=1)),
        ("account", "a" * 500, Selection(accounts=("a" * 500,))),
        ("unknown", "value", Selection()),
    ],
)
def test_filter_selects_what_it_names(name: str, value: str, selection: Selection) -> None:
    parsed = Filter.parse({name: f" {value} "})

    assert parsed.selection == selection
    assert parsed.active == ({} if name == "unknown" else {name: value})
    assert Filter.parse({}).selection == Selection()


@pytest.mark.parametrize(
    "wrong",
    [
        {"platform": "myspace"},
        {"status": "fine"},
        {"reason": "because"},
        {"due": "0"},
        {"within": "0"},
        {"within": "86401"},
        {"within": "-1"},
        {"within": "soon"},
        {"within": "\u0661"},
        {"account": "a" * 501},
        {"cause": "a\0b"},
    ],
    ids=str,
)
def test_wrong_value_is_refused_by_the_name_of_its_filter(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(FilterError, match=f"^{name} m"):
        Filter.parse(wrong)


def test_query_holds_what_is_set_and_changes_leave_the_rest() -> None:
    one = Filter.parse({"platform": "x", "cause": "a & b"})

    assert one.query == "platform=x&cause=a+%26+b"
    assert one.with_changes(platform="").active == {"cause": "a & b"}
