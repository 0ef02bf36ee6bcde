"""A job's way past the budgets: waits a little, gives its rows back otherwise, and lets the fleet know."""

import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from statistics import mean

import httpx
import pytest
from pydantic import SecretStr

from deploy.simulators.server import Simulators
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Post as SimulatedPost
from scheduler.claim import claim
from shared.budgets import Budgets
from shared.limits import Limits
from shared.redis_client import RedisClient, connect
from shared.refresh_queue import RefreshJob
from shared.settings import Settings
from shared.vocabulary import BucketKind, Lane, Platform
from tests.stories import House, ScriptedAdapter, house, reads
from tests.worker.adapters.support import PlainMemory
from tests.worker.in_process import InProcess
from worker.adapters.contract import Adapter, Upstream
from worker.adapters.tiktok import TikTok
from worker.adapters.x import X
from worker.budget_gate import FleetBudgets, JobBudget, OverBudget
from worker.client import Client
from worker.errors import Paused, RefreshError, TryAgain
from worker.job import Tools
from worker.readings import Account, Limit, Publication, Reading
from worker.refresh import refresh
from worker.upstream import JobUpstream

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def client(redis_url: str) -> Iterator[RedisClient]:
    client = connect(redis_url)
    yield client
    client.close()


class Time:
    """One clock for the budgets, the job and its sleeps: sleeping moves it."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        """Return the instant."""
        return self.at

    def micros(self) -> int:
        """Return it as the budgets count."""
        return int(self.at.timestamp() * 1_000_000)

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def fleet(client: RedisClient, time: Time) -> FleetBudgets:
    made = FleetBudgets.of(Settings(), client)
    return replace(made, budgets=Budgets(client, now=time.micros))


def job(
    fleet: FleetBudgets, time: Time, platform: Platform = Platform.TIKTOK, lane: Lane = Lane.BACKGROUND
) -> JobBudget:
    return JobBudget(fleet, "acc_1", platform, lane, {}, now=time.now, sleep=time.sleep)


def ask(budget: JobBudget, platform: Platform = Platform.TIKTOK, endpoint: str = "video/query") -> None:
    budget.ask(platform, "acc_1", endpoint, 1)


def test_a_short_wait_is_waited_and_a_long_one_gives_the_rows_back(fleet: FleetBudgets, time: Time) -> None:
    slow = replace(
        fleet, limits=Limits.parse("tiktok:endpoint:video/query=30/1m"), patience=timedelta(seconds=4)
    )
    begun = time.now()
    patient = job(slow, time)
    ask(patient)
    ask(patient)
    waited = time.now() - begun

    with pytest.raises(OverBudget, match="video/query at TikTok is used up") as caught:
        ask(patient)

    assert timedelta(seconds=2) < waited < timedelta(seconds=4)
    assert time.now() - begun < timedelta(seconds=6), "no job waits for ever"
    assert time.now() < caught.value.until < time.now() + timedelta(seconds=5)


def test_a_refusal_stops_everybody_at_once_and_one_call_goes_first_afterwards(
    fleet: FleetBudgets, time: Time
) -> None:
    first, others = job(fleet, time), [job(fleet, time) for _ in range(3)]
    ask(first)
    first.ended(Paused("Limit.", kind=BucketKind.ENDPOINT, endpoint="video/query", until=time.now() + HOUR))

    for other in others:
        with pytest.raises(OverBudget, match="was reached"):
            ask(other)
    time.sleep(3600)
    probe = job(fleet, time)
    ask(probe)
    with pytest.raises(OverBudget):
        ask(others[0])
    probe.ended(None)

    ask(others[0])
    assert fleet.budgets.refusals() == {(Platform.TIKTOK, BucketKind.ENDPOINT): 1}


def test_the_probe_s_own_job_goes_on(fleet: FleetBudgets, time: Time) -> None:
    refused = job(fleet, time)
    ask(refused)
    refused.ended(Paused("Limit.", kind=BucketKind.APP, until=time.now() + HOUR))
    time.sleep(3600)
    probe = job(fleet, time)

    ask(probe)
    ask(probe)


def test_an_account_s_refusal_leaves_its_siblings_alone(fleet: FleetBudgets, time: Time) -> None:
    refused = job(fleet, time)
    ask(refused)
    refused.ended(Paused("Limit.", kind=BucketKind.ACCOUNT, until=time.now() + HOUR))

    JobBudget(fleet, "acc_2", Platform.TIKTOK, Lane.BACKGROUND, {}, now=time.now).ask(
        Platform.TIKTOK, "acc_2", "video/query", 1
    )
    with pytest.raises(OverBudget):
        ask(job(fleet, time))


def test_five_failures_in_a_row_open_the_breaker_and_each_probe_that_fails_doubles_it(
    fleet: FleetBudgets, client: RedisClient, time: Time
) -> None:
    down = TryAgain("503", breaks=True)
    opened = []
    for _ in range(5):
        failing = job(fleet, time)
        ask(failing)
        failing.ended(down)
        opened += failing.new_pauses
    with pytest.raises(OverBudget):
        ask(job(fleet, time))
    time.sleep(30)
    client.delete("dravo:breaker:tiktok:video/query:open")  # as its end, on the server's own clock
    probe = job(fleet, time)
    ask(probe)
    probe.ended(down)

    (first,), (second,) = opened, probe.new_pauses
    assert (first.kind, first.subject) == ("breaker", "video/query")
    assert second.until - time.now() == 2 * timedelta(seconds=30)


def test_what_is_no_5xx_and_no_time_out_never_opens_a_breaker(fleet: FleetBudgets, time: Time) -> None:
    for error in (TryAgain("unreadable"), None, TryAgain("503", breaks=True)) * 10:
        one = job(fleet, time)
        ask(one)
        one.ended(error)
        assert one.new_pauses == []


@pytest.mark.parametrize(
    ("percent", "waiting", "pauses"),
    [(79, set(), 0), (85, {Lane.BACKGROUND}, 0), (96, {Lane.BACKGROUND}, 1), (100, {*Lane}, 1)],
)
def test_meta_s_percents_steer_background_first(
    fleet: FleetBudgets, time: Time, percent: int, waiting: set[Lane], pauses: int
) -> None:
    told = job(fleet, time, Platform.FACEBOOK)
    ask(told, Platform.FACEBOOK, "insights")
    told.heard(Platform.FACEBOOK, "acc_1", (Limit(BucketKind.ACCOUNT, None, used_percent=percent),))

    def waits(lane: Lane) -> bool:
        try:
            ask(job(fleet, time, Platform.FACEBOOK, lane), Platform.FACEBOOK, "insights")
        except OverBudget:
            return True
        return False

    assert {lane for lane in Lane if waits(lane)} == waiting
    assert [new.kind for new in told.new_pauses] == ["background"] * pauses


def test_a_rolling_share_is_steered_to_80_percent(fleet: FleetBudgets, time: Time) -> None:
    """An hourly limit of 200 calls, more work than it bears: the share settles at 80 % and stays there."""
    calls: list[datetime] = []
    shares = []
    while time.now() < NOW + 6 * HOUR:
        try:
            ask(one := job(fleet, time, Platform.FACEBOOK), Platform.FACEBOOK, "insights")
        except OverBudget as wait:
            time.at = wait.until
            continue
        calls = [*[at for at in calls if at > time.now() - HOUR], time.now()]
        shares.append(100 * len(calls) // 200)
        one.heard(Platform.FACEBOOK, "acc_1", (Limit(BucketKind.APP, None, used_percent=shares[-1]),))
        time.sleep(5)

    assert max(shares) < 90, "the worst case: all of it was used at the start of the hour"
    assert mean(shares[300:]) >= 70


@pytest.mark.parametrize(
    "lie",
    [
        Limit(BucketKind.ACCOUNT, None, used_percent=5, resets_at=NOW + timedelta(hours=16)),
        Limit(BucketKind.ACCOUNT, None, used_percent=0),
        Limit(BucketKind.ACCOUNT, None, remaining=0, limit=10),
        Limit(BucketKind.ACCOUNT, None, remaining=0, limit=10, resets_at=NOW - HOUR),
        Limit(BucketKind.ACCOUNT, None, remaining=0, limit=10, resets_at=NOW + timedelta(days=9)),
        Limit(BucketKind.ACCOUNT, None, remaining=99, limit=10, resets_at=NOW + HOUR),
        Limit(BucketKind.ACCOUNT, None, resets_at=NOW - HOUR),
        Limit(BucketKind.ACCOUNT, None),
    ],
)
def test_limits_that_make_no_sense_stop_nobody(fleet: FleetBudgets, time: Time, lie: Limit) -> None:
    told = job(fleet, time, Platform.FACEBOOK)
    ask(told, Platform.FACEBOOK, "insights")
    told.heard(Platform.FACEBOOK, "acc_1", (lie,))

    ask(job(fleet, time, Platform.FACEBOOK), Platform.FACEBOOK, "insights")


# The whole story


@pytest.fixture
def home(database_url: str) -> Iterator[House]:
    with house(database_url) as opened:
        yield opened


class CallingAdapter(ScriptedAdapter):
    """A scripted adapter that makes its call before it answers."""

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Call, then answer by script."""
        upstream.send("GET", "https://platform.test/", endpoint="video/query")
        return super().fetch(upstream, account, publications)


