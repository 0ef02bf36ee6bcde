"""Transactions that are open at once and commit in every order: a follower of the feed misses nothing."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.changes import feed
from shared.changes.cursor import BEGINNING, Position
from tests.harness import Harness
from tests.servers import connect
from tests.shared.changes.test_maintenance import KEEP

WRITERS: Final = 3
PUBLICATIONS: Final = 3
HORIZON: Final = "pg_snapshot_xmin(pg_current_snapshot())"

Step = tuple[str, int, int]
"""What happens, the writer that does it, and the publication."""

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "commit", "roll back", "read"]),
        st.integers(0, WRITERS - 1),
        st.integers(0, PUBLICATIONS - 1),
    ),
    max_size=20,
)
# The second transaction changes its row and commits while the first one, older, is still open.
OVERTAKEN: Final[list[Step]] = [
    ("write", 0, 0),
    ("write", 1, 1),
    ("commit", 1, 0),
    ("read", 0, 0),
    ("commit", 0, 0),
]


class Follower:
    """Follows the feed with one cursor and keeps the newest change of each publication."""

    def __init__(self, connection: psycopg.Connection, statement: str = feed.PAGE) -> None:
        self._connection = connection
        self._statement = statement.encode()
        self._after: Position = BEGINNING
        self.rows: dict[str, Any] = {}
        self.numbers: dict[str, int] = {}

    def read(self, limit: int = 2) -> None:
        """Read until it is caught up."""
        more = True
        while more:
            bound = feed.parameters("ws_1", self._after, limit)
            rows = self._connection.execute(self._statement, bound).fetchall()
            page = feed.page_of(rows, self._after, None, KEEP, limit)
            assert page.cursor.position >= self._after
            self._after, more = page.cursor.position, page.has_more
            for change in page.changes:
                self._store(change.body)

    def _store(self, body: Any) -> None:
        if "publication_id" not in body:
            return
        key, number = body["publication_id"], int(body["change"])
        assert number > self.numbers.get(key, 0)
        self.numbers[key] = number
        self.rows[key] = body["item"]["error_message"]


class World:
    """Writers, each with a transaction that may be open, and the rows that they write."""

    def __init__(self, url: str, rows: list[int]) -> None:
        self.rows = rows
        self._connections = [connect(url) for _ in range(WRITERS)]
        self._open: dict[int, set[int]] = {}
        self._values = 0

    def apply(self, step: Step, follower: Follower) -> None:
        """Do one step; a write that would wait for another writer's row is left out."""
        kind, writer, row = step
        if kind == "read":
            follower.read()
        elif kind == "write":
            if any(row in locked for other, locked in self._open.items() if other != writer):
                return
            if writer not in self._open:
                self._connections[writer].execute("BEGIN")
            self._open.setdefault(writer, set()).add(row)
            self._values += 1
            self._connections[writer].execute(
                "UPDATE post_analytics SET error_message = %s WHERE publication_id = %s",
                [str(self._values), self.rows[row]],
            )
        elif writer in self._open:
            self._connections[writer].execute("COMMIT" if kind == "commit" else "ROLLBACK")
            del self._open[writer]

    def end(self) -> None:
        """Commit what is open."""
        for writer in list(self._open):
            self._connections[writer].execute("COMMIT")
        self._open.clear()

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.close()


@pytest.fixture
def world(harness: Harness, database_url: str) -> Iterator[World]:
    rows = harness.publications(harness.account("acc_1"), PUBLICATIONS)
    with closing(World(database_url, rows)) as opened:
        yield opened


def follow(url: str, world: World, steps: list[Step], statement: str = feed.PAGE) -> tuple[Any, Any]:
    """Run the steps; return what a follower has at the end, and what is served."""
    with connect(url) as reader:
        follower = Follower(reader, statement)
        try:
            for step in steps:
                world.apply(step, follower)
        finally:
            world.end()
        follower.read()
        served = reader.execute("SELECT publication_id::text, error_message FROM post_analytics").fetchall()
        return follower.rows, dict(served)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@example(OVERTAKEN)
@given(steps=STEPS)
def test_follower_has_what_is_served_whatever_the_order_of_commits(
    database_url: str, world: World, steps: list[Step]
) -> None:
    follower, served = follow(database_url, world, steps)

    assert follower == served


def test_without_the_horizon_a_change_is_missed(database_url: str, world: World) -> None:
    """The control: the same steps, and a statement that reads whatever is committed."""
    assert feed.PAGE.count(HORIZON) == 2
    careless = feed.PAGE.replace(HORIZON, "'9223372036854775807'::xid8")

    follower, served = follow(database_url, world, OVERTAKEN, careless)

    assert follower != served
