"""The pages of publications and accounts: filters, paging, details, search."""

import html
import re
from datetime import UTC, datetime, timedelta

import pytest

from api_stub.ops import queries
from tests.api_stub.ops.conftest import Ops
from tests.api_stub.ops.rows import posts, store_mixed_rows


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"fresh", "overdue", "broken", "poison", "locked"}),
        ("platform=x", {"broken", "poison"}),
        ("platform=x&status=failed", {"broken"}),
        ("platform=instagram&status=failed", set()),
        ("workspace=ws_2", {"broken", "poison", "locked"}),
        ("workspace=ws_2&reason=blocked", {"locked"}),
        ("account=acc_1", {"fresh", "overdue"}),
        ("account=acc_1&due=1", {"overdue"}),
        ("reason=retry&outcome=failed", {"broken"}),
        ("account=nobody", set()),
    ],
)
def test_filters_combine(ops: Ops, query: str, expected: set[str]) -> None:
    store_mixed_rows(ops)

    assert set(posts(ops.get(f"/ops/publications?{query}").text)) == expected


@pytest.mark.parametrize(
    "query", ["platform=myspace", "status=odd", "reason=odd", "within=-1", "within=x", f"account={'a' * 501}"]
)
def test_invalid_filter_is_refused(ops: Ops, query: str) -> None:
    answer = ops.get(f"/ops/publications?{query}")

    assert answer.status_code == 400
    assert "Invalid input" in answer.text


def test_paging_shows_every_row_once(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "PAGE", 3)
    stored = {f"p{place}" for place in range(8)}
    for post in sorted(stored):
        ops.rows.publication(post_id=post, analytics={"sync_status": "failed"})

    seen, path = [], "/ops/publications?status=failed"
    while path:
        shown = ops.get(path).text
        seen += posts(shown)
        more = re.search(r'href="(/ops/publications\?[^"]*below=[^"]*)"', shown)
        path = html.unescape(more[1]) if more else ""

    assert seen == sorted(stored, reverse=True)