def budgeted(home: House, client: RedisClient) -> Tools:
    """Return the home's tools with real budgets, and breakers that open at the second failure."""
    platform = InProcess(lambda _: httpx.Response(200))
    adapter = CallingAdapter(script=home.adapter.script)
    return replace(
        home.tools,
        budgets=FleetBudgets.of(Settings(breaker_failures=2), client),
        client=Client(transport=platform, now=home.tools.clock.now),
        adapters=dict.fromkeys(Platform, adapter),
    )


def jobs(home: House) -> tuple[RefreshJob, ...]:
    with home.engine.begin() as connection:
        return claim(
            connection,
            Lane.BACKGROUND,
            jobs=100,
            platform_jobs=100,
            lease=timedelta(seconds=60),
            top_up=dict.fromkeys(Platform, timedelta()),
        ).jobs


def due(home: House) -> None:
    home.execute("UPDATE refresh_state SET next_run_at = now() - interval '1 s', claimed_at = NULL")


def test_an_open_breaker_stops_claims_and_costs_no_attempt(home: House, client: RedisClient) -> None:
    for number in range(4):
        home.publications(home.account(f"acc_{number}", Platform.TIKTOK))
    home.adapter.script = lambda *_: TryAgain("503", breaks=True)
    tools = budgeted(home, client)

    for one in jobs(home):
        refresh(one, tools)
    outcomes = home.execute("SELECT outcome FROM post_analytics ORDER BY publication_id")
    due(home)

    assert [row.outcome for row in outcomes] == ["retry", "retry", "paused", "paused"]
    assert jobs(home) == ()
    (pause,) = home.execute("SELECT kind, subject, reason FROM pauses")
    assert pause == (
        "breaker",
        "video/query",
        "TikTok only fails at video/query: it is left alone for a while.",
    )


