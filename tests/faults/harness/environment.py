"""The environment of a round: servers, simulated platforms, accounts, the fleet and its clients."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis
from psycopg.rows import tuple_row
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.local.servers.postgres import Postgres
from deploy.local.servers.server_process import free_port
from deploy.local.servers.valkey import Valkey
from deploy.simulators.environment import environment as simulated_platforms
from deploy.simulators.server import Simulators
from deploy.simulators.world import Account, Post
from shared import database
from shared.accounts import api_keys
from shared.accounts.vault import Vault, new_key
from shared.ingestion import importer
from tests.faults.harness import accounts
from tests.faults.harness.clients.api_poller import ApiPoller
from tests.faults.harness.clients.event_producer import EventProducer
from tests.faults.harness.fleet import Fleet, own_environment
from tests.faults.harness.sentinel import SentinelServers, sentinel_servers
from tests.faults.harness.waiting import wait_until
from tests.faults.judge.event_log import EventLog
from tests.servers import connect, copy_cluster, run_directory

PLATFORMS = ("facebook", "instagram", "x", "linkedin", "tiktok")
INTERNAL_TOKEN = "events-of-the-fault-matrix-0123456789"
THREADS = 4
LEASE = timedelta(seconds=5)
TICK = timedelta(seconds=1)
"""The default; the lease is a twelfth of the default."""
SHORT_TICK = timedelta(seconds=0.2)
"""The tick in the short matrix."""
NOISE = timedelta(seconds=2)
"""How much longer recovery may take on a machine that runs nothing else before a round fails."""
NOISE_BESIDE_TESTS = timedelta(seconds=15)
"""The same in ``make test``, where other tests use the CPU. A row that is lost is late without an end."""
FRESHNESS = timedelta(seconds=1)
"""Short, because every round ends when each publication has been read once more."""
LATENCY_SECONDS = 0.1
"""Of every simulated platform, so that faults hit calls that are in progress."""

_UNLIMITED = {name: {"calls": 10**9, "seconds": 86_400} for name in ("page", "user", "account", "app")}
"""At this rate of calls, Meta's real limits per account would be used up within minutes."""

# No fault here is a loss of power, so fsync is off; a commit must survive a killed server all the same.
_POSTGRES = {"fsync": "off", "full_page_writes": "off"}
_VALKEY = ("appendonly no",)  # so that a restarted one is empty