def test_rare_row_is_found_by_scanning_further(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_SCANNED", 4)
    ops.rows.publication(post_id="rare", analytics={"outcome": "processing"})
    for _ in range(5):
        ops.rows.publication()

    first_page = ops.get("/ops/publications?outcome=processing").text
    further = re.search(r'href="(/ops/publications\?[^"]*below=[^"]*)">Scan further', first_page)

    assert posts(first_page) == []
    assert further
    assert posts(ops.get(html.unescape(further[1])).text) == ["rare"]


def test_overdue_rows_are_ordered_by_wait_on_the_first_page(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE", 2)
    for minutes in (3, 9, 6):
        ops.rows.publication(
            post_id=f"m{minutes}", state={"next_run_at": datetime.now(UTC) - timedelta(minutes=minutes)}
        )

    shown = ops.get("/ops/publications?due=1").text
    assert posts(shown) == ["m9", "m6"]
    more = re.search(r'href="(/ops/publications\?[^"]*below=[^"]*)"', shown)
    assert more
    assert posts(ops.get(html.unescape(more[1])).text) == ["m6", "m9"]


def test_publication_page_shows_status_advice_and_history(ops: Ops) -> None:
    publication = ops.rows.publication(
        post_id="explained",
        text="<script>alert(1)</script>",
        platform_post_url="javascript:alert(1)",
        analytics={"metrics": {"views": 12_345, "likes": 7}, "warnings": ["post_missing: look again"]},
    )
    for hours, views in ((3, 10), (2, 400), (1, 12_345)):
        taken_at = datetime.now(UTC) - timedelta(hours=hours)
        ops.rows.insert(
            "snapshots",
            {
                "publication_id": publication,
                "taken_at": taken_at,
                "last_seen_at": taken_at,
                "claim_seq": 1,
                "sync_status": "synced",
                "metrics": {"views": views},
            },
        )

    shown = ops.get(f"/ops/publications/{publication}").text

    assert "12\N{NARROW NO-BREAK SPACE}345" in shown
    assert 'aria-label="views over time"' in shown
    assert "its numbers are stale from then on" in shown
    assert "<code>dravo resync --post explained</code>" in shown
    assert "post_missing: look again" in shown
    assert "javascript:" not in shown
    assert "<script>alert" not in shown
    unknown = ops.get("/ops/publications/999999999999999999999999")
    assert unknown.status_code == 404
    assert "No publication has the id 999999999999999999999999." in unknown.text


def test_publication_page_names_an_operators_pause(ops: Ops) -> None:
    publication = ops.rows.publication()
    ops.send("/ops/pause", workspace="ws_1", reason="their wish")

    shown = ops.get(f"/ops/publications/{publication}").text

    assert "their wish" in shown
    assert "An operator has paused it" in shown


@pytest.mark.parametrize("name", ["post_77", "18000000000000077", "there"])
def test_publication_is_found_by_any_of_its_ids(ops: Ops, name: str) -> None:
    publication = ops.rows.publication(
        post_id="post_77", platform_post_id="18000000000000077", publish_id="there"
    )
    ops.rows.publication()

    answer = ops.get("/ops/publications", params={"q": name})

    assert answer.headers["location"] == f"/ops/publications/{publication}"
    assert "No publication has that id" in ops.get("/ops/publications?q=nothing%00").text


def test_accounts_are_listed_by_state(ops: Ops) -> None:
    store_mixed_rows(ops)

    shown = ops.get("/ops/accounts?state=requires_reconnect").text

    assert "acc_3" in shown
    assert "Renew it." in shown
    assert "acc_2" not in shown


def test_holds_page_names_who_set_a_pause_and_resumes_it(ops: Ops) -> None:
    ops.rows.publication()
    ops.send("/ops/pause", account="acc_1", reason="their wish", length="1h", next="/ops")

    shown = ops.get("/ops/holds?account=acc_1").text

    assert "their wish" in shown
    assert "Anna (session" in shown
    assert 'action="/ops/resume"' in shown
    ops.send("/ops/resume", account="acc_1", next="/ops/holds?account=acc_1")
    assert "Nothing holds it back" in ops.get("/ops/holds?account=acc_1").text
    assert ops.get("/ops/holds?platform=nowhere").status_code == 400
    assert ops.get("/ops/holds").status_code == 400


def test_workers_page_shows_processes_threads_and_current_jobs(ops: Ops) -> None:
    assert "No scheduler has queried the workers yet" in ops.get("/ops/workers").text
    details = {
        "host:7": {
            "version": "0.2.0",
            "started_at": "2026-01-01T00:00:00+00:00",
            "threads": 8,
            "jobs": [{"account_id": "acc_9", "publications": 20, "seconds": 3.5}],
        }
    }
    ops.rows.insert(
        "ops_summary",
        {
            "part": "live",
            "payload": {"workers": {"host:7": 8, "old:1": 4}, "worker_details": details},
            "counted_from": datetime.now(UTC),
            "counted_at": datetime.now(UTC),
        },
    )

    shown = re.sub(r"<[^>]+>", " ", ops.get("/ops/workers").text)

    assert "2 processes" in shown
    assert "acc_9" in shown
    assert "20 posts, 3 s" in shown
    assert "not reported" in shown


def test_search_finds_accounts_by_name_and_publications_by_their_words(ops: Ops) -> None:
    ops.rows.account("acc_bakery", "ws_9", name="The 100% Bakery")
    for number in range(2):
        ops.rows.publication("acc_bakery", post_id=f"bread_{number}", text="Fresh bread, every day")
    ops.rows.publication(post_id="other", text="Cars")

    assert "acc_bakery" in ops.get("/ops/publications?q=100%25 bak").text
    assert "acc_bakery" not in ops.get("/ops/publications?q=100_").text
    words = ops.get("/ops/publications?q=bread, every").text
    assert ("bread_0" in words, "bread_1" in words, "other" in words) == (True, True, False)
    assert "/ops/holds?workspace=ws_9" in ops.get("/ops/publications?q=ws_9").text


def test_list_shows_its_total_and_may_begin_with_the_oldest(ops: Ops) -> None:
    for number in range(queries.PAGE + 2):
        ops.rows.publication(post_id=f"post_{number:03}", text=f"Words of {number}")

    newest = ops.get("/ops/publications").text
    oldest = ops.get("/ops/publications?sort=oldest").text
    more = re.search(r'href="(/ops/publications\?sort=oldest&amp;below=\d+)"', oldest)

    assert f"{queries.PAGE + 2} publications, the newest first" in newest
    assert "Words of 51" in newest
    assert posts(oldest)[:2] == ["post_000", "post_001"]
    assert more
    assert posts(ops.get(html.unescape(more[1])).text) == ["post_050", "post_051"]


@pytest.mark.parametrize(
    ("sort", "listed"),
    [
        ("", ["locked", "poison", "broken", "overdue", "fresh"]),
        ("late", ["overdue", "broken", "fresh", "locked", "poison"]),
        ("status", ["broken", "locked", "poison", "overdue", "fresh"]),
        ("platform", ["overdue", "fresh", "locked", "poison", "broken"]),
        ("attempt", ["fresh", "broken", "locked", "poison", "overdue"]),
        ("fetched", ["poison", "fresh", "overdue", "broken", "locked"]),
    ],
)
def test_list_is_sorted_as_wanted(ops: Ops, sort: str, listed: list[str]) -> None:
    store_mixed_rows(ops)
    later = "UPDATE refresh_state SET next_run_at = now() + interval '9 hours'"
    ops.rows.execute(f"{later} WHERE reason = 'stale' AND next_run_at > now()")
    poison = "(SELECT id FROM publications WHERE post_id = 'poison')"
    ops.rows.execute(f"UPDATE post_analytics SET last_updated_at = NULL WHERE publication_id = {poison}")

    assert posts(ops.get(f"/ops/publications?sort={sort}").text) == listed


def test_sorted_list_has_pages_and_keeps_filter_and_order(ops: Ops) -> None:
    ops.rows.account("acc_x", "ws_2", platform="x")
    for number in range(queries.PAGE + 2):
        account = "acc_x" if number == 3 else "acc_1"
        ops.rows.publication(*(["acc_x"] if account == "acc_x" else []), post_id=f"post_{number:03}")

    first = ops.get("/ops/publications?status=synced&sort=platform").text
    more = re.search(r'href="(/ops/publications\?status=synced&amp;sort=platform&amp;skip=50)"', first)

    assert more
    assert posts(ops.get(html.unescape(more[1])).text) == ["post_000", "post_003"]
    assert "by platform" in first


def test_list_of_accounts_shows_its_total(ops: Ops) -> None:
    store_mixed_rows(ops)

    assert "3 accounts" in ops.get("/ops/accounts").text
    assert "1 account<" in ops.get("/ops/accounts?state=requires_reconnect").text
    assert "No account matches" in ops.get("/ops/accounts?platform=linkedin").text