def test_a_parked_endpoint_that_reads_do_not_need_stops_no_claim(home: House) -> None:
    home.publications(home.account("acc_1", Platform.TIKTOK))
    home.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('tiktok', 'breaker', 'oauth/token', now() + interval '1 hour', '')"
    )

    assert len(jobs(home)) == 1


def test_background_s_pause_lets_people_s_rows_through(home: House) -> None:
    account = home.account("acc_1", Platform.FACEBOOK)
    home.publications(account)
    home.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('facebook', 'background', 'acc_1', now() + interval '1 hour', '96 %')"
    )
    assert jobs(home) == ()

    home.execute("UPDATE refresh_state SET priority = 1")
    with home.engine.begin() as connection:
        (one,) = claim(
            connection,
            Lane.INTERACTIVE,
            jobs=1,
            platform_jobs=1,
            lease=timedelta(seconds=60),
            top_up=dict.fromkeys(Platform, timedelta()),
        ).jobs
    refresh(one, home.tools)

    assert len(home.adapter.asked) == 1


def test_x_reads_are_counted_once_a_utc_day_and_stop_at_the_budget(home: House, client: RedisClient) -> None:
    home.publications(home.account("acc_1", Platform.X), 3)
    home.publications(home.account("acc_2", Platform.X), 3)
    home.adapter.script = reads(impression_count=1)
    tools = budgeted(home, client)
    tools = replace(tools, settings=Settings(x_daily_budget_dollars=0.02))  # four reads

    for one in jobs(home):
        refresh(one, tools)
    spent = home.execute("SELECT reads, held FROM post_reads")
    statuses = home.execute("SELECT outcome, count(*) FROM post_analytics GROUP BY 1 ORDER BY 1")
    (pause,) = home.execute("SELECT kind, subject, paused_until FROM pauses")

    assert spent == [(3, 0)]
    assert statuses == [("paused", 3), ("synced", 3)]
    assert pause.kind == "app"
    assert (pause.paused_until.hour, pause.paused_until.minute) == (0, 0)
    due(home)
    assert jobs(home) == (), "claims skip what is not affordable"
    home.execute("DELETE FROM pauses")
    for one in jobs(home):
        refresh(one, tools)
    assert home.execute("SELECT reads, held FROM post_reads") == [(3, 0)], "the second read of a day is free"


