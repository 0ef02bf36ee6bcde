"""A stage: real servers, simulated platforms, a seeded world, the fleet, and everything that watches it."""

from collections.abc import Iterator, Mapping
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

from deploy.local.postgres import Postgres
from deploy.local.server_process import free_port
from deploy.local.valkey import Valkey
from deploy.simulators.environment import environment as simulated_platforms
from deploy.simulators.server import Simulators
from deploy.simulators.world import Account, Post
from shared import database
from shared.accounts import api_keys
from shared.accounts.vault import Vault, new_key
from shared.ingestion import importer
from tests.faults.harness import accounts
from tests.faults.harness.api_poller import Reader
from tests.faults.harness.event_producer import Teller
from tests.faults.harness.fleet import Fleet, own_environment
from tests.faults.harness.sentinel import Pair, pair
from tests.faults.harness.waiting import until
from tests.faults.judge.event_log import Journal
from tests.servers import connect, copy_cluster, run_directory

PLATFORMS = ("facebook", "instagram", "x", "linkedin", "tiktok")
INTERNAL_TOKEN = "events-of-the-fault-matrix-0123456789"
THREADS = 4
LEASE = timedelta(seconds=5)
TICK = timedelta(seconds=1)
"""As shipped, unlike the lease, which is a twelfth of what is shipped."""
SHORT_TICK = timedelta(seconds=0.2)
"""Where rounds have to be short."""
FRESHNESS = timedelta(seconds=3)
LATENCY_SECONDS = 0.1
"""Of every simulated platform: calls under way are what faults are about."""

_UNLIMITED = {name: {"calls": 10**9, "seconds": 86_400} for name in ("page", "user", "account", "app")}
"""Meta's limits per account would end a run of minutes at this pace of reading."""

# fsync is about lost power, which no fault here is; a commit must survive a killed server all the same.
_POSTGRES = {"fsync": "off", "full_page_writes": "off"}
_VALKEY = ("appendonly no",)  # so that a restarted one is empty


@dataclass
class Stage:
    """Everything that a fault may break and a judge may look at."""

    postgres: Postgres
    valkey: Valkey
    simulators: Simulators
    vault: Vault
    api_key: str
    api_url: str
    fleet: Fleet
    reader: Reader
    teller: Teller
    story: accounts.Story
    environment: dict[str, str]
    tick: timedelta
    pair: Pair | None = None
    """The servers that a Sentinel watches; ``valkey`` is the primary of them."""
    tokens: set[str] = field(default_factory=set)
    """Every token that ever was: none of them may show up anywhere."""

    # The database, on a new connection each time: faults break connections.

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        """Lend a connection in autocommit mode."""
        with connect(self.postgres.url) as connection:
            yield connection

    def query(self, statement: str, *parameters: Any) -> list[Any]:
        """Run one statement and return its rows, if any."""
        with self.database() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

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
        """Lend a client that does not wait for long."""
        with redis.Redis.from_url(
            self.valkey.url, socket_timeout=timeout, retry=Retry(NoBackoff(), 0)
        ) as client:
            yield client

    # Platforms

    def behave(self, *platforms: str, **values: Any) -> None:
        """Replace how these platforms (or all) misbehave, their usual latency aside."""
        for platform in platforms or PLATFORMS:
            usual = {"latency_seconds": LATENCY_SECONDS, "limits": _UNLIMITED}
            self.simulators.behave(platform, **(usual | values))

    # Waiting

    def unread(self, instant: datetime, *, but_paused: bool = False) -> list[int]:
        """Return the polled publications that were not read after an instant.

        ``but_paused``: without those that wait for the end of a platform's pause.
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
        until(lambda: _api_answers(self.api_url), 30, "the API")

    def await_reads(self, instant: datetime, within: float, *, but_paused: bool = False) -> None:
        """Wait until every polled publication was read after an instant."""
        until(
            lambda: not self.unread(instant, but_paused=but_paused),
            within,
            "a new reading of every publication",
        )


@contextmanager
def stage(
    directory: Path,
    *,
    seed: int,
    posts: int = 12,
    workers: int = 2,
    worker_module: str = "worker",
    tick: timedelta = SHORT_TICK,
    sentinel: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Stage]:
    """Set a stage in a directory, wait until every publication has been read once, and strike it after."""
    with ExitStack() as stack:
        stack.enter_context(run_directory())
        copy_cluster(directory / "postgres")
        postgres = stack.enter_context(Postgres(directory / "postgres", _POSTGRES))
        watched = stack.enter_context(pair(directory)) if sentinel else None
        valkey = watched.primary if watched else stack.enter_context(Valkey(directory / "valkey", _VALKEY))
        simulators = stack.enter_context(Simulators(seed, speed=3600))
        secret, told = new_key(), accounts.story(seed, posts)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        settings = own_environment() | _settings(postgres, valkey, simulators, secret, port, tick)
        settings |= {"DRAVO_REDIS_URL": watched.url} if watched else {}
        settings |= environment or {}
        fleet = Fleet(settings, directory)
        set_up = Stage(
            postgres, valkey, simulators, Vault([SecretStr(secret)]), "", url, fleet,
            Reader(url, ""), Teller(url, INTERNAL_TOKEN, told.publication_rows), told,
            settings, tick, watched,
        )  # fmt: skip
        _furnish(set_up)
        stack.callback(_strike, set_up)
        for module, number in ((worker_module, workers), ("scheduler", 1), ("api_stub", 1)):
            for place in range(number):
                fleet.start(module, name=f"{module}-{chr(97 + place)}")
        set_up.await_api()
        set_up.reader.key = set_up.api_key
        set_up.reader.start()
        stack.callback(set_up.reader.stop)
        set_up.teller.start()
        stack.callback(set_up.teller.stop)
        set_up.await_reads(datetime.min.replace(tzinfo=set_up.now().tzinfo), 30)
        yield set_up


def _furnish(set_up: Stage) -> None:
    """Migrate, tell the world to both sides, and begin the journal."""
    world = set_up.simulators.world

    def remember(value: Account | Post | None) -> None:
        if isinstance(value, Account):
            set_up.tokens |= {value.access_token, *filter(None, [value.refresh_token])}

    world.watch(remember)
    world.add_accounts(set_up.story.accounts)
    world.add_posts(set_up.story.posts)
    set_up.behave()
    engine = database.connect(set_up.postgres.url, application="faults", pool_size=1)
    with engine.begin() as connection:
        result = importer.import_accounts(connection, set_up.vault, set_up.story.account_rows)
        more = importer.import_publications(connection, set_up.story.publication_rows)
        assert [*result.refused, *more.refused] == []
        set_up.api_key = api_keys.create_key(connection, accounts.WORKSPACES[0], "faults")[1]
    engine.dispose()
    with set_up.database() as plain:
        Journal.install(plain)


def _strike(set_up: Stage) -> None:
    for member in list(set_up.fleet.members.values()):
        if member.alive:
            member.process.kill()
        member.process.wait()


def _api_answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _settings(
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
