"""The overview shows true figures with links to their rows, and unknown figures as unknown."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from scheduler.summaries import row_counter
from tests.api_stub.ops.conftest import TOKEN, Ops, page
from tests.api_stub.ops.rows import posts, store_mixed_rows


@pytest.fixture
def with_redis(database_url: str, redis_url: str) -> Iterator[Ops]:
    with page(database_url, ops_token=TOKEN, redis_url=redis_url) as running:
        running.rows.account()
        running.sign_in()
        yield running


def tile(shown: str, label: str) -> str:
    """Return a tile's text, without tags."""
    match = re.search(rf'<span class="label">{label}</span>(.*?)</li>', shown, re.DOTALL)
    assert match, f"there is no tile {label}"
    return " ".join(re.sub(r"<[^>]+>", " ", html.unescape(match[1])).split())


def test_figures_are_unknown_before_the_first_count(ops: Ops) -> None:
    shown = ops.get().text

    for label in ("Fresh", "Failed", "Refreshed", "Quarantine", "To reconnect"):
        assert tile(shown, label).startswith("\N{EN DASH}"), label
    assert tile(shown, "Workers").startswith("unknown")
    assert "first figures are being collected" in shown


def test_figures_equal_the_stored_rows(with_redis: Ops) -> None:
    store_mixed_rows(with_redis)
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
    store_mixed_rows(ops)

    ops.write_summary(steps=steps)

    failed = tile(ops.get().text, "Failed")
    assert failed.startswith("1 of 5" if steps == 3 else "\N{EN DASH}")
    assert ("are being counted" in ops.get().text) is (steps < 3)


def test_deleted_rows_leave_the_figures(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_counter, "SLICE", 2)
    store_mixed_rows(ops)
    writer = ops.write_summary(steps=3)
    ops.rows.execute("DELETE FROM publications WHERE post_id IN ('broken', 'poison')")

    with ops.context.engine.connect() as connection:
        for _ in range(2):
            writer.counter.step(connection)
        writer.write(connection)

    assert tile(ops.get().text, "Failed").startswith("0 of 3")


def test_every_figure_links_to_its_rows(with_redis: Ops) -> None:
    store_mixed_rows(with_redis)
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
    for link, post_ids in expected.items():
        assert link in links
        assert posts(with_redis.get(link).text) == post_ids
    for link in links:
        assert with_redis.get(link).status_code == 200


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
    store_mixed_rows(ops)
    ops.write_summary()
    ops.rows.execute("UPDATE ops_history SET at = at - interval '1 hour'")
    ops.write_summary()

    shown = ops.get().text

    assert ops.rows.execute("SELECT count(DISTINCT at) FROM ops_history")[0][0] == 2
    assert shown.count('<path class="line"') == 4
    assert '<rect class="o-synced"' in shown


def test_share_of_reads_within_five_percent_is_shown_by_workspace_and_platform(ops: Ops) -> None:
    store_mixed_rows(ops)
    ops.write_summary()
    assert "Reads within 5 %" not in ops.get().text
    ops.rows.execute(
        "INSERT INTO read_accuracy VALUES ('ws_1', 'instagram', now(), 100, 97.5),"
        " ('ws_1', 'instagram', now() - interval '2 hours', 300, 262.5), ('ws_2', 'x', now(), 10, 4),"
        " ('ws_old', 'x', now() - interval '2 days', 10, 4)"
    )

    shown = ops.get().text
    table = re.search(r'<h2 id="accuracy">(.*?)</section>', shown, re.DOTALL)

    assert table
    rows = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in table[1].split("<tr>")[2:]]
    assert rows[0].startswith("ws_1")
    assert "90 %" in rows[0].replace(".0", "")
    assert rows[1].startswith("ws_2")
    assert len(rows) == 2


def test_needs_are_on_top_with_their_button_and_otherwise_all_is_well(ops: Ops) -> None:
    for _ in range(3):
        ops.rows.publication()
    ops.write_summary()
    ops.rows.execute(
        'UPDATE ops_summary SET payload = payload || \'{"workers": {"w": 8}, "redis_error": null}\''
    )
    assert "All well" in ops.get("/ops").text

    ops.rows.execute("UPDATE refresh_state SET reason = 'paused'")
    ops.rows.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason) VALUES"
        " ('instagram', 'credits', '', now() + interval '1 hour', 'Our credits are used up.')"
    )
    ops.write_summary()
    ops.rows.execute(
        'UPDATE ops_summary SET payload = payload || \'{"workers": {"w": 8}, "redis_error": null}\''
    )
    shown = ops.get("/ops").text

    assert shown.index("Needs you now") < shown.index("Oldest overdue")
    assert "Instagram is stopped: Our credits are used up" in shown
    assert "3 posts age" in re.sub(r"<[^>]+>", "", shown)
    assert 'action="/ops/try"' in shown
    assert "DravoOperatorNeeded in deploy/runbook" in shown


def test_refreshed_counts_what_was_synced_and_names_the_rest(ops: Ops) -> None:
    now = datetime.now(UTC)
    for outcome in ("synced", "paused", "paused"):
        ops.rows.publication(analytics={"attempted_at": now, "outcome": outcome})
    ops.write_summary()

    assert tile(ops.get("/ops").text, "Refreshed") == "1 synced in the last minute; 2 paused"
