"""What the list of publications costs: rows are scanned until the page is full."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from api_stub.ops import queries
from api_stub.ops.filters import Filter
from tests.api_stub.ops.conftest import Ops

STORED = 5_000


@pytest.fixture
def many(ops: Ops) -> Ops:
    """Give a database with more publications than a page needs; one in fifty is X's."""
    ops.rows.account("acc_2", "ws_2", platform="x")
    ops.rows.execute(
        "INSERT INTO publications (workspace_id, post_id, account_id, platform, platform_post_id, created_at)"
        " SELECT 'ws_1', 'p' || n, CASE n % 50 WHEN 0 THEN 'acc_2' ELSE 'acc_1' END,"
        " CASE n % 50 WHEN 0 THEN 'x' ELSE 'instagram' END, 'id_' || n, now()"
        f" FROM generate_series(1, {STORED}) n"
    )
    ops.rows.execute(
        "INSERT INTO refresh_state (publication_id, account_id, next_run_at, reason)"
        " SELECT id, account_id, now() - id * interval '1 minute', 'stale' FROM publications"
    )
    ops.rows.execute("INSERT INTO post_analytics (publication_id) SELECT id FROM publications")
    ops.rows.execute("ANALYZE publications, refresh_state, post_analytics")
    return ops


def most_rows(ops: Ops, wanted: Filter, **options: Any) -> tuple[int, int]:
    """Return the length of a page, and the most rows that a step of its statements' plans went through."""
    most = 0
    with ops.rows.engine.connect() as connection:

        def explain(_: object, cursor: Any, statement: str, parameters: Any, *_more: object) -> None:
            nonlocal most
            if not statement.startswith("EXPLAIN"):
                cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, parameters)
                most = max(most, *rows_of(cursor.fetchone()[0][0]["Plan"]))

        event.listen(connection, "before_cursor_execute", explain)
        page = queries.publications(connection, wanted, **options)
    return len(page.rows), most


def rows_of(node: dict[str, Any]) -> Iterator[int]:
    yield int(node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0))
    for part in node.get("Plans", ()):
        yield from rows_of(part)


@pytest.mark.parametrize(
    "wanted", [Filter(), Filter(due="1"), Filter(account="acc_1"), Filter(reason="stale")]
)
def test_page_that_the_newest_rows_fill_scans_no_more(many: Ops, wanted: Filter) -> None:
    for options in ({}, {"below": STORED - 100}, {"oldest_first": True}):
        length, most = most_rows(many, wanted, **options)

        assert length == queries.PAGE
        assert most <= queries.FIRST_SCANNED + queries.PAGE


def test_page_of_a_rare_value_goes_on_scanning(many: Ops) -> None:
    length, most = most_rows(many, Filter(platform="x"))

    assert length == queries.PAGE
    assert most >= queries.PAGE * 50
