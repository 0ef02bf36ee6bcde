"""The rows that a selection finds, compared with what each filter means, among rows in every state."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any, Final

import pytest
from sqlalchemy import Connection

from shared.operations import audit_log, selection
from shared.operations.audit_log import AuditEntry
from shared.operations.explain import find
from shared.operations.selection import Selection, next_rows
from shared.vocabulary import Platform, Reason, SyncStatus
from tests.harness import Harness

NOON: Final = datetime(2026, 6, 23, 12, tzinfo=UTC)
SECOND: Final = timedelta(seconds=1)
OUTCOMES: Final = ("synced", "gone", None)
LONG: Final = "x" * 199


@pytest.fixture
def rows(harness: Harness) -> list[dict[str, Any]]:
    """Store 48 rows of four accounts whose columns vary independently; return what the filters see."""
    for number, platform in enumerate((Platform.X, Platform.X, Platform.TIKTOK, Platform.INSTAGRAM)):
        harness.account(f"acc_{number}", platform, workspace_id=f"ws_{number // 2}")
        harness.publications(f"acc_{number}", 12)
    harness.execute("UPDATE accounts SET state = 'disconnected' WHERE account_id = 'acc_3'")
    statuses, reasons = list(SyncStatus), list(Reason)
    ids = [one for (one,) in harness.execute("SELECT id FROM publications ORDER BY id")]
    for place, one in enumerate(ids):
        harness.execute(
            "UPDATE refresh_state SET reason = :reason, next_run_at = now() + CAST(:wait AS interval)"
            " WHERE publication_id = :id",
            id=one,
            reason=reasons[place % len(reasons)].value,
            wait=None if place % 7 == 0 else timedelta(hours=place % 3 - 1, seconds=-1),
        )
        harness.execute(
            "UPDATE post_analytics SET sync_status = :status, outcome = :outcome, outcome_detail = :detail,"
            " attempted_at = now() - CAST(:age AS interval) WHERE publication_id = :id",
            id=one,
            status=statuses[place % len(statuses)].value,
            outcome=OUTCOMES[place % 3],
            detail=None if place % 4 == 0 else LONG + "abc"[place % 3] + "tail" * (place % 2),
            age=None if place % 5 == 0 else timedelta(minutes=place),
        )
        harness.execute(
            "UPDATE publications SET created_at = :at, platform_post_id = :there, publish_id = :publish"
            " WHERE id = :id",
            id=one,
            at=NOON + place * SECOND,
            there=f"there_{one}" if place % 6 else None,
            publish=f"publish_{one}" if place % 12 == 0 else None,
        )
    stored = harness.execute(
        "SELECT p.*, r.*, pa.*, a.*, now() AS now FROM publications p"
        " JOIN refresh_state r ON r.publication_id = p.id JOIN post_analytics pa ON pa.publication_id = p.id"
        " JOIN accounts a ON a.account_id = p.account_id ORDER BY p.id"
    )
    return [dict(row._mapping) for row in stored]


FILTERS: Final[list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]]] = [
    ({"accounts": ("acc_0",)}, lambda row: row["account_id"] == "acc_0"),
    ({"accounts": ("acc_1", "acc_2")}, lambda row: row["account_id"] in {"acc_1", "acc_2"}),
    ({"platforms": (Platform.X,)}, lambda row: row["platform"] == "x"),
    ({"workspaces": ("ws_1",)}, lambda row: row["workspace_id"] == "ws_1"),
    ({"statuses": (SyncStatus.FAILED,)}, lambda row: row["sync_status"] == "failed"),
    (
        {"statuses": (SyncStatus.SYNCED, SyncStatus.PARTIAL)},
        lambda row: row["sync_status"] in {"synced", "partial"},
    ),
    ({"reasons": (Reason.RETRY,)}, lambda row: row["reason"] == "retry"),
    ({"reasons": (Reason.STALE, Reason.RETRY)}, lambda row: row["reason"] in {"stale", "retry"}),
    ({"outcomes": ("gone",)}, lambda row: row["outcome"] == "gone"),
    ({"causes": (LONG + "b",)}, lambda row: (row["outcome_detail"] or "")[:200] == LONG + "b"),
    (
        {"due": True},
        lambda row: row["next_run_at"] is not None and row["next_run_at"] <= row["now"],
    ),
    (
        {"within": 1_000},
        lambda row: (
            row["attempted_at"] is not None and row["now"] - row["attempted_at"] < timedelta(seconds=1_000)
        ),
    ),
    ({"created_from": NOON + 9 * SECOND}, lambda row: row["created_at"] >= NOON + 9 * SECOND),
    ({"created_before": NOON + 40 * SECOND}, lambda row: row["created_at"] < NOON + 40 * SECOND),
]


def paged(connection: Connection, selected: Selection, most: int) -> Iterator[Any]:
    after: int | None = 0
    while after is not None:
        matching, after = next_rows(connection, selected, after=after, most=most)
        yield from matching


def test_selection_finds_the_rows_for_which_all_filters_hold(
    harness: Harness, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "SCANNED_AT_ONCE", 20)
    chosen = [(one, other) for one, other in combinations(FILTERS, 2) if one[0].keys() != other[0].keys()]
    with harness.engine.connect() as connection:
        for pair in [*((one,) for one in FILTERS), *chosen]:
            named = {name: value for values, _ in pair for name, value in values.items()}
            expected = [row["id"] for row in rows if all(holds(row) for _, holds in pair)]

            matching = list(paged(connection, Selection(**named), most=7))

            assert [row.id for row in matching] == expected, named
        assert [row.id for row in paged(connection, Selection(), most=48)] == [row["id"] for row in rows]
        assert list(paged(connection, Selection(ids=()), most=5)) == []
        one = rows[5]["id"]
        assert [row.id for row in paged(connection, Selection(ids=(one,), platforms=(Platform.X,)), 9)] == [
            one
        ]


def test_row_is_refreshable_with_an_id_an_active_account_and_outside_quarantine(
    harness: Harness, rows: list[dict[str, Any]]
) -> None:
    with harness.engine.connect() as connection:
        matching = list(paged(connection, Selection(), most=500))
    expected = [
        row["state"] == "active"
        and row["reason"] not in {"quarantined", "blocked"}
        and (row["platform_post_id"] or row["publish_id"]) is not None
        for row in rows
    ]
    assert [row.refreshable for row in matching] == expected
    assert [row.workspace_id for row in matching] == [row["workspace_id"] for row in rows]
    assert {True, False} == set(expected)


def test_name_finds_publications_by_any_of_their_ids(harness: Harness) -> None:
    harness.account("acc_1", Platform.TIKTOK)
    harness.account("acc_2", Platform.TIKTOK)
    first, second, third = (*harness.publications("acc_1", 2), *harness.publications("acc_2"))
    for one, post, there, publish in (
        (first, "post_a", "71", None),
        (second, "post_b", None, "71"),
        (third, str(first), "72", None),
    ):
        harness.execute(
            "UPDATE publications SET post_id = :post, platform_post_id = :there, publish_id = :publish"
            " WHERE id = :id",
            id=one,
            post=post,
            there=there,
            publish=publish,
        )
    with harness.engine.connect() as connection:
        assert find(connection, "post_a") == [first]
        assert find(connection, "71") == [first, second]
        assert find(connection, str(first)) == [first, third]
        assert find(connection, str(second)) == [second]
        for name in ("²", "-1", "9223372036854775807", "9223372036854775808", "9" * 30, ""):
            assert find(connection, name) == []


@pytest.mark.parametrize(
    ("action", "subject", "reason", "rows", "sentence"),
    [
        (
            "pause",
            {"platform": "x", "until": "2026-06-23"},
            "a wish",
            None,
            "ada paused x until 2026-06-23: a wish",
        ),
        ("resume", {"all": "all"}, None, None, "ada resumed everything"),
        ("resync", {"publications": [1]}, None, 1, "ada re-synced publication 1 (1 publication)"),
        (
            "release",
            {"publications": [1, 2, 3, 4, 5]},
            None,
            1_200,
            "ada released from quarantine publication 1, 2, 3 and 2 more (1,200 publications)",
        ),
        ("resync", {"publications": [1, 2, 3]}, None, 0, "ada re-synced publication 1, 2, 3"),
        (
            "try",
            {"account": "acc_1", "platform": "x"},
            None,
            4,
            "ada tried to end the stop of account acc_1, x",
        ),
        ("polish", {"cause": "It timed out."}, None, 3, "ada polish failures with the cause It timed out."),
    ],
)
def test_entry_is_one_sentence(
    action: str, subject: dict[str, Any], reason: str | None, rows: int | None, sentence: str
) -> None:
    entry = AuditEntry(1, NOON, None, "ada", "command", action, subject, reason, rows, None)

    assert audit_log.sentence(entry) == sentence


def test_deployment_is_recorded_when_the_version_differs_from_the_last_one(harness: Harness) -> None:
    for version in ("1", "1", "2", "1"):
        with harness.engine.begin() as connection:
            audit_log.record_deployment(connection, version)
            audit_log.record(connection, audit_log.Operator("ada", "page"), "pause", {"version": "9"})

    stored = harness.execute(
        "SELECT subject ->> 'version', ended_at IS NOT NULL, operator, via FROM operator_acts"
        " WHERE act = 'deploy' ORDER BY act_id"
    )
    assert [tuple(one) for one in stored] == [(v, True, "scheduler", "service") for v in ("1", "2", "1")]
