"""Adapters against simulated platforms' limits: they use them up and are hardly ever refused."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial

import httpx
from pydantic import SecretStr

from deploy.simulators.server import Simulators
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Post as SimulatedPost
from shared.quota.budgets import Budgets
from shared.redis_client import RedisClient
from shared.settings import Settings
from shared.vocabulary import Lane, Platform
from tests.worker.adapters.support import PlainMemory
from tests.worker.http.in_process import InProcess
from tests.worker.quota.fake_clock import NOW, FakeClock, SharedClock
from worker.adapters.contract import Adapter
from worker.adapters.tiktok import TikTok
from worker.adapters.x.x import X
from worker.errors import Paused, RefreshError
from worker.http.client import Client
from worker.http.upstream import JobUpstream
from worker.quota.fleet import FleetBudgets
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred
from worker.readings import Account, Publication, Reading


def drain(
    fleet: FleetBudgets, adapter: Adapter, client: Client, lane: Lane, clock: FakeClock
) -> RefreshError | None:
    """Fetch one post once, as a job does; return the error that ended it early."""
    platform = Platform.X if isinstance(adapter, X) else Platform.TIKTOK
    budget = JobBudget(fleet, "acc_1", platform, lane, (), now=clock.now, sleep=clock.passes)
    upstream = JobUpstream(
        client,
        platform,
        "acc_1",
        PlainMemory(clock.now),
        gate=budget.acquire,
        sink=budget.on_limits,
        observe=lambda _: None,
    )
    ended_by = None
    try:
        list(adapter.fetch(upstream, ACCOUNT, [PUBLICATION]))
    except RefreshError as error:
        ended_by = error
    budget.on_result(ended_by)
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


JOBS = 700
X_ADAPTER, TIKTOK_ADAPTER = X(Settings()), TikTok(Settings())


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


def test_eight_workers_are_refused_at_most_once_a_window_of_a_hard_limit(
    client: RedisClient,
) -> None:
    """TikTok, a sliding minute without headers; both lanes, more work than the limit, calls of up to 1 s."""
    limit, minutes, workers = 300, 3, 8
    clock = SharedClock(workers)
    made = FleetBudgets.of(Settings(limits=f"tiktok:endpoint:video/query={limit}/1m"), client)
    fleet = replace(made, budgets=Budgets(client, now=clock.micros))
    simulators = Simulators(now=clock.now)
    simulators.behave("tiktok", limits={"video/query": {"calls": limit, "seconds": 60}})
    inhabit(simulators, "tiktok", {"video.list"})

    chance = random.Random(4)

    def travel(request: httpx.Request) -> httpx.Response:
        clock.passes(chance.uniform(0.01, 0.5))
        answered = answer(simulators, request)
        clock.passes(chance.uniform(0.01, 0.5))
        return answered

    def work(lane: Lane) -> None:
        while clock.now() < NOW + timedelta(minutes=minutes):
            ended_by = drain(fleet, TIKTOK_ADAPTER, http, lane, clock)
            if isinstance(ended_by, Paused):
                clock.passes((ended_by.until - clock.now()).total_seconds())
        clock.leave()

    with Client(transport=InProcess(travel), now=clock.now) as http, ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, lane) for lane in [*Lane] * (workers // 2)]:
            done.result()

    entries = simulators.request_log.entries()
    refused = [entry for entry in entries if entry.outcome == "refused_limit"]
    assert len(refused) <= minutes
    assert len(entries) - len(refused) >= 0.95 * limit * minutes


def test_limit_known_only_from_headers_is_used_up_with_at_most_one_refusal_a_window(
    fleet: FleetBudgets, clock: FakeClock
) -> None:
    """X, fixed windows of 15 minutes with a tenth of the published calls; the clock is simulated."""
    limit, windows = 300, 3
    simulators = Simulators(now=clock.now)
    simulators.behave("x", limits={"tweets:user": {"calls": limit, "seconds": 900, "sliding": False}})
    inhabit(simulators, "x", {"tweet.read", "users.read"})
    with Client(transport=InProcess(partial(answer, simulators)), now=clock.now) as http:
        while clock.now() < NOW + windows * timedelta(minutes=15):
            ended_by = drain(fleet, X_ADAPTER, http, Lane.INTERACTIVE, clock)
            assert ended_by is None or isinstance(ended_by, Deferred)
            clock.at = ended_by.until if ended_by else clock.at

    entries = simulators.request_log.entries()
    assert [entry for entry in entries if entry.outcome == "refused_limit"] == []
    assert len(entries) >= 0.95 * limit * windows


def test_first_job_of_new_x_account_neither_waits_nor_warns(fleet: FleetBudgets, clock: FakeClock) -> None:
    """100 young posts of each account: their private metrics are the second call of a job."""
    simulators = Simulators(now=clock.now)
    young = clock.now() - timedelta(days=2)
    readings: list[Reading] = []
    with Client(transport=InProcess(partial(answer, simulators)), now=clock.now) as http:
        for number in range(3):
            owner = SimulatedAccount(
                "x", f"{number}", access_token=f"act.{number}", scopes=frozenset({"tweet.read", "users.read"})
            )
            ids = [str(7_560_000_000_000_000_000 + number * 100 + post) for post in range(100)]
            simulators.world.add_accounts([owner])
            simulators.world.add_posts(
                [SimulatedPost("x", one, owner.platform_account_id, young) for one in ids]
            )
            account = replace(
                ACCOUNT,
                account_id=f"acc_{number}",
                platform_account_id=owner.platform_account_id,
                access_token=SecretStr(owner.access_token),
            )
            budget = JobBudget(
                fleet, account.account_id, Platform.X, Lane.BACKGROUND, (), now=clock.now, sleep=clock.passes
            )
            upstream = JobUpstream(
                http,
                Platform.X,
                account.account_id,
                PlainMemory(clock.now),
                gate=budget.acquire,
                sink=budget.on_limits,
                observe=lambda _: None,
            )
            posts = [Publication(place, one, None, None, young) for place, one in enumerate(ids)]
            readings += X(Settings()).fetch(upstream, account, posts)
            budget.on_result(None)

    assert clock.now() == NOW
    assert len(simulators.request_log.entries()) == 2 * 3
    assert len(readings) == 300
    assert all(one.warnings == () and "engagements" in one.metrics for one in readings)


def test_fleet_drains_after_an_hour_of_outage_without_a_refusal(
    fleet: FleetBudgets, client: RedisClient, clock: FakeClock
) -> None:
    """Everything is due, Redis was lost as well: 700 jobs against TikTok's 600 calls a minute."""
    simulators = Simulators(now=clock.now)
    inhabit(simulators, "tiktok", {"video.list"})
    left, most_keys = JOBS, 0
    with Client(transport=InProcess(partial(answer, simulators)), now=clock.now) as http:
        while left:
            ended_by = drain(fleet, TIKTOK_ADAPTER, http, Lane.BACKGROUND, clock)
            assert ended_by is None
            left -= 1
            most_keys = max(most_keys, client.dbsize())

    refused = [entry for entry in simulators.request_log.entries() if entry.outcome == "refused_limit"]
    assert refused == []
    assert clock.now() - NOW < 1.1 * timedelta(minutes=JOBS / (600 * 0.85))
    assert most_keys <= 8
