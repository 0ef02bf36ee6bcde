"""Pages of lists and searches: where the next page begins, and what a page of exactly its size says."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_stub.ops import queries, sorting
from shared.operations import audit_log
from shared.operations.audit_log import Operator
from tests.api_stub.ops.conftest import Ops
from tests.api_stub.ops.rows import posts


def following(shown: str, parameter: str) -> str | None:
    """Return the link of a page to the next one."""
    match = re.search(rf'href="(/ops/[^"]*[?;]{parameter}=[^"]+)"', shown)
    return html.unescape(match[1]) if match else None


@pytest.mark.parametrize(
    ("path", "parameter"), [("?", "below"), ("?sort=platform", "skip"), ("?due=1", "below")]
)
def test_page_of_exactly_its_size_is_the_last(
    ops: Ops, monkeypatch: pytest.MonkeyPatch, path: str, parameter: str
) -> None:
    for number in range(3):
        past = datetime.now(UTC) - timedelta(minutes=number + 1)
        ops.rows.publication(post_id=f"p{number}", state={"next_run_at": past})

    for size, more in ((3, False), (2, True)):
        monkeypatch.setattr(queries, "PAGE", size)
        monkeypatch.setattr(sorting, "PAGE", size)
        shown = ops.get(f"/ops/publications{path}").text
        assert len(posts(shown)) == size
        assert bool(following(shown, parameter)) is more


def test_accounts_and_audit_log_show_every_entry_once(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "PAGE", 2)
    for number in (4, 2, 3, 5):
        ops.rows.account(f"acc_{number}", "ws_2")
    with ops.context.engine.begin() as connection:
        for number in range(4):
            audit_log.record(connection, Operator(f"Operator {number}", "page"), "pause", {"all": True})

    def walk(path: str | None, parameter: str, pattern: str) -> list[list[str]]:
        pages = []
        while path is not None:
            shown = ops.get(path).text
            pages.append(list(dict.fromkeys(re.findall(pattern, shown))))
            path = following(shown, parameter)
        return pages

    accounts = walk("/ops/accounts?workspace=ws_2", "after", r">(acc_\d)<")
    entries = walk("/ops/audit-log", "before", r"Operator \d")

    assert accounts == [["acc_2", "acc_3"], ["acc_4", "acc_5"]]
    assert entries == [["Operator 3", "Operator 2"], ["Operator 1", "Operator 0"]]


def test_longest_overdue_rows_are_sorted_however_many_newer_ones_are_due(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "MAX_SCANNED", 2)
    for number in (1, 2, 3):
        past = datetime.now(UTC) - timedelta(hours=5 - number)
        ops.rows.publication(post_id=f"p{number}", state={"next_run_at": past})

    shown = ops.get("/ops/publications?due=1&sort=late").text

    assert posts(shown) == ["p1", "p2"]
    assert "Sorted among" in shown
    assert posts(ops.get("/ops/publications?sort=status").text) == ["p3", "p2"]


def test_search_shows_all_publications_of_an_id_and_takes_words_literally(ops: Ops) -> None:
    ops.rows.account("acc_bakery", "ws_9", name="The 100% Bakery")
    for account in ("acc_1", "acc_bakery"):
        ops.rows.publication(account, post_id="twin", text="twins")
    ops.rows.publication(post_id="other", text="not the twin")

    assert sorted(posts(ops.get("/ops/publications?q=twin").text)) == ["twin", "twin"]
    assert "acc_bakery" in ops.get("/ops/publications?q=pa_acc_bak").text
    assert "acc_bakery" not in ops.get("/ops/publications?q=The%25Bakery").text
    assert ops.get("/ops/publications/9999999999999999999").status_code == 404


def test_newest_snapshots_are_charted_in_their_order(ops: Ops) -> None:
    publication = ops.rows.publication()
    for day in (3, 1, 2):
        at = datetime(2026, 6, day, tzinfo=UTC)
        row: dict[str, Any] = {"taken_at": at, "last_seen_at": at, "metrics": {"views": day}}
        ops.rows.insert(
            "snapshots", {"publication_id": publication, "claim_seq": 1, "sync_status": "synced", **row}
        )

    with ops.context.engine.connect() as connection:
        newest = queries.snapshots(connection, publication, most=2)

    assert [one.metrics["views"] for one in newest] == [2, 3]


def test_pauses_of_operators_come_first(ops: Ops) -> None:
    for platform, kind, hours in (("x", "app", 9), ("tiktok", "operator_platform", 1), ("x", "credits", 5)):
        ops.rows.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            f" VALUES (:platform, :kind, '', now() + interval '{hours} hours', 'why')",
            platform=platform,
            kind=kind,
        )

    with ops.context.engine.connect() as connection:
        assert queries.pauses(connection)[0].kind == "operator_platform"
