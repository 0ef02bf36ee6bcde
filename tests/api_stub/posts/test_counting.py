"""Totals and deep pages computed from counts equal those from rows, and use indexes."""

import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from api_stub.posts import statements, workspace
from api_stub.posts.counting import split_range
from api_stub.posts.instants import Range
from tests.api_stub.support import Api

USUAL = st.integers(0, 120 * 86_400 * 4).map(
    lambda quarters: datetime(2023, 12, 1, tzinfo=UTC) + timedelta(seconds=quarters / 4)
)
LAST = st.integers(0, 60 * 86_400 * 4).map(
    lambda quarters: datetime.max.replace(tzinfo=UTC) - timedelta(seconds=quarters / 4)
)
INSTANTS = USUAL | LAST
BOUNDS = st.one_of(
    st.none(), INSTANTS, INSTANTS.map(lambda i: i.replace(hour=0, minute=0, second=0, microsecond=0))
)


@given(start=BOUNDS, end=BOUNDS, days=st.booleans(), instants=st.lists(INSTANTS, min_size=1))
def test_parts_of_a_range_cover_each_instant_once(
    start: datetime | None, end: datetime | None, days: Any, instants: list[datetime]
) -> None:
    parts = split_range(Range(start, end), days=days)

    for instant in instants:
        within = (start is None or instant >= start) and (end is None or instant < end)
        day = instant.date()
        parts_with_instant = sum(
            first <= (day.replace(day=1) if grain == "month" else day) < behind
            for grain, first, behind in parts.buckets
        ) + sum(first <= instant and (behind is None or instant < behind) for first, behind in parts.edges)
        assert parts_with_instant == (within and (start is None or end is None or start < end))
    assert days or all(grain == "month" for grain, _, _ in parts.buckets)


def at(text_of_instant: str) -> datetime:
    return datetime.fromisoformat(text_of_instant).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "buckets", "edges"),
    [
        ("2026-01-01", "2026-04-01", ["month 2026-01-01 2026-04-01"], []),
        ("2026-01-01", "2026-01-02", ["day 2026-01-01 2026-01-02"], []),
        ("2026-01-01", "2026-01-01", [], []),
        ("2026-01-02", "2026-01-01", [], []),
        ("2026-01-01 01:00", "2026-01-02", [], ["2026-01-01 01:00 2026-01-02 00:00"]),
        ("2026-01-01 01:00", "2026-01-01 02:00", [], ["2026-01-01 01:00 2026-01-01 02:00"]),
        (
            "2026-01-01 01:00",
            "2026-01-03 02:00",
            ["day 2026-01-02 2026-01-03"],
            ["2026-01-01 01:00 2026-01-02 00:00", "2026-01-03 00:00 2026-01-03 02:00"],
        ),
        (
            "2026-01-30 23:00",
            "2026-03-02 01:00",
            ["day 2026-01-31 2026-02-01", "month 2026-02-01 2026-03-01", "day 2026-03-01 2026-03-02"],
            ["2026-01-30 23:00 2026-01-31 00:00", "2026-03-02 00:00 2026-03-02 01:00"],
        ),
        ("2026-12-02", "2027-01-31", ["day 2026-12-02 2027-01-31"], []),
        (None, "2026-01-02", ["month 0001-01-01 2026-01-01", "day 2026-01-01 2026-01-02"], []),
        ("2026-12-01", None, ["month 2026-12-01 9999-12-31"], []),
        ("9999-12-30 12:00", None, [], ["9999-12-30 12:00 None"]),
    ],
)
def test_range_is_counted_by_months_then_days_and_the_rest_by_rows(
    start: str | None, end: str | None, buckets: list[str], edges: list[str]
) -> None:
    parts = split_range(Range(start and at(start), end and at(end)), days=True)  # type: ignore[arg-type] # no empty text

    shown = [" ".join(map(str, bucket)) for bucket in parts.buckets]
    rest = [" ".join(f"{one:%Y-%m-%d %H:%M}" if one else "None" for one in edge) for edge in parts.edges]
    assert (shown, rest) == (buckets, edges)


