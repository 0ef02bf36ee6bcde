"""The X adapter against the simulated platform, and against answers that no simulator should give."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from deploy.simulators.misbehaviour import Behaviour, Limit, Misbehaviour
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Post, World
from deploy.simulators.x import APP_BEARER
from deploy.simulators.x import X as SimulatedX
from deploy.simulators.x_oauth import CLIENT_ID, CLIENT_SECRET
from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.support import NOW, PlainUpstream, account, publication, replies, reply, upstream
from worker.adapters.x import PUBLIC, X
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Account, Answer, Publication, Reading

OWNER, TOKEN = "2244994945", "x-access-very-secret"
OLD, YOUNG = NOW - timedelta(days=45), NOW - timedelta(days=2)
COUNTERS = {key: number for number, key in enumerate(PUBLIC, 10)}
PRIVATE = {"url_link_clicks": 5, "user_profile_clicks": 6, "engagements": 70}
PROBLEM = "https://api.twitter.com/2/problems/"
SETTINGS = Settings(x_client_id=CLIENT_ID, x_client_secret=SecretStr(CLIENT_SECRET))
OWN = account(
    Platform.X,
    platform_account_id=OWNER,
    access_token=SecretStr(TOKEN),
    refresh_token=SecretStr("x-refresh-very-secret"),
)


class Rig:
    """A simulated X with one account, on a clock that stands."""

    def __init__(self) -> None:
        self.world = World(0, lambda: NOW)
        self.behaviour = Behaviour()
        self.simulator = SimulatedX(self.world, self.behaviour)
        self.upstream = upstream(self.simulator.handle, now=NOW)
        scopes = frozenset({"tweet.read", "users.read"})
        for owner, token in ((OWNER, TOKEN), ("1", "x-other-very-secret")):
            known = SimulatedAccount("x", owner, token, refresh_token=f"{token}-refresh", scopes=scopes)
            self.world.add_accounts([known])

    def publish(self, count: int, created_at: datetime = OLD, **others: Any) -> list[Publication]:
        known = len(self.world.posts())
        found = []
        for number in range(known + 1, known + count + 1):
            values = {"owner": OWNER, "counters": COUNTERS | PRIVATE, **others}
            post = Post("x", str(1_990_000_000_000_000_000 + number), created_at=created_at, **values)
            self.world.add_posts([post])
            found.append(publication(number, post.platform_post_id, created_at=created_at))
        return found

    def read(
        self, publications: list[Publication], *, adapter: X | None = None, by: Account = OWN
    ) -> dict[int, Reading]:
        adapter = adapter or X(SETTINGS)
        return {one.publication_id: one for one in adapter.fetch(self.upstream, by, publications)}


@pytest.fixture
def rig() -> Rig:
    return Rig()


def drained(
    sent: PlainUpstream, publications: list[Publication], by: Account = OWN, settings: Settings = SETTINGS
) -> tuple[list[Reading], RefreshError | None]:
    readings: list[Reading] = []
    try:
        readings.extend(X(settings).fetch(sent, by, publications))
    except RefreshError as error:
        return readings, error
    return readings, None


def answer_of(*responses: httpx.Response, count: int = 1, created_at: datetime = OLD) -> Any:
    publications = [publication(number, str(number), created_at=created_at) for number in range(1, count + 1)]
    return drained(upstream(replies(*responses), now=NOW), publications)


def post(number: int, **others: Any) -> dict[str, Any]:
    return {"id": str(number), "public_metrics": COUNTERS, **others}


# Numbers and calls


def test_a_hundred_old_posts_cost_one_call(rig: Rig) -> None:
    readings = rig.read(rig.publish(100))

    assert rig.upstream.cost == 1
    assert len(readings) == 100
    assert all(one.metrics == COUNTERS and one.missing == () for one in readings.values())


def test_young_own_posts_get_their_private_metrics_in_one_more_call(rig: Rig) -> None:
    old, young = rig.publish(2), rig.publish(98, YOUNG)

    readings = rig.read(old + young)

    assert rig.upstream.cost == 2
    assert all(readings[one.id].metrics == COUNTERS for one in old)
    organic = {f"organic_{key}": COUNTERS[key] for key in PUBLIC[:4]}
    organic |= {f"organic_{key}": PRIVATE[key] for key in ("url_link_clicks", "user_profile_clicks")}
    assert all(readings[one.id].metrics == COUNTERS | PRIVATE | organic for one in young)
    assert all(one.warnings == () for one in readings.values())
    assert not any(one.platform_post_id in rig.upstream.sent[1].url for one in old if one.platform_post_id)


@pytest.mark.parametrize(
    ("age", "calls"), [(timedelta(days=29.4), 2), (timedelta(days=29.6), 1), (timedelta(0), 2)]
)
def test_the_platforms_own_age_decides_about_private_metrics(rig: Rig, age: timedelta, calls: int) -> None:
    published = rig.publish(1, NOW - age)[0]

    rig.read([publication(published.id, published.platform_post_id, created_at=OLD)])

    assert rig.upstream.cost == calls


def test_a_foreign_post_is_read_without_its_private_metrics(rig: Rig) -> None:
    foreign = rig.publish(1, YOUNG, owner="1")

    assert rig.read(foreign)[1].metrics == COUNTERS
    assert rig.upstream.cost == 1


def test_the_apps_bearer_reads_public_metrics_where_an_account_has_no_token(rig: Rig) -> None:
    keyless = account(Platform.X, platform_account_id=OWNER, access_token=SecretStr(""))
    adapter = X(Settings(x_app_bearer=SecretStr(APP_BEARER)))

    readings = rig.read(rig.publish(2, YOUNG), adapter=adapter, by=keyless)

    assert [one.metrics for one in readings.values()] == [COUNTERS, COUNTERS]
    assert rig.upstream.cost == 1
    assert {limit.endpoint for limit in rig.upstream.limits} == {"tweets:app"}


def test_without_any_token_the_owner_is_asked(rig: Rig) -> None:
    keyless = account(Platform.X, access_token=SecretStr(""))

    with pytest.raises(Reauthorize):
        rig.read(rig.publish(1), by=keyless)
    assert rig.upstream.cost == 0


# Single posts


def test_each_kind_of_missing_post_has_its_answer_and_costs_its_siblings_nothing(rig: Rig) -> None:
    good, deleted = rig.publish(1), rig.publish(1, deleted=True)
    protected, broken = rig.publish(1, owner="1", protected=True), rig.publish(1)
    never, malformed, unknown = publication(90, "1"), publication(91, "12x4"), publication(92, None)
    rig.behaviour.become(Misbehaviour(unhydrated_posts=frozenset({broken[0].platform_post_id or ""})))

    readings = rig.read([*good, *deleted, *protected, *broken, never, malformed, unknown])

    assert {number: one.answer for number, one in readings.items()} == {
        good[0].id: Answer.READ,
        deleted[0].id: Answer.MISSING,
        protected[0].id: Answer.MISSING,
        broken[0].id: Answer.UNREADABLE,
        90: Answer.MISSING,
        91: Answer.MISSING,
        92: Answer.PROCESSING,
    }
    assert readings[good[0].id].metrics == COUNTERS
    assert rig.upstream.cost == 1


@pytest.mark.parametrize("renamed", [False, True])
def test_an_edited_post_is_read_by_its_first_id(rig: Rig, *, renamed: bool) -> None:
    first, last = rig.publish(1, YOUNG), rig.publish(1, YOUNG)
    rig.world.change_post("x", first[0].platform_post_id or "", replaced_by=last[0].platform_post_id)
    rig.behaviour.become(Misbehaviour(renamed_answer=renamed))

    reading = rig.read(first)[first[0].id]

    assert reading.metrics.items() >= (COUNTERS | PRIVATE).items()


def test_an_id_in_neither_list_is_never_missing() -> None:
    readings, _ = answer_of(reply({"data": [post(1)]}), count=2)

    assert [one.answer for one in readings] == [Answer.READ, Answer.UNREADABLE]


def test_an_answer_without_data_is_taken_apart_all_the_same() -> None:
    error = {"value": "1", "type": "https://any.host/2/problems/resource-not-found"}

    readings, _ = answer_of(reply({"errors": [error]}))

    assert readings[0].answer is Answer.MISSING


def test_a_post_whose_metrics_are_refused_is_unavailable() -> None:
    error = {"resource_id": "1", "type": PROBLEM + "not-authorized-for-field"}

    readings, _ = answer_of(reply({"errors": [error]}))

    assert readings[0].answer is Answer.UNAVAILABLE


@pytest.mark.parametrize("value", [None, True, -1, 2**63, "7", 7.0, [7], {}])
def test_what_is_no_counter_is_missing_and_named(value: object) -> None:
    readings, _ = answer_of(reply({"data": [post(1, public_metrics=COUNTERS | {"like_count": value})]}))

    assert "like_count" not in readings[0].metrics
    assert readings[0].missing == ("like_count",)
    assert readings[0].warnings == ("metric_unavailable: like_count was not reported by X",)


def test_a_metric_that_is_new_passes_through() -> None:
    readings, _ = answer_of(reply({"data": [post(1, public_metrics=COUNTERS | {"echo_count": 2**53 + 1})]}))

    assert readings[0].metrics["echo_count"] == 2**53 + 1


# The renamed parameter


def test_the_parameter_is_renamed_once_and_stays_renamed(rig: Rig) -> None:
    rig.behaviour.become(Misbehaviour(renamed_parameter=True, renamed_answer=True))
    adapter, published = X(SETTINGS), rig.publish(2)

    readings = rig.read(published, adapter=adapter)
    rig.read(published, adapter=adapter)

    assert readings[1].metrics == COUNTERS
    assert [("post.fields" in call.url) for call in rig.upstream.sent] == [False, True, True]


def test_any_other_400_is_ours_and_not_repeated() -> None:
    _, error = answer_of(reply({"title": "Invalid Request", "type": PROBLEM + "invalid-request"}, 400))

    assert isinstance(error, Misconfigured)


# Private metrics refused


@pytest.mark.parametrize(
    ("refusal", "warning", "raised"),
    [
        (reply({}, 429), "metric_unavailable", Paused),
        (reply({}, 503), "metric_unavailable", None),
        (reply("<html>", 200), "metric_unavailable", None),
        (reply({"detail": "lacks the scope tweet.read"}, 403), "permission_missing", None),
        (reply({}, 401), "metric_unavailable", None),
    ],
)
def test_a_refused_private_call_costs_no_public_number(
    refusal: httpx.Response, warning: str, raised: type[RefreshError] | None
) -> None:
    public = reply({"data": [post(1)]})

    readings, error = answer_of(public, refusal, created_at=YOUNG)

    assert readings[0].metrics == COUNTERS
    assert readings[0].missing == ()
    assert readings[0].warnings[0].startswith(f"{warning}: ")
    assert type(error) is (raised or type(None))


def test_a_post_that_vanishes_from_the_private_answer_keeps_its_public_numbers() -> None:
    refused = {"resource_id": "1", "type": PROBLEM + "not-authorized-for-field"}

    readings, error = answer_of(reply({"data": [post(1)]}), reply({"errors": [refused]}), created_at=YOUNG)

    assert (readings[0].metrics, readings[0].warnings, error) == (COUNTERS, (), None)


# Refusals

SUSPENDED = {"type": PROBLEM + "user-suspended", "detail": "The user authenticating this is suspended."}
NOT_ENROLLED = {"type": PROBLEM + "client-forbidden", "reason": "client-not-enrolled"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"title": "Unauthorized", "type": "about:blank"}, Reauthorize),
        (401, "", Reauthorize),
        (402, "", Paused),
        (402, {"type": "https://api.x.com/2/problems/credits-depleted"}, Paused),
        (403, SUSPENDED, Reauthorize),
        (403, NOT_ENROLLED, Misconfigured),
        (403, {"errors": [NOT_ENROLLED]}, Misconfigured),
        (403, {"type": PROBLEM + "unsupported-authentication"}, Misconfigured),
        (403, {"detail": "Your client app is not configured with the appropriate permissions"}, Reauthorize),
        (403, {"detail": "no"}, Misconfigured),
        (404, "", Misconfigured),
        (429, {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}, Paused),
        (429, "<html>", Paused),
        (500, "", TryAgain),
        (503, "<html>", TryAgain),
        (200, "", TryAgain),
        (200, "[1]", TryAgain),
        (302, "", Misconfigured),
    ],
)
def test_a_refusal_is_told_by_its_content(status: int, body: object, expected: type[RefreshError]) -> None:
    readings, error = answer_of(reply(body, status))

    assert (readings, type(error)) == ([], expected)
    assert not isinstance(error, TryAgain) or error.breaks == (status >= 500)


def test_a_dead_token_is_worth_a_renewal_and_a_suspension_is_not() -> None:
    _, dead = answer_of(reply({}, 401))
    _, suspended = answer_of(reply(SUSPENDED, 403))

    assert isinstance(dead, Reauthorize)
    assert dead.renewable
    assert isinstance(suspended, Reauthorize)
    assert not suspended.renewable
    assert suspended.missing_scope is None
    assert "suspended" in str(suspended)


def test_a_missing_scope_is_named(rig: Rig) -> None:
    rig.world.change_account("x", OWNER, scopes=frozenset({"tweet.read"}))

    with pytest.raises(Reauthorize) as refused:
        rig.read(rig.publish(1))

    assert refused.value.missing_scope == "users.read"


def test_a_refused_bearer_of_ours_blames_no_user() -> None:
    keyless = account(Platform.X, access_token=SecretStr(""))
    settings = Settings(x_app_bearer=SecretStr("bearer-very-secret"))
    for status in (401, 403):
        sent = upstream(replies(reply({"detail": "scope"}, status)), now=NOW)

        _, error = drained(sent, [publication(1, "1")], keyless, settings)

        assert isinstance(error, Misconfigured)


# Limits


def limited(reset: datetime | str, date: datetime | None = NOW) -> Any:
    told = reset if isinstance(reset, str) else str(int(reset.timestamp()))
    headers = {"x-rate-limit-limit": "5000", "x-rate-limit-remaining": "0", "x-rate-limit-reset": told}
    if date is not None:
        headers["date"] = format_datetime(date.astimezone(UTC), usegmt=True)
    sent = upstream(replies(reply({}, 429, headers)), now=NOW)
    _, error = drained(sent, [publication(1, "1")])
    return error, sent.limits


SKEW = timedelta(hours=3)


@pytest.mark.parametrize(
    ("reset", "date", "wait"),
    [
        (NOW + timedelta(minutes=7), NOW, timedelta(minutes=7)),
        (NOW + timedelta(minutes=7), None, timedelta(minutes=7)),
        (NOW + SKEW + timedelta(minutes=7), NOW + SKEW, timedelta(minutes=7)),
        (NOW - SKEW + timedelta(minutes=7), NOW - SKEW, timedelta(minutes=7)),
        (NOW, NOW, timedelta(seconds=1)),
        (NOW - timedelta(minutes=1), NOW, timedelta(minutes=15)),
        (NOW + timedelta(hours=20), NOW, timedelta(minutes=15)),
        ("soon", NOW, timedelta(minutes=15)),
        ("9" * 12, NOW, timedelta(minutes=15)),
    ],
)
def test_the_reset_is_read_on_the_platforms_clock(
    reset: datetime | str, date: datetime | None, wait: timedelta
) -> None:
    error, _ = limited(reset, date)

    assert isinstance(error, Paused)
    assert (error.kind, error.endpoint, error.until) == (BucketKind.ACCOUNT, "tweets", NOW + wait)


def test_limits_are_told_as_data(rig: Rig) -> None:
    rig.read(rig.publish(1))

    (seen,) = rig.upstream.limits
    assert (seen.kind, seen.endpoint, seen.limit, seen.remaining) == (
        BucketKind.ACCOUNT,
        "tweets",
        5000,
        4999,
    )
    assert seen.resets_at == NOW + timedelta(minutes=15)


def test_the_end_of_our_money_stops_everything_and_calls_an_operator(rig: Rig) -> None:
    published = rig.publish(1)
    for behaviour, until in (
        (Misbehaviour(credits_depleted=True), NOW + timedelta(hours=1)),
        (Misbehaviour(limits={"post_reads_per_month": Limit(0, 1)}), datetime(2026, 12, 1, tzinfo=UTC)),
    ):
        rig.behaviour.become(behaviour)
        with pytest.raises(Paused) as stopped:
            rig.read(published)
        error = stopped.value
        assert (error.kind, error.operator_alert, error.until) == (BucketKind.APP, True, until)


# Tokens


def test_a_confidential_client_renews_with_a_basic_header(rig: Rig) -> None:
    holder = rig.world.account("x", OWNER)
    assert holder is not None
    mine = account(Platform.X, refresh_token=SecretStr(holder.refresh_token or ""))

    tokens = X(SETTINGS).renew(rig.upstream, mine)

    renewed = rig.world.account("x", OWNER)
    assert renewed is not None
    assert tokens.access_token.get_secret_value() == renewed.access_token
    assert tokens.refresh_token is not None
    assert tokens.refresh_token.get_secret_value() == renewed.refresh_token != holder.refresh_token
    assert tokens.expires_at == NOW + timedelta(hours=2)
    assert tokens.scopes == {"tweet.read", "users.read"}
    assert "client_id" not in (rig.upstream.sent[0].form or {})

    with pytest.raises(Reauthorize) as reused:
        X(SETTINGS).renew(rig.upstream, mine)
    assert not reused.value.renewable


def test_a_public_client_renews_with_its_id_in_the_body(rig: Rig) -> None:
    simulator = SimulatedX(rig.world, rig.behaviour, client_secret=None)
    sent = upstream(simulator.handle, now=NOW)
    mine = account(Platform.X, refresh_token=SecretStr(f"{TOKEN}-refresh"))

    X(Settings(x_client_id=CLIENT_ID)).renew(sent, mine)

    assert (sent.sent[0].form or {})["client_id"] == CLIENT_ID
    assert "Authorization" not in sent.sent[0].headers


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": "invalid_grant"}, Reauthorize),
        (
            400,
            {"error": "invalid_request", "error_description": "Value passed for the token was invalid."},
            Reauthorize,
        ),
        (400, {"error": "invalid_request", "error_description": "Missing parameter"}, Misconfigured),
        (401, {"error": "unauthorized_client", "error_description": "Missing header"}, Misconfigured),
        (401, "", Misconfigured),
        (429, "", Paused),
        (503, "<html>", TryAgain),
        (200, "", TryAgain),
        (200, {"access_token": "a b"}, TryAgain),
        (200, {"access_token": 5}, TryAgain),
    ],
)
def test_a_refused_renewal_blames_whom_it_should(
    status: int, body: object, expected: type[RefreshError]
) -> None:
    with pytest.raises(expected) as refused:
        X(SETTINGS).renew(upstream(replies(reply(body, status)), now=NOW), OWN)

    assert not isinstance(refused.value, Reauthorize) or not refused.value.renewable


@pytest.mark.parametrize("seconds", [None, 0, -5, "7200", True, 10**12, 7200.5])
def test_an_expiry_that_is_no_number_is_unknown(seconds: object) -> None:
    answer = reply({"access_token": "new", "expires_in": seconds})

    tokens = X(SETTINGS).renew(upstream(replies(answer), now=NOW), OWN)

    assert (tokens.expires_at, tokens.refresh_token, tokens.scopes) == (None, None, None)


def test_renewal_needs_a_refresh_token_and_a_client() -> None:
    with pytest.raises(Reauthorize):
        X(SETTINGS).renew(upstream(replies()), account(Platform.X))
    with pytest.raises(Misconfigured, match="DRAVO_X_CLIENT_ID"):
        X(Settings()).renew(upstream(replies()), OWN)


# Whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(TOKEN),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=15,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["1", "2", "9"]) | JSON,
        "public_metrics": st.dictionaries(st.sampled_from(PUBLIC), JSON) | JSON,
        "non_public_metrics": JSON,
        "edit_history_tweet_ids": st.lists(st.sampled_from(["1", "2"])) | JSON,
        "author_id": st.just("1000") | JSON,
        "created_at": st.sampled_from(["2026-11-22T00:00:00Z", "2026-11-22T00:00:00", "0001-01-01T00:00:00Z"])
        | JSON,
        "type": st.sampled_from([PROBLEM + "resource-not-found", PROBLEM + "internal-error"]) | JSON,
        "resource_id": st.sampled_from(["1", "2"]) | JSON,
        "value": JSON,
    },
)
BODY = JSON | st.fixed_dictionaries(
    {},
    optional={
        "data": st.lists(ENTRY, max_size=3) | JSON,
        "errors": st.lists(ENTRY, max_size=3) | JSON,
        "type": JSON,
        "title": JSON,
        "detail": JSON,
        "error": st.sampled_from(["invalid_grant", "invalid_request"]) | JSON,
        "error_description": JSON,
        "access_token": st.text(max_size=5) | JSON,
        "refresh_token": JSON,
        "expires_in": JSON,
        "scope": JSON,
    },
)
STATUS = st.sampled_from([200, 204, 302, 400, 401, 402, 403, 404, 429, 500])
HEADERS = st.dictionaries(
    st.sampled_from(
        ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset", "date", "retry-after"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
    | st.integers(0, 10**13).map(str),
)


@given(body=BODY, status=STATUS, headers=HEADERS)
def test_whatever_comes_is_classified_and_shows_no_secret(
    body: object, status: int, headers: Mapping[str, str]
) -> None:
    sent = upstream(lambda _: httpx.Response(status, content=json.dumps(body), headers=headers), now=NOW)

    readings, error = drained(sent, [publication(1, "1"), publication(2, "2", created_at=YOUNG)])
    try:
        X(SETTINGS).renew(sent, OWN)
    except RefreshError as refused:
        assert TOKEN not in f"{refused!r}{vars(refused)}"

    assert error or {one.publication_id for one in readings} == {1, 2}
    assert TOKEN not in f"{readings!r}{error!r}{vars(error) if error else ''}"
    for one in readings:
        assert all(type(value) is int and 0 <= value < 2**63 for value in one.metrics.values())
        assert set(one.missing) == (set(PUBLIC) - set(one.metrics) if one.answer is Answer.READ else set())
