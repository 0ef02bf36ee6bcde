"""The pages show true figures, link to the rows behind them, and show unknown figures as unknown."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from api_stub.ops import queries
from api_stub.ops.rendering import inline_code, number, seconds, share
from scheduler import row_counter
from tests.api_stub.ops.conftest import TOKEN, Ops, page

LATER = datetime.now(UTC) + timedelta(hours=3)


@pytest.fixture
def with_redis(database_url: str, redis_url: str) -> Iterator[Ops]:
    with page(database_url, ops_token=TOKEN, redis_url=redis_url) as running:
        running.rows.account()
        running.sign_in()
        yield running


def past() -> datetime:
    """Return the instant seven minutes before this call."""
    return datetime.now(UTC) - timedelta(minutes=7)


def tile(shown: str, label: str) -> str:
    """Return a tile's text, without tags."""
    found = re.search(rf'<span class="label">{label}</span>(.*?)</li>', shown, re.DOTALL)
    assert found, f"there is no tile {label}"
    return " ".join(re.sub(r"<[^>]+>", " ", html.unescape(found[1])).split())


def posts(shown: str) -> list[str]:
    return re.findall(r'href="/ops/publications/\d+">([^<]+)<', shown)


def mixed(ops: Ops) -> None:
    """Store rows of every kind."""
    ops.rows.account("acc_2", "ws_2", platform="x")
    ops.rows.account("acc_3", "ws_2", platform="tiktok", state="requires_reconnect", state_reason="Renew it.")
    ops.rows.publication(post_id="fresh", analytics={"attempted_at": datetime.now(UTC), "outcome": "synced"})
    ops.rows.publication(post_id="overdue", state={"next_run_at": past()})
    ops.rows.publication(
        "acc_2",
        post_id="broken",
        analytics={
            "sync_status": "failed",
            "outcome": "failed",
            "outcome_detail": "It <b>broke</b>.",
            "attempted_at": past(),
        },
        state={"reason": "retry", "next_run_at": LATER},
    )
    ops.rows.publication("acc_2", post_id="poison", state={"next_run_at": None, "reason": "quarantined"})
    ops.rows.publication(
        "acc_3",
        post_id="locked",
        analytics={"sync_status": "requires_reconnect", "outcome": "requires_reconnect"},
        state={"next_run_at": None, "reason": "blocked"},
    )


def test_figures_are_unknown_before_the_first_count(ops: Ops) -> None:
    shown = ops.get().text

    for label in ("Fresh", "Failed", "Refreshed", "Quarantine", "To reconnect"):
        assert tile(shown, label).startswith("\N{EN DASH}"), label
    assert tile(shown, "Workers").startswith("unknown")
    assert "first figures are being collected" in shown


def test_figures_equal_the_stored_rows(with_redis: Ops) -> None:
    mixed(with_redis)
    with_redis.write_summary()

    shown = with_redis.get().text

    assert tile(shown, "Fresh").startswith("33.3 %")  # one of the three that are polled
    assert tile(shown, "Oldest overdue").startswith("7 min")
    assert "1 due" in tile(shown, "Oldest overdue")
    assert tile(shown, "Refreshed").startswith("1 ")
    assert tile(shown, "Failed").startswith("1 of 5 publications")
    assert tile(shown, "To reconnect").startswith("1 of 3 accounts")
    assert tile(shown, "Quarantine").startswith("1 ")
    assert tile(shown, "Workers").startswith("0 alive")
    assert tile(shown, "Queue").startswith("0 ")
    assert "It &lt;b&gt;broke&lt;/b&gt;." in shown
    assert "Renew it." in shown


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_row_figures_appear_after_every_row_was_counted(
    ops: Ops, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_counter, "SLICE", 2)
    mixed(ops)

    ops.write_summary(steps=steps)

    failed = tile(ops.get().text, "Failed")
    assert failed.startswith("1 of 5" if steps == 3 else "\N{EN DASH}")
    assert ("are being counted" in ops.get().text) is (steps < 3)


def test_deleted_rows_leave_the_figures(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_counter, "SLICE", 2)
    mixed(ops)
    writer = ops.write_summary(steps=3)
    ops.rows.execute("DELETE FROM publications WHERE post_id IN ('broken', 'poison')")

    with ops.context.engine.connect() as connection:
        for _ in range(2):
            writer.counter.step(connection)
        writer.write(connection)

    assert tile(ops.get().text, "Failed").startswith("0 of 3")


def test_every_figure_links_to_its_rows(with_redis: Ops) -> None:
    mixed(with_redis)
    with_redis.write_summary()
    shown = with_redis.get().text

    links = [html.unescape(link) for link in re.findall(r'href="(/ops/publications\?[^"]+)"', shown)]

    assert len(links) > 10
    expected = {
        "/ops/publications?due=1": ["overdue"],
        "/ops/publications?status=failed": ["broken"],
        "/ops/publications?reason=quarantined": ["poison"],
        "/ops/publications?within=60": ["fresh"],
        "/ops/publications?platform=tiktok&status=requires_reconnect": ["locked"],
        "/ops/publications?platform=x&outcome=failed&cause=It%20%3Cb%3Ebroke%3C/b%3E.": ["broken"],
    }
    for link, found in expected.items():
        assert link in links
        assert posts(with_redis.get(link).text) == found
    for link in links:
        assert with_redis.get(link).status_code == 200


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
    mixed(ops)

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
    mixed(ops)

    shown = ops.get("/ops/accounts?state=requires_reconnect").text

    assert "acc_3" in shown
    assert "Renew it." in shown
    assert "acc_2" not in shown


def test_unreachable_redis_shows_unknown_instead_of_zero(database_url: str) -> None:
    with page(database_url, ops_token=TOKEN, redis_url="redis://127.0.0.1:1/0") as ops:
        ops.rows.account()
        ops.sign_in()
        ops.write_summary()

        shown = ops.get().text

        assert tile(shown, "Workers") == "unknown Redis does not answer."
        assert tile(shown, "Queue") == "unknown Redis does not answer."


def test_unreachable_database_is_a_503_without_figures() -> None:
    with page("postgresql+psycopg://nobody@127.0.0.1:1/nothing", ops_token=TOKEN) as ops:
        ops.sign_in()

        answer = ops.get()

    assert answer.status_code == 503
    assert "PostgreSQL does not answer" in answer.text
    assert 'class="value"' not in answer.text


def test_stale_figures_are_marked(ops: Ops) -> None:
    ops.write_summary()
    ops.rows.execute("UPDATE ops_summary SET counted_at = now() - interval '10 minutes'")

    assert "no scheduler updates them" in ops.get().text


def test_history_is_stored_and_charted(ops: Ops) -> None:
    mixed(ops)
    ops.write_summary()
    ops.rows.execute("UPDATE ops_history SET at = at - interval '1 hour'")
    ops.write_summary()

    shown = ops.get().text

    assert ops.rows.execute("SELECT count(DISTINCT at) FROM ops_history")[0][0] == 2
    assert shown.count('<path class="line"') == 3
    assert '<rect class="good"' in shown


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