FILTERS: list[dict[str, str]] = [
    {},
    {"platform": "x"},
    {"accountId": "acc_1"},
    {"accountId": "acc_1", "platform": "instagram"},
    {"fromDate": "2026-01-03", "toDate": "2026-03-05T11:00:00Z"},
    {"platform": "x", "fromDate": "2026-01-03T05:00:00Z", "toDate": "2026-03-05T11:00:00Z"},
    {"accountId": "acc_x", "fromDate": "2026-01-03T05:00:00Z"},
    {"toDate": "2026-02-01T00:00:00Z"},
    {"postId": "p7"},
]


def fill(api: Api) -> None:
    api.rows.account("acc_x", platform="x")
    api.rows.account("acc_2", "ws_2", platform="x")
    api.rows.execute(
        """
        WITH added AS (
            INSERT INTO publications (workspace_id, post_id, account_id, platform, created_at)
            SELECT CASE WHEN n > 1500 THEN 'ws_2' ELSE 'ws_1' END, 'p' || n,
                   CASE WHEN n > 1500 THEN 'acc_2' WHEN n % 3 = 0 THEN 'acc_x' ELSE 'acc_1' END,
                   CASE WHEN n > 1500 OR n % 3 = 0 THEN 'x' ELSE 'instagram' END,
                   timestamptz '2026-01-01Z' + n % 1500 / 2 * interval '171 minutes'
              FROM generate_series(1, 1700) n RETURNING id
        ) INSERT INTO post_analytics (publication_id) SELECT id FROM added
        """
    )


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_deep_page_equals_the_page_found_by_skipping_rows(
    api: Api, monkeypatch: pytest.MonkeyPatch, filters: dict[str, str]
) -> None:
    fill(api)
    pages = (1, 2, 9, 33, 75, 151)
    skipped = [api.posts(page=page, limit=10, **filters) for page in pages]

    monkeypatch.setattr(workspace, "DEEP_OFFSET", 0)

    assert [api.posts(page=page, limit=10, **filters) for page in pages] == skipped
    assert all(page["total"] == len(every(api, filters)) for page in skipped)


def every(api: Api, filters: dict[str, str]) -> list[Any]:
    items: list[Any] = []
    for number in itertools.count(1):
        page = api.posts(page=number, limit=100, **filters)["items"]
        items += page
        if not page:
            break
    return items


def test_counts_follow_inserts_updates_and_deletes(api: Api) -> None:
    fill(api)
    api.rows.execute("UPDATE publications SET created_at = created_at + interval '40 days' WHERE id % 7 = 0")
    api.rows.execute("UPDATE publications SET text = 'new' WHERE id % 5 = 0")
    api.rows.execute("DELETE FROM publications WHERE id % 11 = 0")

    counted = api.rows.execute(
        "SELECT workspace_id, account_id, grain, bucket, platform, n FROM publication_counts WHERE n <> 0"
        " ORDER BY 1, 2, 3, 4, 5"
    )
    by_hand = api.rows.execute(
        """
        SELECT p.workspace_id, c.account_id, c.grain, c.bucket, p.platform, count(*)
          FROM publications p CROSS JOIN LATERAL (VALUES
            ('', 'day', p.created_at::date), ('', 'month', date_trunc('month', p.created_at)::date),
            (p.account_id, 'month', date_trunc('month', p.created_at)::date)) c (account_id, grain, bucket)
         GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
        """
    )
    assert counted == by_hand
    api.rows.execute("TRUNCATE publications CASCADE")
    assert api.posts()["total"] == 0


SHAPES = [statements.Shape(*flags) for flags in itertools.product((False, True), repeat=5)]


def plan(api: Api, statement: str) -> str:
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    numbered = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", statement)
    with api.rows.engine.connect() as connection:
        lines = connection.exec_driver_sql(f"EXPLAIN (GENERIC_PLAN) {numbered}".replace("%", "%%")).scalars()
        return "\n".join(lines)


