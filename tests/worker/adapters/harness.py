"""A simulated platform, an account and posts on it, and the adapter that reads them over loopback HTTP."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from deploy.simulators.server import Simulators
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Application
from deploy.simulators.world import Post as SimulatedPost
from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform, WarningCode
from tests.worker.adapters.support import PlainMemory
from tests.worker.http.corrupted_responses import Wire
from worker.adapters import ADAPTERS
from worker.errors import Paused, Reauthorize, RefreshError
from worker.http.client import Bounds, Client
from worker.http.upstream import Gate, JobUpstream, ungated
from worker.readings import Account, Answer, Limit, Publication, Reading

LONGEST_PAUSE = timedelta(hours=26)
PATIENT = Bounds(connect=timedelta(seconds=5), read=timedelta(seconds=5), whole=timedelta(seconds=10))
HASTY = Bounds(connect=timedelta(seconds=0.3), read=timedelta(seconds=0.3), whole=timedelta(seconds=0.6))


@dataclass(frozen=True)
class Refusal:
    """One form in which a platform refuses a call because of a limit."""

    label: str
    behave: Mapping[str, Any]
    """The `deploy.simulators.behaviour.Conditions` that causes it, after one successful fetch."""
    kind: BucketKind
    longest: timedelta = LONGEST_PAUSE


@dataclass(frozen=True, eq=False)
class Subject:
    """What the suite needs to know about a platform; it reads the rest from the simulator."""

    label: str
    platform: Platform
    settings: Callable[[Mapping[str, str]], Settings]
    """The settings for simulated platforms at these URLs, by host name."""
    account: SimulatedAccount
    post: Callable[[int], SimulatedPost]
    """The account's post of that number (from 1), with exact counters."""
    metrics: Mapping[str, int | float]
    """The metrics that the adapter must return for each post."""
    requests_for_a_full_batch: int
    refusals: tuple[Refusal, ...]
    scope: str
    """A scope without which nothing can be fetched."""
    renewable: bool
    """Whether an expired access token is worth a renewal."""
    renews: bool
    """Whether there is anything to renew a token with."""
    applications: tuple[Application, ...] = ()
    batch_size: int | None = None
    """Publications in a full batch; ``None``: the platform's `BATCH_SIZE`."""
    misconfigured: Mapping[str, Any] = field(default_factory=dict)
    """The conditions in which the platform refuses our application or request, if they can be simulated."""


@dataclass(frozen=True)
class Outcome:
    """The result of a fetch: its readings, and the error that ended it early."""

    readings: tuple[Reading, ...]
    error: RefreshError | None = None

    @property
    def answers(self) -> dict[int, Answer]:
        """The answers by publication."""
        return {reading.publication_id: reading.answer for reading in self.readings}


class Harness:
    """One simulated platform with an account and posts, and the adapter that reads them."""

    def __init__(self, subject: Subject, simulators: Simulators, clients: Mapping[Bounds, Client]) -> None:
        self.subject = subject
        self._clients = clients
        self.simulators = simulators
        self.adapter = ADAPTERS[subject.platform](subject.settings(simulators.urls))
        self.memory = PlainMemory(lambda: datetime.now(UTC))
        self.limits: list[Limit] = []
        self.simulators.world.add_accounts([subject.account])
        self.simulators.world.applications.update({one.platform: one for one in subject.applications})

    @property
    def name(self) -> str:
        """The platform's name, as the simulators know it."""
        return self.subject.account.platform

    def change_account(self, **changes: Any) -> None:
        """Change the simulated account."""
        self.simulators.world.change_account(self.name, self.subject.account.platform_account_id, **changes)

    def account(self) -> Account:
        """Return the account as the worker sees it: with the tokens that the platform issued last."""
        known = self.simulators.world.account(self.name, self.subject.account.platform_account_id)
        assert known is not None
        return worker_account(self.subject, known)

    def publications(self, count: int) -> list[Publication]:
        """Publish that many posts, and return them as the worker sees them."""
        posts = [self.subject.post(number) for number in range(1, count + 1)]
        self.simulators.world.add_posts(posts, if_absent=True)
        return worker_publications(posts)

    def behave(self, **values: Any) -> None:
        """Make the platform misbehave."""
        self.simulators.behave(self.name, **values)

    def fault(self, **values: Any) -> None:
        """Make every answer of the platform fail in one way."""
        self.behave(faults=[{"times": None, **values}])

    def read(
        self,
        publications: list[Publication],
        *,
        account: Account | None = None,
        bounds: Bounds = PATIENT,
        wire: Wire | None = None,
        gate: Gate = ungated,
    ) -> Outcome:
        """Fetch the publications once, and check what must hold for every fetch."""
        account = account or self.account()
        with (
            closing(Client(bounds, transport=wire)) if wire else nullcontext(self._clients[bounds]) as client
        ):
            upstream = JobUpstream(client, self.subject.platform, "acc_1", self.memory, gate=gate)
            outcome = drain(self.adapter.fetch(upstream, account, publications))
        self.limits += upstream.limits
        check(outcome, publications, account)
        return outcome

    def renew(self, account: Account) -> Account:
        """Renew the account's tokens, and return it with the new ones."""
        client = self._clients[PATIENT]
        upstream = JobUpstream(client, self.subject.platform, "acc_1", self.memory)
        tokens = self.adapter.renew(upstream, account)
        assert tokens.access_token.get_secret_value() not in repr(tokens)
        assert tokens.expires_at is None or tokens.expires_at > datetime.now(UTC)
        return replace(
            account,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token or account.refresh_token,
        )


