"""Any answer that a platform could give, as hypothesis draws it, and what must hold after each."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx
from hypothesis import strategies as st

from deploy.simulators.server import HOSTS, Simulators
from shared.settings import Settings
from tests.worker.adapters.harness import Outcome, Subject, check, drain, worker_account, worker_publications
from tests.worker.adapters.support import PlainMemory
from tests.worker.http.corrupted_responses import opened
from tests.worker.http.in_process import InProcess
from worker.adapters import ADAPTERS
from worker.errors import Paused, RefreshError
from worker.http.client import Client
from worker.http.upstream import JobUpstream
from worker.readings import Limit, Tokens

Handler = Callable[[httpx.Request], httpx.Response]

POSTS = 3
MOST_CALLS = 120
LONGEST = timedelta(days=32)


@dataclass(frozen=True)
class Spoken:
    """What a well-behaved platform answers to one read: the bodies, and every word in them."""

    bodies: tuple[Any, ...]
    words: tuple[str, ...]


def well_behaved(subject: Subject) -> Handler:
    """Return the simulated platform with the subject's account and posts on it."""
    simulators = Simulators()
    simulators.world.add_accounts([subject.account])
    simulators.world.add_posts([subject.post(number) for number in range(1, POSTS + 1)])
    return simulators.transport().handle_request


@cache
def settings_of(subject: Subject) -> Settings:
    """Return the settings for the simulated platform at its official host."""
    return subject.settings({name: f"https://{host.official}" for name, host in HOSTS.items()})


@cache
def spoken(subject: Subject) -> Spoken:
    """Record a read of this platform."""
    platform, bodies = well_behaved(subject), list[Any]()

    def record(request: httpx.Request) -> httpx.Response:
        answer = platform(request)
        bodies.append(json.loads(answer.content))
        return answer

    assert read(subject, record).error is None
    tokens = (subject.account.access_token, subject.account.refresh_token or "")
    return Spoken(tuple(bodies), tuple(dict.fromkeys([*words(bodies), *tokens, *COMMON])))


COMMON = (
    *("error", "errors", "error_subcode", "code", "message", "type", "title", "detail", "reason", "status"),
    *("190", "100", "4", "33", "803", "10", "is_transient", "resource_id", "value", "parameter", "field"),
    *("https://api.x.com/2/problems/resource-not-found", "not-authorized-for-field", "usage-capped"),
    *("serviceErrorCode", "ACCESS_DENIED", "REVOKED_ACCESS_TOKEN", "MEMBER", "APPLICATION", "paging"),
    *("ok", "access_token_invalid", "rate_limit_exceeded", "scope_not_authorized", "invalid_params"),
    *("access_token", "refresh_token", "expires_in", "refresh_expires_in", "scope", "invalid_grant"),
    *("statuses", "results", "elements", "metricType", "count", "publicaly_available_post_id"),
)


def words(value: Any) -> Iterator[str]:
    """Return every key and string of a JSON value, those of JSON inside strings as well."""
    value = opened(value)
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from words(one)
    elif isinstance(value, dict):
        yield from value
        for one in value.values():
            yield from words(one)


# Strategies


