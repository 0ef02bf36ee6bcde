"""The breaker's count: failures in a row, fleet-wide, opening for longer each time."""

from datetime import timedelta

from deploy.local.servers.valkey import Valkey
from shared.redis_client import RedisClient, connect
from shared.vocabulary import Platform
from tests.servers import server_directory
from worker.quota.breaker import Breakers

OPEN_FOR = timedelta(seconds=30)
LONGEST = timedelta(minutes=4)


def breakers(client: RedisClient) -> Breakers:
    return Breakers(client, failures=3, open_for=OPEN_FOR, longest=LONGEST)


def fail(fleet: Breakers, times: int = 1, endpoint: str = "tweets") -> list[timedelta | None]:
    return [fleet.failed(Platform.X, endpoint) for _ in range(times)]


def end_of_pause(client: RedisClient) -> None:
    """End the pause of an open breaker."""
    assert client.delete("dravo:breaker:x:tweets:open") == 1


def test_failures_of_all_processes_open_the_breaker_once(client: RedisClient) -> None:
    one, other = breakers(client), breakers(client)

    assert fail(one, 2) == [None, None]
    assert fail(other) == [OPEN_FOR]
    assert fail(one, 4) == [None] * 4, "calls that were under way open nothing"


def test_answer_resets_the_failure_count(client: RedisClient) -> None:
    fleet = breakers(client)
    fail(fleet, 2)
    fleet.succeeded(Platform.X, "tweets")

    assert fail(fleet, 2) == [None, None]


def test_failed_probe_doubles_the_pause_up_to_a_bound(client: RedisClient) -> None:
    fleet = breakers(client)
    fail(fleet, 3)
    pauses = []
    for _ in range(8):
        end_of_pause(client)
        pauses += fail(fleet)

    assert pauses[:3] == [2 * OPEN_FOR, 4 * OPEN_FOR, 8 * OPEN_FOR]
    assert pauses[-1] == LONGEST


def test_answered_probe_closes_the_breaker(client: RedisClient) -> None:
    fleet = breakers(client)
    fail(fleet, 3)
    end_of_pause(client)
    fleet.succeeded(Platform.X, "tweets")

    assert fail(fleet, 3) == [None, None, OPEN_FOR]


def test_endpoints_have_separate_breakers(client: RedisClient) -> None:
    fleet = breakers(client)
    fail(fleet, 2)

    assert fail(fleet, 2, endpoint="oauth2/token") == [None, None]


def test_without_redis_no_breaker_opens_and_nothing_raises() -> None:
    with server_directory() as directory:
        with Valkey(directory / "valkey") as server:
            gone = connect(server.url)
        assert fail(breakers(gone), 5) == [None] * 5
        breakers(gone).succeeded(Platform.X, "tweets")
        gone.close()


def test_failures_and_openings_expire_fifteen_minutes_after_the_last(client: RedisClient) -> None:
    fail(breakers(client), 2)

    assert 15 * 60 - 5 < client.ttl("dravo:breaker:x:tweets") <= 15 * 60


def test_open_breaker_expires_by_itself(client: RedisClient) -> None:
    fail(breakers(client), 3)

    assert 0 < client.pttl("dravo:breaker:x:tweets:open") <= OPEN_FOR.total_seconds() * 1_000


def test_pause_is_at_most_1024_times_the_first(client: RedisClient) -> None:
    fleet = Breakers(client, failures=1, open_for=timedelta(seconds=1), longest=timedelta(days=1))
    pauses = fail(fleet)
    for _ in range(12):
        end_of_pause(client)
        pauses += fail(fleet)

    assert pauses[-1] == timedelta(seconds=1_024)
