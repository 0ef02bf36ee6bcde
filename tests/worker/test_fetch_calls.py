"""What a fetch does between its calls: budgets, lease, lent threads and tried stops, without a database."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from shared.accounts.vault import Vault, new_key
from shared.quota.budgets import Budgets, Decision
from shared.quota.limits import Bucket, Limits
from shared.quota.pauses import PauseInForce
from shared.settings import Settings
from shared.vocabulary import AccountState, BucketKind, Lane, PauseKind, Platform
from tests.worker.http.in_process import InProcess
from tests.worker.outcomes.table import POLICY, ROW
from tests.worker.quota.fake_clock import NOW
from tests.worker.quota.job_budget.scripted import Calls
from worker.adapters.contract import Upstream
from worker.clock import DatabaseClock
from worker.context import RefreshRun, WorkerContext
from worker.credentials.tokens import StoredAccount
from worker.errors import Paused, RefreshError, TryAgain
from worker.fetch import FetchResult, fetch
from worker.http.client import Client
from worker.queue.lending import Lending
from worker.quota.breaker import Breakers
from worker.quota.fleet import FleetBudgets
from worker.quota.pause import Deferred, NewPause
from worker.readings import Account, Answer, Publication, Reading, Tokens

SECOND, LEASE = timedelta(seconds=1), Settings().lease.total_seconds()
BATCH = 20
STOP = PauseInForce("tiktok", PauseKind.CREDITS, "", NOW - 9 * SECOND, NOW - SECOND, "Credits.", 1)
BLOCKED = replace(STOP, kind=PauseKind.BLOCKED, subject="acc_1", reason="Blocked.")
ELSEWHERE = PauseInForce("tiktok", PauseKind.ENDPOINT, "status/fetch", NOW, NOW + SECOND, "Limit.", 1)


@dataclass
class Fetching:
    """One fetch at TikTok by an adapter that makes a call for each batch; the database does not answer."""

    budgets: Calls = field(default_factory=Calls)
    seconds: float = 0.0
    sent: list[int] = field(default_factory=list)
    answer: Callable[[int], RefreshError | None] = lambda _first: None
    """Return how the call that begins with this row ends."""
    calls: int = 1
    """Of a batch."""
    took: float = 0.0
    """Seconds of a call."""
    returns_thread: bool = False
    renewal_endpoint: str | None = "oauth/token"

    def fetch(
        self, upstream: Upstream, _account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Call, and answer every publication or none."""
        for _ in range(self.calls):
            upstream.send("POST", "https://platform.test/", endpoint="video/query")
            self.sent.append(publications[0].id)
            self.seconds += self.took
        if error := self.answer(publications[0].id):
            raise error
        yield from (Reading(one.id, Answer.READ, {"view_count": 1}) for one in publications)

    def renew(self, _upstream: Upstream, _account: Account) -> Tokens:
        """Fail: no test gets here."""
        raise AssertionError

    def wait(self, seconds: float) -> bool:
        """Let time pass for a job that waits for its budget."""
        self.seconds += seconds
        return self.returns_thread

    def run(self, rows: int, *pauses: PauseInForce, **fields: Any) -> FetchResult:
        """Fetch so many rows in the background."""
        expires_at = fields.pop("expires_at", None)
        account = Account(
            "acc_1", "ws_1", Platform.TIKTOK, "1", None, None, frozenset(),
            SecretStr("token"), SecretStr("pair"), expires_at, None, None,
        )  # fmt: skip
        job = RefreshRun(
            StoredAccount(account, 1, AccountState.ACTIVE, None),
            rows=tuple(
                replace(ROW, publication=Publication(one, "7", None, None, NOW)) for one in range(rows)
            ),
            poison=(),
            pauses=pauses,
            lane=Lane.BACKGROUND,
            policy=POLICY,
            request_id="request",
            began=0.0,
            lease_began=fields.pop("lease_began", 0.0),
        )
        clock = DatabaseClock(lambda: self.seconds)
        clock.set(NOW, self.seconds)
        budgets, breakers = cast("Budgets", self.budgets), cast("Breakers", self.budgets)
        lent = SimpleNamespace(must_return=lambda: self.returns_thread, sleep=self.wait)
        with Client(transport=InProcess(lambda _: httpx.Response(200)), now=clock.now) as client:
            context = WorkerContext(
                settings=Settings(),
                engine=cast("Any", SimpleNamespace(begin=away)),
                vault=Vault([SecretStr(new_key())]),
                client=client,
                clock=clock,
                adapters={Platform.TIKTOK: self},
                budgets=FleetBudgets(budgets, breakers, Limits.parse(""), 80, 95, timedelta(days=1)),
                lending=cast("Lending", lent),
            )
            return fetch(job, None, context)

    def made(self) -> list[str]:
        """Return what the budgets and the breaker received, by name."""
        return [str(name) for name, *_ in self.budgets.made]


