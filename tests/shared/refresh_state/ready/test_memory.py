"""What a claim learns as it begins: since when every claim that was made is committed."""

import time
from datetime import timedelta

from sqlalchemy import text

from deploy.local.servers.postgres import Postgres
from shared.refresh_state.ready.locks import RESERVED
from shared.refresh_state.ready.memory import STARTED, Beginning, begin
from tests.harness import Harness
from tests.servers import connect

LOCK = "SELECT pg_advisory_xact_lock_shared({number}, {key})"
LATER = "CAST(CAST(EXTRACT(epoch FROM now() + interval '1 minute') * 1000 AS bigint) % 2147483648 AS int)"


def test_claims_before_the_oldest_one_under_way_are_settled(harness: Harness) -> None:
    with harness.engine.begin() as first, harness.engine.begin() as second:
        began_at = begin(first).at
        while (under_way := begin(second)).at < began_at + timedelta(milliseconds=50):
            pass  # longer than the margin: the older one of both decides
        assert beginning_of_a_claim(harness).settled_before < began_at < under_way.at
    until = time.monotonic() + 30
    while (beginning := beginning_of_a_claim(harness)).settled_before <= under_way.at:
        assert time.monotonic() < until, "it is committed"

    assert beginning.settled_before <= beginning.at - timedelta(milliseconds=20)
    with harness.engine.connect() as connection:
        assert connection.execute(text("SHOW enable_seqscan")).scalar_one() == "on"


def beginning_of_a_claim(harness: Harness) -> Beginning:
    with harness.engine.begin() as connection:
        return begin(connection)


def test_other_locks_settle_nothing_later_or_earlier(
    harness: Harness, database_url: str, postgres_server: Postgres
) -> None:
    with connect(postgres_server.url_of("postgres")) as elsewhere, connect(database_url) as here:
        elsewhere.autocommit = here.autocommit = False
        elsewhere.execute(LOCK.format(number=STARTED, key=1).encode())
        here.execute(LOCK.format(number=RESERVED, key=1).encode())
        beginning = beginning_of_a_claim(harness)
        assert beginning.at - beginning.settled_before < timedelta(minutes=1)

        here.execute(LOCK.format(number=STARTED, key=LATER).encode())
        beginning = beginning_of_a_claim(harness)
        assert beginning.settled_before < beginning.at, "the clock was set back during a claim"
