"""What a page of the feed costs: it reads as many changes as it shows, however many the workspace has."""

import re

import psycopg
from psycopg import sql

from shared.changes import feed
from shared.changes.cursor import BEGINNING, Kind, Position
from tests.servers import connect

LARGE = 10_000


def most_rows(connection: psycopg.Connection, after: Position) -> int:
    """Return the most rows that a step of a page's plan went through."""
    bound = feed.parameters("ws_1", after, feed.MAX_LIMIT)
    names = list(bound)
    statement = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", feed.PAGE)
    connection.execute(f"PREPARE page (text, text, uuid, bigint, bigint) AS {statement}".encode())
    values = sql.SQL(", ").join(map(sql.Literal, bound.values()))
    lines = connection.execute(sql.SQL("EXPLAIN (ANALYZE) EXECUTE page ({})").format(values)).fetchall()
    connection.execute("DEALLOCATE page")
    steps = re.findall(r"rows=([\d.]+) loops=(\d+)", "\n".join(line for (line,) in lines))
    return max(round(float(rows) * int(loops)) for rows, loops in steps)


def test_page_of_a_large_workspace_reads_no_more_than_it_shows(database_url: str) -> None:
    with connect(database_url) as connection:
        connection.execute(
            "INSERT INTO changes (publication_id, workspace_id, changed_in, changed_at)"
            " SELECT n, CASE WHEN n <= %s THEN 'ws_1' ELSE 'ws_' || n %% 50 + 2 END, '5', now()"
            " FROM generate_series(1, %s) n",
            [LARGE, 2 * LARGE],
        )
        connection.execute("VACUUM ANALYZE changes")
        # The API keeps one plan for every workspace; a sender's connections may get one for each.
        for plans in ("force_generic_plan", "force_custom_plan"):
            connection.execute(f"SET plan_cache_mode = {plans}".encode())
            for after in (BEGINNING, Position(5, Kind.PUBLICATION, LARGE // 2)):
                assert most_rows(connection, after) == feed.MAX_LIMIT + 1, (plans, after)
            assert most_rows(connection, Position(5, Kind.PUBLICATION, LARGE - 3)) == 3, plans
