"""The audit log stores a selection so that it is read back unchanged."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from shared.operations.selection import Selection
from shared.vocabulary import Platform, Reason, SyncStatus

NOON = datetime(2026, 6, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("selection", "subject"),
    [
        (Selection(), {"all": "all"}),
        (Selection(ids=()), {"publications": []}),
        (Selection(ids=(3, 5), accounts=("acc_1",)), {"publications": [3, 5], "account": "acc_1"}),
        (
            Selection(platforms=(Platform.X, Platform.TIKTOK), workspaces=("ws_1",)),
            {"platform": ["x", "tiktok"], "workspace": "ws_1"},
        ),
        (
            Selection(
                statuses=(SyncStatus.FAILED,), reasons=(Reason.RETRY,), outcomes=("gone",), causes=("it",)
            ),
            {"status": "failed", "reason": "retry", "outcome": "gone", "cause": "it"},
        ),
        (Selection(due=True, within=300), {"due": "1", "within": "300"}),
        (
            Selection(created_from=NOON, created_before=NOON + timedelta(days=1)),
            {"from": "2026-06-23T12:00:00+00:00", "before": "2026-06-24T12:00:00+00:00"},
        ),
    ],
)
def test_selection_is_stored_and_read_back(selection: Selection, subject: dict[str, Any]) -> None:
    assert selection.to_audit() == subject
    assert Selection.from_audit(subject) == selection


@pytest.mark.parametrize(
    "subject", [{}, {"post": ["post_1"]}, {"to": "2026-06-23"}, {"platform": "myspace"}, {"within": "soon"}]
)
def test_other_subjects_are_refused(subject: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Selection.from_audit(subject)


def test_instants_of_other_zones_select_the_same_rows() -> None:
    read = Selection.from_audit({"from": "2026-06-23T14:00:00+02:00", "before": "2026-06-24"})

    assert read.created_from == NOON.astimezone(timezone(timedelta(hours=2)))
    assert read.created_before == datetime(2026, 6, 24, tzinfo=UTC)