def test_a_failed_read_costs_nothing(home: House, client: RedisClient) -> None:
    home.publications(home.account("acc_1", Platform.X), 3)
    home.adapter.script = lambda *_: TryAgain("Down.")

    for one in jobs(home):
        refresh(one, budgeted(home, client))

    assert home.execute("SELECT reads, held FROM post_reads") == [(0, 0)]


# A fleet against a platform


def drain(
    fleet: FleetBudgets, adapter: Adapter, client: Client, lane: Lane, time: Time
) -> RefreshError | None:
    """Read one post once, as a job does; return what ended it early."""
    platform = Platform.X if isinstance(adapter, X) else Platform.TIKTOK
    budget = JobBudget(fleet, "acc_1", platform, lane, {}, now=time.now, sleep=time.sleep)
    upstream = JobUpstream(
        client,
        platform,
        "acc_1",
        PlainMemory(time.now),
        gate=budget.ask,
        sink=budget.heard,
        observe=lambda _: None,
    )
    ended_by = None
    try:
        list(adapter.fetch(upstream, ACCOUNT, [PUBLICATION]))
    except RefreshError as error:
        ended_by = error
    budget.ended(ended_by)
    return ended_by


ACCOUNT = Account(
    account_id="acc_1",
    workspace_id="ws_1",
    platform=Platform.X,
    platform_account_id="1",
    login=None,
    kind=None,
    scopes=frozenset(),
    access_token=SecretStr("act.user"),
    refresh_token=None,
    token_expires_at=None,
    refresh_token_expires_at=None,
    token_minted_at=None,
)
PUBLICATION = Publication(1, "7560000000000000001", None, None, NOW - timedelta(days=90))


def answer(simulators: Simulators, request: httpx.Request) -> httpx.Response:
    host = {"api.x.com": "x", "open.tiktokapis.com": "tiktok"}[request.url.host]
    return simulators.serve(host, request).response


def inhabit(simulators: Simulators, platform: str, scopes: set[str]) -> None:
    simulators.world.add_accounts(
        [SimulatedAccount(platform, "1", access_token="act.user", scopes=frozenset(scopes))]
    )
    simulators.world.add_posts(
        [SimulatedPost(platform, "7560000000000000001", "1", created_at=NOW - timedelta(days=90))]
    )


class SharedTime(Time):
    """The same for threads: when all of them sleep, it moves to the instant at which the first one wakes."""

    def __init__(self, sleepers: int) -> None:
        super().__init__()
        self._awake = sleepers
        self._waking: list[datetime] = []
        self._moved = threading.Condition()

    def sleep(self, seconds: float) -> None:
        """Wait for the others to sleep as well, until it is time."""
        with self._moved:
            wakes_at = self.at + timedelta(seconds=seconds)
            heappush(self._waking, wakes_at)
            self._rest()
            self._moved.wait_for(lambda: self.at >= wakes_at, timeout=60)

    def leave(self) -> None:
        """Wait for nobody any more."""
        with self._moved:
            self._rest()

    def _rest(self) -> None:
        self._awake -= 1
        if not self._awake and self._waking:
            self.at = self._waking[0]
            while self._waking and self._waking[0] <= self.at:
                heappop(self._waking)
                self._awake += 1
            self._moved.notify_all()