def away() -> None:
    raise OperationalError("SELECT", {}, Exception("away"))


def ending_at(first: int, error: RefreshError) -> Callable[[int], RefreshError | None]:
    return lambda one: error if one == first else None


def test_failed_call_counts_for_the_breaker_wherever_in_the_job_it_is() -> None:
    down = TryAgain("503", breaks=True)
    reserve = "reserve"

    between = Fetching(answer=ending_at(BATCH, down))
    assert between.run(3 * BATCH).error is None
    assert between.made() == [reserve, reserve, "failed", reserve, "succeeded"]
    assert ("reserve", 1, Lane.BACKGROUND) in between.budgets.made

    last = Fetching(answer=ending_at(BATCH, down))
    result = last.run(2 * BATCH)
    assert (result.error, result.failed, len(result.rest)) == (down, (), BATCH)
    assert last.made() == [reserve, reserve, "failed"], "nothing has succeeded since"


@pytest.mark.parametrize(
    ("error", "accepted"),
    [(None, True), (TryAgain("503"), False), (Paused("Limit.", kind=BucketKind.APP, until=NOW), False)],
)
def test_only_a_job_that_the_platform_accepts_to_its_end_ends_a_tried_stop(
    error: RefreshError | None, *, accepted: bool
) -> None:
    ended = tuple(NewPause(one.kind, one.subject, None, one.reason) for one in (STOP, BLOCKED))
    fetching = Fetching(answer=ending_at(BATCH, cast("Any", error)))
    assert fetching.run(2 * BATCH, STOP, BLOCKED, ELSEWHERE).pauses == (ended if accepted else ())
    assert fetching.made()[:3] == ["reopen", "reopen", "reserve"]
    assert fetching.made().count("reopen") == 2
    assert [cast("Bucket", call[1]).kind for call in fetching.budgets.made[:2]] == [
        BucketKind.APP,
        BucketKind.ACCOUNT,
    ]

    assert Fetching().run(0, STOP).pauses == (), "nothing was accepted"


def test_job_in_a_lent_thread_makes_its_first_call_and_gives_the_thread_back_before_the_second() -> None:
    fetching = Fetching(returns_thread=True)

    result = fetching.run(3 * BATCH)

    assert fetching.sent == [0]
    assert len(result.rest) == 2 * BATCH
    assert isinstance(result.error, Deferred)
    assert (result.error.until, result.error.pause) == (NOW, None), "the other rows are due at once"


def test_job_in_a_lent_thread_gives_it_back_while_it_waits_for_a_budget() -> None:
    fetching = Fetching(budgets=Calls([Decision(SECOND)]), returns_thread=True)

    assert isinstance(fetching.run(BATCH).error, Deferred)
    assert fetching.sent == []


def test_job_whose_lease_could_end_makes_no_call_and_reserves_none() -> None:
    for rows, calls in ((2 * BATCH, 1), (BATCH, 2)):
        in_time, too_late = (Fetching(calls=calls, took=share * LEASE) for share in (0.4, 0.6))
        assert in_time.run(rows).error is None
        assert isinstance(too_late.run(rows).error, TryAgain)
        assert (len(in_time.sent), in_time.made().count("reserve")) == (2, 2)
        assert (len(too_late.sent), too_late.made().count("reserve")) == (1, 1)

    waiting = Fetching(budgets=Calls([Decision(timedelta(seconds=0.6 * LEASE))]))
    assert isinstance(waiting.run(BATCH).error, TryAgain)
    assert waiting.sent == [], "the wait for the budget took the time of the call"

    begun = Fetching()
    begun.run(BATCH, lease_began=-0.6 * LEASE)
    assert begun.made() == []

    renewing = Fetching()
    renewing.run(BATCH, lease_began=-0.6 * LEASE, expires_at=NOW)
    assert renewing.made() == [], "a renewal is a call"


def test_token_is_used_until_the_instant_at_which_it_ends() -> None:
    for expires_at, sent in ((NOW, []), (NOW + timedelta(microseconds=1), [0])):
        fetching = Fetching(budgets=Calls([Decision(SECOND, paused=True)]))
        assert isinstance(fetching.run(1, expires_at=expires_at).error, Deferred) is not bool(sent)
        assert fetching.sent == sent