def worker_account(subject: Subject, known: SimulatedAccount) -> Account:
    """Return a simulated account as the worker sees it."""
    return Account(
        account_id="acc_1",
        workspace_id="ws_1",
        platform=subject.platform,
        platform_account_id=known.platform_account_id,
        login=known.login,
        kind=known.kind,
        scopes=known.scopes,
        access_token=SecretStr(known.access_token),
        refresh_token=SecretStr(known.refresh_token) if known.refresh_token else None,
        token_expires_at=known.access_token_expires_at,
        refresh_token_expires_at=known.refresh_token_expires_at,
        token_minted_at=known.minted_at,
    )


def worker_publications(posts: list[SimulatedPost]) -> list[Publication]:
    """Return simulated posts as the worker sees them, numbered from 1."""
    return [
        Publication(
            id=number,
            platform_post_id=post.platform_post_id,
            publish_id=post.publish_id,
            media_type=post.media_type,
            created_at=post.created_at,
        )
        for number, post in enumerate(posts, 1)
    ]


def drain(readings: Iterator[Reading]) -> Outcome:
    """Take all readings until the end, or until a refresh error; any other exception fails the test."""
    received: list[Reading] = []
    try:
        received.extend(readings)
    except RefreshError as error:
        return Outcome(tuple(received), error)
    return Outcome(tuple(received))


_METRIC_KEY = re.compile(r"[a-z][a-z0-9_]{0,99}")
_WARNING = re.compile(rf"(?:{'|'.join(WarningCode)}): \S.+")


def check(outcome: Outcome, publications: list[Publication], account: Account) -> None:
    """Check what must hold for every fetch, whatever the platform answered."""
    requested, answered = {one.id for one in publications}, [one.publication_id for one in outcome.readings]
    assert len(answered) == len(set(answered)), "a publication has two readings"
    assert requested.issuperset(answered), "a reading for a publication that was not asked for"
    assert outcome.error or requested == set(answered), "a publication has neither a reading nor an error"
    for reading in outcome.readings:
        assert reading.metrics == {} or reading.answer in {Answer.READ, Answer.OMITTED}
        for key, value in reading.metrics.items():
            assert _METRIC_KEY.fullmatch(key), f"{key!r} is no key of ours"
            assert type(value) in {int, float}
            assert -(2**63) <= value < 2**63, "no sane number, or none at all"
        assert not set(reading.missing) & set(reading.metrics)
        for warning in reading.warnings:
            assert _WARNING.fullmatch(warning), f"{warning!r} is no warning"
        for metric in reading.missing:
            assert any(metric in warning for warning in reading.warnings), f"no warning names {metric}"
    if isinstance(outcome.error, Paused):
        assert outcome.error.until.utcoffset() == timedelta(0)
    if isinstance(outcome.error, Reauthorize):
        assert not (outcome.error.renewable and outcome.error.missing_scope)
    hides_secrets(repr(outcome.readings) + _chain(outcome.error), account)


def hides_secrets(text: str, account: Account) -> None:
    """Check that a text holds none of the account's tokens."""
    for token in (account.access_token, account.refresh_token):
        assert token is None or token.get_secret_value() not in text, "a token shows"


def _chain(error: BaseException | None) -> str:
    if error is None:
        return ""
    return f"{error!r} {vars(error)} {_chain(error.__cause__)} {_chain(error.__context__)}"