@pytest.fixture
def skewed(api: Api) -> Api:
    """Give a database with one large workspace among many small ones, and fresh statistics."""
    api.rows.execute(
        "INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id)"
        " SELECT 'acc_of_' || w, 'ws_' || w, 'x', 'pa_' || w FROM generate_series(2, 500) w"
    )
    api.rows.execute(
        """
        INSERT INTO publications (workspace_id, post_id, account_id, platform, platform_post_id, created_at)
        SELECT 'ws_' || w, 'p' || n, CASE w WHEN 1 THEN 'acc_1' ELSE 'acc_of_' || w END,
               CASE w WHEN 1 THEN 'instagram' ELSE 'x' END, 'id_' || n,
               timestamptz '2026-01-01Z' + n * interval '1 minute'
          FROM generate_series(1, 30000) n
         CROSS JOIN LATERAL (SELECT CASE WHEN n % 2 = 0 THEN 1 ELSE 2 + n % 499 END AS w) o
        """
    )
    api.rows.execute(
        "INSERT INTO refresh_state (publication_id, account_id) SELECT id, account_id FROM publications"
    )
    api.rows.execute("INSERT INTO post_analytics (publication_id) SELECT id FROM publications")
    with api.rows.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return api


def test_no_statement_scans_a_table_or_sorts_a_whole_match(skewed: Api) -> None:
    pages = {str(shape): statements.page(shape) for shape in SHAPES}
    deep = {f"deep {shape}": statements.deep_page_start(shape) for shape in SHAPES if not shape.post}
    by_id = {name: getattr(statements, name) for name in ("ROWS", "NOT_YET_DUE", "REFRESH_PROGRESS", "LOCK")}

    for name, statement in {**pages, **deep, **by_id}.items():
        query_plan = plan(skewed, statement)
        assert not re.search(r"Seq Scan on (publication|post_analytics|refresh_state)", query_plan), (
            query_plan
        )
        assert not re.search(r"Sort Key: p_?\d*\.created_at.*\n\s+->  (Index|Bitmap)", query_plan), query_plan
        if name in by_id or "post=True" in name:
            assert not re.search(r"publications_\w*newest", query_plan), f"{name}\n{query_plan}"


def test_lookup_of_an_id_walks_no_workspace_whatever_the_statistics(api: Api) -> None:
    with api.rows.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE publications"))  # of an empty table: all indexes cost the same
    api.rows.execute(
        "INSERT INTO publications (workspace_id, post_id, account_id, platform, platform_post_id, created_at)"
        " SELECT 'ws_1', 'p' || n, 'acc_1', 'instagram', 'id_' || n, now() FROM generate_series(1, 3000) n"
    )

    query_plan = plan(api, statements.page(SHAPES[-1]))

    assert set(re.findall(r"(?:on|using) (publications_\w+)", query_plan)) == {
        "publications_post",
        "publications_platform_post_account",
        "publications_publish_account",
        "publications_pkey",
    }, query_plan


def test_deep_page_at_the_end_of_time_is_served(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "DEEP_OFFSET", 1)
    instants = [datetime(9999, 12, day, 23, tzinfo=UTC) for day in (1, 30, 31, 31)]
    for instant in [datetime(1, 1, 1, tzinfo=UTC), *instants]:
        api.rows.publication(created_at=instant)
    last = "post_of_the_last_microsecond"
    api.rows.publication(created_at=datetime.max.replace(tzinfo=UTC), post_id=last)

    for filters in (
        {},
        {"accountId": "acc_1"},
        {"platform": "instagram"},
        {"fromDate": "9999-12-02"},
        {"fromDate": "9999-12-31T05:00:00Z"},
        {"fromDate": "9999-12-31T23:59:59.999999Z"},
        {"accountId": "acc_1", "fromDate": "9999-12-31T05:00:00Z"},
    ):
        page = api.posts(limit=100, **filters)
        everything = [item["post_id"] for item in page["items"]]
        assert last in everything
        assert page["total"] == len(everything)
        singly = [
            item["post_id"]
            for page in range(1, len(everything) + 2)
            for item in api.posts(limit=1, page=page, **filters)["items"]
        ]
        assert singly == everything
