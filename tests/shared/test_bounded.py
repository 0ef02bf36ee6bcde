"""A count that takes too long is estimated; the transaction around it goes on."""

import pytest
from sqlalchemy import text

from shared import bounded
from tests.harness import Harness


def test_short_count_is_exact_and_a_long_one_is_estimated(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.execute("CREATE TABLE counted AS SELECT n FROM generate_series(1, 300) AS n")
    harness.execute("ANALYZE counted")
    with harness.engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = '77s'"))
        assert bounded.count(connection, "FROM counted WHERE n <= :most", {"most": 7}) == (7, False)

        monkeypatch.setattr(bounded, "SECONDS", 0.02)
        rows, estimated = bounded.count(connection, "FROM counted, pg_sleep(0.5)", {})

        assert (rows, estimated) == (300, True)
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "77s"


def test_other_errors_of_a_query_are_raised(harness: Harness) -> None:
    with harness.engine.begin() as connection, pytest.raises(Exception, match="absent"):
        bounded.count(connection, "FROM absent", {})