def test_eight_workers_at_once_use_a_hard_limit_and_are_refused_at_most_once_a_window(
    client: RedisClient,
) -> None:
    """TikTok, a sliding minute without headers; both lanes, more work than it bears, calls of up to 1 s."""
    limit, minutes, workers = 300, 3, 8
    time = SharedTime(workers)
    made = FleetBudgets.of(Settings(limits=f"tiktok:endpoint:video/query={limit}/1m"), client)
    fleet = replace(made, budgets=Budgets(client, now=time.micros))
    simulators = Simulators(now=time.now)
    simulators.behave("tiktok", limits={"video/query": {"calls": limit, "seconds": 60}})
    inhabit(simulators, "tiktok", {"video.list"})

    chance = random.Random(4)  # noqa: S311 - latencies

    def travel(request: httpx.Request) -> httpx.Response:
        time.sleep(chance.uniform(0.01, 0.5))
        answered = answer(simulators, request)
        time.sleep(chance.uniform(0.01, 0.5))
        return answered

    def work(lane: Lane) -> None:
        while time.now() < NOW + timedelta(minutes=minutes):
            ended_by = drain(fleet, TikTok(Settings()), http, lane, time)
            if isinstance(ended_by, Paused):
                time.sleep((ended_by.until - time.now()).total_seconds())
        time.leave()

    with Client(transport=InProcess(travel), now=time.now) as http, ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, lane) for lane in [*Lane] * (workers // 2)]:
            done.result()

    entries = simulators.ledger.entries()
    refused = [entry for entry in entries if entry.outcome == "refused_limit"]
    assert len(refused) <= minutes
    assert len(entries) - len(refused) >= 0.95 * limit * minutes


def test_a_limit_that_only_headers_tell_is_used_up_and_refuses_at_most_once_a_window(
    fleet: FleetBudgets, time: Time
) -> None:
    """X, fixed windows of 15 minutes with a tenth of the published calls; the clock is simulated."""
    limit, windows = 300, 3
    simulators = Simulators(now=time.now)
    simulators.behave("x", limits={"tweets:user": {"calls": limit, "seconds": 900, "sliding": False}})
    inhabit(simulators, "x", {"tweet.read", "users.read"})
    with Client(transport=InProcess(partial(answer, simulators)), now=time.now) as http:
        while time.now() < NOW + windows * timedelta(minutes=15):
            ended_by = drain(fleet, X(Settings()), http, Lane.INTERACTIVE, time)
            assert ended_by is None or isinstance(ended_by, OverBudget)
            time.at = ended_by.until if ended_by else time.at

    entries = simulators.ledger.entries()
    assert [entry for entry in entries if entry.outcome == "refused_limit"] == []
    assert len(entries) >= 0.95 * limit * windows


def test_after_an_hour_s_outage_the_fleet_drains_without_a_refused_call(
    fleet: FleetBudgets, client: RedisClient, time: Time
) -> None:
    """Everything is due, Redis was lost as well: 1,500 jobs against TikTok's 600 calls a minute."""
    simulators = Simulators(now=time.now)
    inhabit(simulators, "tiktok", {"video.list"})
    left, most_keys = 1500, 0
    with Client(transport=InProcess(partial(answer, simulators)), now=time.now) as http:
        while left:
            ended_by = drain(fleet, TikTok(Settings()), http, Lane.BACKGROUND, time)
            assert ended_by is None
            left -= 1
            most_keys = max(most_keys, client.dbsize())

    refused = [entry for entry in simulators.ledger.entries() if entry.outcome == "refused_limit"]
    assert refused == []
    assert time.now() - NOW < 1.1 * timedelta(minutes=1500 / (600 * 0.85))
    assert most_keys <= 8