@dataclass
class Environment:
    """Everything that a fault may break and that the judge observes."""

    postgres: Postgres
    valkey: Valkey
    simulators: Simulators
    vault: Vault
    api_key: str
    api_url: str
    fleet: Fleet
    poller: ApiPoller
    producer: EventProducer
    seed_data: accounts.SeedData
    settings: dict[str, str]
    tick: timedelta
    noise: timedelta
    sentinel_servers: SentinelServers | None = None
    """The servers that a Sentinel monitors; ``valkey`` is their primary."""
    tokens: set[str] = field(default_factory=set)
    """Every token that ever existed: none of them may appear in a log or in Redis."""
    _connection: psycopg.Connection | None = None
    """Of `query`: conditions are polled, and each new connection costs some milliseconds of CPU time."""

    # The database

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        """Lend a new connection in autocommit mode."""
        with connect(self.postgres.url) as connection:
            yield connection

    def query(self, statement: str, *parameters: Any) -> list[Any]:
        """Run one statement and return its rows, if any; a connection that a fault broke is replaced."""
        if (connection := self._connection) is not None:
            try:
                return _rows(connection, statement, parameters)
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
        self.disconnect()
        self._connection = connect(self.postgres.url)
        self._connection.prepare_threshold = None  # faults change the tables
        return _rows(self._connection, statement, parameters)

    def disconnect(self) -> None:
        """Close the connection of `query`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def value(self, statement: str, *parameters: Any) -> Any:
        """Return the only value of the only row."""
        return self.query(statement, *parameters)[0][0]

    def now(self) -> datetime:
        """Return database time."""
        now: datetime = self.value("SELECT clock_timestamp()")
        return now

    # Redis

    @contextmanager
    def redis(self, timeout: float = 2.0) -> Iterator[Any]:
        """Lend a client with a short time-out."""
        with redis.Redis.from_url(
            self.valkey.url, socket_timeout=timeout, retry=Retry(NoBackoff(), 0)
        ) as client:
            yield client

    # Platforms

    def behave(self, *platforms: str, **values: Any) -> None:
        """Set how these platforms (or all) misbehave; the usual latency stays."""
        for platform in platforms or PLATFORMS:
            usual = {"latency_seconds": LATENCY_SECONDS, "limits": _UNLIMITED}
            self.simulators.behave(platform, **(usual | values))

    # Waiting

    def unread(self, instant: datetime, *, but_paused: bool = False) -> list[int]:
        """Return the polled publications without a reading after an instant.

        ``but_paused`` leaves out those that wait for the end of a pause.
        """
        rows = self.query(
            "SELECT publication_id FROM refresh_state JOIN post_analytics a USING (publication_id)"
            " WHERE (next_run_at IS NOT NULL OR claimed_at IS NOT NULL) AND reason <> 'quarantined'"
            "   AND (a.last_updated_at IS NULL OR a.last_updated_at <= %s)"
            "   AND NOT (%s AND reason = 'paused' AND next_run_at > now())",
            instant,
            but_paused,
        )
        return [row[0] for row in rows]

    def await_api(self) -> None:
        """Wait until the API answers."""
        wait_until(lambda: _api_answers(self.api_url), 30, "the API")

    def await_reads(self, instant: datetime, within: float, *, but_paused: bool = False) -> None:
        """Wait until every polled publication has a reading after an instant, within the time plus noise."""
        wait_until(
            lambda: not self.unread(instant, but_paused=but_paused),
            within + self.noise.total_seconds(),
            "a new reading of every publication",
        )


@contextmanager
def open_environment(
    directory: Path,
    *,
    seed: int,
    posts: int = 6,
    workers: int = 2,
    worker_module: str = "worker",
    tick: timedelta = SHORT_TICK,
    noise: timedelta = NOISE,
    sentinel: bool = False,
    settings: Mapping[str, str] | None = None,
    forked: bool = False,
) -> Iterator[Environment]:
    """Start an environment, wait for the first reading of every publication, and stop it afterwards.

    ``forked``: the services are `ForkedProcess`.
    """
    with ExitStack() as stack:
        stack.enter_context(run_directory())
        copy_cluster(directory / "postgres")
        postgres = stack.enter_context(Postgres(directory / "postgres", _POSTGRES))
        watched = stack.enter_context(sentinel_servers(directory)) if sentinel else None
        valkey = watched.primary if watched else stack.enter_context(Valkey(directory / "valkey", _VALKEY))
        simulators = stack.enter_context(Simulators(seed, speed=3600))
        secret, seed_data = new_key(), accounts.seed_data(seed, posts)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        variables = own_environment() | _variables(postgres, valkey, simulators, secret, port, tick)
        variables |= {"DRAVO_REDIS_URL": watched.url} if watched else {}
        variables |= settings or {}
        fleet = Fleet(variables, directory, forked=forked)
        environment = Environment(
            postgres, valkey, simulators, Vault([SecretStr(secret)]), "", url, fleet,
            ApiPoller(url, ""), EventProducer(url, INTERNAL_TOKEN, seed_data.publication_rows), seed_data,
            variables, tick, noise, watched,
        )  # fmt: skip
        stack.callback(environment.disconnect)
        _seed(environment)
        stack.callback(_kill_processes, environment)
        for module, number in ((worker_module, workers), ("scheduler", 1), ("api_stub", 1)):
            for place in range(number):
                fleet.start(module, name=f"{module}-{chr(97 + place)}")
        environment.await_api()
        environment.poller.key = environment.api_key
        environment.poller.start()
        stack.callback(environment.poller.stop)
        environment.producer.start()
        stack.callback(environment.producer.stop)
        environment.await_reads(datetime.min.replace(tzinfo=environment.now().tzinfo), 30)
        yield environment


def _rows(connection: psycopg.Connection, statement: str, parameters: Sequence[Any]) -> list[Any]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def _seed(environment: Environment) -> None:
    """Add accounts and posts to platforms and database, and install the event log."""
    world = environment.simulators.world

    def remember(value: Account | Post | None) -> None:
        if isinstance(value, Account):
            environment.tokens |= {value.access_token, *filter(None, [value.refresh_token])}

    world.watch(remember)
    world.add_accounts(environment.seed_data.accounts)
    world.add_posts(environment.seed_data.posts)
    environment.behave()
    engine = database.connect(environment.postgres.url, application="faults", pool_size=1)
    with engine.begin() as connection:
        result = importer.import_accounts(connection, environment.vault, environment.seed_data.account_rows)
        more = importer.import_publications(connection, environment.seed_data.publication_rows)
        assert [*result.refused, *more.refused] == []
        environment.api_key = api_keys.create_key(connection, accounts.WORKSPACES[0], "faults")[1]
    engine.dispose()
    with environment.database() as plain:
        EventLog.install(plain)


def _kill_processes(environment: Environment) -> None:
    for member in list(environment.fleet.members.values()):
        if member.alive:
            member.process.kill()
        member.process.wait()


def _api_answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _variables(
    postgres: Postgres, valkey: Valkey, simulators: Simulators, secret: str, port: int, tick: timedelta
) -> dict[str, str]:
    return {
        "DRAVO_DATABASE_URL": postgres.url,
        "DRAVO_REDIS_URL": valkey.url,
        "DRAVO_SECRET_KEYS": secret,
        "DRAVO_INTERNAL_TOKEN": INTERNAL_TOKEN,
        "DRAVO_API_PORT": str(port),
        "DRAVO_LEASE_SECONDS": str(LEASE.total_seconds()),
        "DRAVO_TICK_SECONDS": str(tick.total_seconds()),
        "DRAVO_FRESHNESS": f"fixed:{FRESHNESS.total_seconds():.0f}s",
        "DRAVO_RETRY_SECONDS": "0.5",
        "DRAVO_BREAKER_SECONDS": "1",
        "DRAVO_REFRESH_MIN_AGE_SECONDS": "0",
        "DRAVO_MISSING_CONFIRM_SECONDS": "2",
        "DRAVO_WORKER_THREADS": str(THREADS),
        **simulated_platforms(simulators.urls),
    }