@cache
def any_json(vocabulary: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Return JSON values that often use the platform's own words."""
    word = st.sampled_from(vocabulary) | st.text(max_size=5)
    number = (
        st.sampled_from([0, -1, 4, 100, 190, 2**63, 10**30, 1e300, 0.5])
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
    )
    scalar = st.none() | st.booleans() | number | word
    return st.recursive(
        scalar,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(word, inner, max_size=5),
        max_leaves=12,
    )


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the paths to everything inside a JSON value, also inside strings that hold JSON."""
    yield here
    value = opened(value)
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*here, key))


LEFT_OUT = object()


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a JSON value with something else at one place, or nothing for `LEFT_OUT`."""
    if not path:
        return new
    if isinstance(value, str):
        return json.dumps(changed(opened(value), path, new))
    pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    pairs = [(key, changed(one, path[1:], new) if key == path[0] else one) for key, one in pairs]
    pairs = [(key, one) for key, one in pairs if one is not LEFT_OUT]
    return dict(pairs) if isinstance(value, dict) else [one for _, one in pairs]


@st.composite
def nearly_true(draw: st.DrawFn, said: Spoken) -> Any:
    """Return one of the platform's true answers with up to three things in it replaced or left out."""
    body = draw(st.sampled_from(said.bodies))
    for _ in range(draw(st.integers(1, 3))):
        there = list(places(body))
        path = there[draw(st.integers(0, len(there) - 1))]
        new = draw(any_json(said.words)) if draw(st.booleans()) else LEFT_OUT
        body = changed(body, path, new)
        if body is LEFT_OUT:
            return None
    return body


statuses = st.sampled_from([200] * 6 + [400, 401, 402, 403, 404, 410, 426, 429, 500, 503]) | st.integers(
    200, 599
)
header_values = st.sampled_from(
    [
        "0",
        "-1",
        "60",
        "99999999999999999999",
        "1e5",
        "soon",
        "Wed, 21 Oct 2015 07:28:00 GMT",
        '{"call_count": 101, "total_time": 1, "total_cputime": 1}',
        '{"1000": [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 1e99}]}',
        '{"1000": [{"type": "pages", "call_count": true, "estimated_time_to_regain_access": -5}, 7]}',
        "[" * 5000,
        "{}",
        "NaN",
    ]
) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
headers = st.dictionaries(
    st.sampled_from(
        [
            "Date",
            "Retry-After",
            "X-App-Usage",
            "X-Page-Usage",
            "X-Business-Use-Case-Usage",
            "x-rate-limit-limit",
            "x-rate-limit-remaining",
            "x-rate-limit-reset",
        ]
    ),
    header_values,
    max_size=4,
)


@st.composite
def conversation(draw: st.DrawFn, bodies: st.SearchStrategy[Any]) -> Callable[[Handler], Handler]:
    """Return a platform whose first answers are drawn, and which then is true or repeats itself."""
    drawn = draw(st.lists(st.tuples(statuses, headers, bodies), min_size=1, max_size=3))
    repeats = draw(st.booleans())

    def around(platform: Handler) -> Handler:
        calls = 0

        def answer(request: httpx.Request) -> httpx.Response:
            nonlocal calls
            calls += 1
            assert calls <= MOST_CALLS, "the adapter asks without end"
            if calls > len(drawn) and not repeats:
                return platform(request)
            status, named, body = drawn[min(calls, len(drawn)) - 1]
            return httpx.Response(status, headers=named, content=json.dumps(body).encode())

        return answer

    return around


# Reading


def read(subject: Subject, handler: Handler) -> Outcome:
    """Read all posts once, and check what must hold for every read."""
    account = worker_account(subject, subject.account)
    publications = worker_publications([subject.post(number) for number in range(1, POSTS + 1)])
    adapter = ADAPTERS[subject.platform](settings_of(subject))
    with Client(transport=InProcess(handler)) as client:
        upstream = upstream_of(subject, client)
        outcome = drain(adapter.fetch(upstream, account, publications))
    check(outcome, publications, account)
    check_limits(upstream.limits)
    check_pause(outcome.error)
    return outcome


def upstream_of(subject: Subject, client: Client) -> JobUpstream:
    memory = PlainMemory(lambda: datetime.now(UTC))
    return JobUpstream(client, subject.platform, "acc_1", memory, observe=lambda _call: None)


def check_limits(limits: list[Limit]) -> None:
    """Check that limits are sane numbers about the near future."""
    now = datetime.now(UTC)
    for limit in limits:
        for number in (limit.limit, limit.remaining, limit.used_percent):
            assert number is None or (type(number) is int and 0 <= number < 2**63)
        assert limit.resets_at is None or now - timedelta(minutes=5) < limit.resets_at < now + LONGEST


def check_pause(error: RefreshError | None) -> None:
    """Check that a pause ends, and not in the past."""
    if isinstance(error, Paused):
        now = datetime.now(UTC)
        assert now - timedelta(minutes=1) < error.until < now + LONGEST
        assert error.escalates_until is None or error.until <= error.escalates_until < now + LONGEST


def check_tokens(tokens: Tokens) -> None:
    """Check that tokens can be stored and sent, and that they end in a believable time."""
    now = datetime.now(UTC)
    for token in (tokens.access_token, tokens.refresh_token):
        assert token is None or httpx.Headers({"authorization": f"Bearer {token.get_secret_value()}"})
        assert token is None or token.get_secret_value().strip()
    for end in (tokens.expires_at, tokens.refresh_token_expires_at):
        assert end is None or now < end < now + timedelta(days=3660)


def renew(subject: Subject, handler: Handler) -> None:
    """Renew the account's tokens once, and check what came."""
    account = worker_account(subject, subject.account)
    adapter = ADAPTERS[subject.platform](settings_of(subject))
    with Client(transport=InProcess(handler)) as client:
        try:
            tokens = adapter.renew(upstream_of(subject, client), account)
        except RefreshError as error:
            check(Outcome((), error), [], account)
            check_pause(error)
        else:
            check_tokens(tokens)


GRANT = ("access_token", "refresh_token", "expires_in", "refresh_expires_in", "scope", "error")


def any_grant(vocabulary: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Return answers to a renewal that often look like a grant."""
    some = {name: any_json(vocabulary) for name in GRANT}
    return st.fixed_dictionaries({}, optional=some) | any_json(vocabulary)
