"""Facebook Pages against their simulated platform."""

import json as jsonlib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from deploy.simulators.server import Simulators
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Application, Post
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.support import (
    PlainMemory,
    PlainUpstream,
    account,
    publication,
    replies,
    reply,
    upstream,
)
from worker.adapters.facebook import Facebook
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError
from worker.readings import Account, Answer, Publication, Reading

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PAGE = "1000"
SCOPES = frozenset({"read_insights", "pages_read_engagement"})
GONE = "metric_unavailable: post_engaged_users is no longer offered by Facebook"
NUMBERS = {"post_clicks": 41, "post_reactions_by_type_total": 39}
COUNTERS = {"post_clicks": 41, "like": 30, "love": 7, "haha": 1, "wow": 0, "sorry": 1, "anger": 0}


class Stage:
    """A Page with posts on the simulated Facebook, on a clock that stands."""

    def __init__(self, **settings: Any) -> None:
        self.at = NOW
        self.simulators = Simulators(now=lambda: self.at)
        self.simulators.world.add_accounts(
            [SimulatedAccount("facebook", PAGE, "EAAsecret-token", kind="page", scopes=SCOPES)]
        )
        self.memory = PlainMemory(lambda: self.at)
        self.adapter = Facebook(Settings(**settings))

    def publish(self, count: int = 1, **changes: Any) -> list[Publication]:
        """Add posts, and return them as the worker has them."""
        made = []
        for _ in range(count):
            number = len(self.simulators.world.posts("facebook")) + 1
            values: dict[str, Any] = {
                "platform_post_id": f"{PAGE}_{2000 + number}",
                "owner": PAGE,
                "created_at": NOW - timedelta(days=1),
                "counters": COUNTERS,
            }
            post = Post("facebook", **(values | changes))
            self.simulators.world.add_posts([post])
            made.append(publication(number, post.platform_post_id, created_at=post.created_at))
        return made

    def connected(self, **changes: Any) -> Account:
        """Return the account as the worker has it."""
        token = SecretStr("EAAsecret-token")
        return account(Platform.FACEBOOK, **({"platform_account_id": PAGE, "access_token": token} | changes))

    def upstream(self) -> PlainUpstream:
        """Return a job's way to the simulated platform."""
        client = httpx.Client(transport=self.simulators.transport())
        return PlainUpstream(client, now=lambda: self.at, memory=self.memory)

    def read(self, publications: list[Publication]) -> tuple[dict[int, Reading], int]:
        """Read once; return the readings by publication, and how many requests that took."""
        way = self.upstream()
        readings = list(self.adapter.fetch(way, self.connected(), publications))
        assert sorted(one.publication_id for one in readings) == sorted(one.id for one in publications)
        return {one.publication_id: one for one in readings}, len(way.sent)

    def refused(self, publications: list[Publication]) -> tuple[list[Reading], RefreshError]:
        """Read what ends early; return what came and what ended it."""
        readings: list[Reading] = []
        with pytest.raises(RefreshError) as caught:
            readings.extend(self.adapter.fetch(self.upstream(), self.connected(), publications))
        return readings, caught.value


@pytest.fixture
def stage() -> Stage:
    return Stage()


# Calls and metrics


def test_a_hundred_posts_take_two_requests(stage: Stage) -> None:
    posts = stage.publish(100)

    results = [stage.read(posts[:50]), stage.read(posts[50:])]

    assert [requests for _, requests in results] == [1, 1]
    for readings, _ in results:
        assert all(one.metrics == NUMBERS and not one.missing for one in readings.values())
        assert all(one.warnings == (GONE,) for one in readings.values())


def test_the_removed_metric_is_probed_beside_the_others_and_then_left_alone(stage: Stage) -> None:
    posts = stage.publish(3)

    first, requests = stage.read(posts)
    again, _ = stage.read(posts)

    assert requests == 1
    assert first == again
    assert first[posts[0].id] == Reading(posts[0].id, Answer.READ, NUMBERS, (), (GONE,))
    assert stage.simulators.ledger.calls("facebook") == 3 + 1 + 3


def test_the_removed_metric_is_served_should_it_come_back() -> None:
    asked: list[str] = []

    def platform(request: httpx.Request) -> httpx.Response:
        answers = []
        for item in _items(request):
            metrics = item.rpartition("metric=")[2]
            asked.append(metrics)
            numbers = {"post_clicks": 1, "post_reactions_by_type_total": {}, "post_engaged_users": 8}
            rows = [{"name": name, "values": [{"value": numbers[name]}]} for name in metrics.split(",")]
            answers.append({"code": 200, "body": jsonlib.dumps({"data": rows})})
        return reply(answers)

    way = upstream(platform)
    posts = [publication(1, "1000_1"), publication(2, "1000_2")]

    readings = list(Facebook(Settings()).fetch(way, account(Platform.FACEBOOK), posts))

    assert [one.metrics["post_engaged_users"] for one in readings] == [8, 8]
    assert [one.warnings for one in readings] == [(), ()]
    assert all(metrics == "post_engaged_users" or "engaged" not in metrics for metrics in asked)


@pytest.mark.parametrize("metric", list(NUMBERS))
def test_a_retired_metric_costs_itself_alone_and_two_requests_once(stage: Stage, metric: str) -> None:
    posts = stage.publish(50)
    stage.simulators.behave("facebook", retired_metrics=[metric])

    readings, first = stage.read(posts)
    _, second = stage.read(posts)

    assert (first, second) == (1 + 2, 1)
    for one in readings.values():
        assert one.metrics == {name: number for name, number in NUMBERS.items() if name != metric}
        assert one.missing == ()
        assert f"metric_unavailable: {metric} is no longer offered by Facebook" in one.warnings


def test_a_retired_metric_is_asked_for_again_when_its_memory_expires(stage: Stage) -> None:
    posts = stage.publish(50)
    stage.simulators.behave("facebook", retired_metrics=["post_clicks"])
    stage.read(posts)
    stage.simulators.behave("facebook")
    stage.at += timedelta(hours=25)

    stage.read(posts)
    readings, requests = stage.read(posts)

    assert stage.memory.until == {}
    assert readings[posts[0].id].metrics == NUMBERS
    assert requests == 1


@pytest.mark.parametrize("alone", [True, False])
def test_a_post_that_is_refused_one_metric_is_partial_and_teaches_nothing(stage: Stage, alone: bool) -> None:  # noqa: FBT001 - a pytest parameter
    (odd,) = stage.publish(refused_metrics=frozenset({"post_clicks"}))
    posts = [] if alone else stage.publish(5)

    readings, _ = stage.read([odd, *posts])

    assert readings[odd.id].metrics == {"post_reactions_by_type_total": 39}
    assert readings[odd.id].missing == ("post_clicks",)
    assert all(readings[post.id].metrics == NUMBERS for post in posts)
    assert [key[2] for key in stage.memory.until] == ["post_engaged_users"]


def test_with_every_metric_retired_nothing_is_asked_for(stage: Stage) -> None:
    posts = stage.publish(2)
    stage.simulators.behave("facebook", retired_metrics=list(NUMBERS))

    readings, _ = stage.read(posts)
    _, again = stage.read(posts)

    assert {one.answer for one in readings.values()} == {Answer.UNAVAILABLE}
    assert again == 0


@pytest.mark.parametrize(
    ("value", "total"),
    [
        ({}, 0),
        ({"like": 3, "care": 2}, 5),
        ({"like": 3, "love": None}, None),
        ({"like": True}, None),
        ({"like": -1}, None),
        ({"like": 2**63 - 1, "love": 1}, None),
        (7, None),
        (None, None),
    ],
)
def test_reactions_are_summed_or_not_there(value: object, total: int | None) -> None:
    rows = [
        {"name": "post_clicks", "values": [{"value": 1}]},
        {"name": "post_reactions_by_type_total", "values": [{"value": value}]},
    ]
    way = upstream(lambda request: _batch(*(_item({"data": rows}) for _ in _items(request))))

    (reading,) = Facebook(Settings()).fetch(way, account(Platform.FACEBOOK), [publication(1, "1000_1")])

    assert reading.metrics.get("post_reactions_by_type_total") == total
    assert reading.missing == (("post_reactions_by_type_total",) if total is None else ())


# Items


@pytest.mark.parametrize(
    ("flaw", "answer"),
    [
        ({"deleted": True}, Answer.MISSING),
        ({"private": True}, Answer.MISSING),
        ({"owner": "2000", "platform_post_id": "2000_1"}, Answer.MISSING),
        ({"no_data": True}, Answer.UNAVAILABLE),
        ({"created_at": NOW - timedelta(days=800)}, Answer.WINDOW_CLOSED),
    ],
)
def test_a_bad_item_costs_its_siblings_nothing(stage: Stage, flaw: dict[str, Any], answer: Answer) -> None:
    stage.simulators.world.add_accounts([SimulatedAccount("facebook", "2000", "other", kind="page")])
    posts, (bad,) = stage.publish(10), stage.publish(**flaw)

    readings, requests = stage.read([*posts[:5], bad, *posts[5:]])

    assert readings[bad.id].answer is answer
    assert readings[bad.id].detail
    assert all(readings[post.id].metrics == NUMBERS for post in posts)
    assert requests == 1


def test_a_metric_left_out_of_the_answer_is_missing_never_zero(stage: Stage) -> None:
    (post,) = stage.publish(absent_metrics=frozenset({"post_clicks"}))

    readings, _ = stage.read([post])

    assert readings[post.id].metrics == {"post_reactions_by_type_total": 39}
    assert readings[post.id].missing == ("post_clicks",)
    assert "metric_unavailable: post_clicks did not come with the answer" in readings[post.id].warnings


def test_bare_ids_are_asked_for_again_in_the_pages_form(stage: Stage) -> None:
    posts = stage.publish(3)
    bare = [publication(number, f"77700{number}") for number in (11, 12)]
    for one in bare:
        stage.publish(platform_post_id=one.platform_post_id, media_type="VIDEO")

    readings, requests = stage.read([*posts, *bare])

    assert all(one.metrics == NUMBERS for one in readings.values())
    assert requests == 2


def test_a_bare_id_whose_page_form_is_unknown_has_no_insights_but_exists() -> None:
    wrong = _item(_error(100, "Tried accessing nonexisting field (insights) on node type (Video)"), 400)
    missing = _item(_error(100, "Unsupported get request. Object with ID", error_subcode=33), 400)
    good = _item({"data": [{"name": "post_clicks", "values": [{"value": 1}]}]})
    nothing = _item({"data": []})
    way = upstream(replies(_batch(good, wrong, nothing), _batch(missing, nothing)))
    posts = [publication(1, "1000_1"), publication(2, "999")]

    readings = list(Facebook(Settings()).fetch(way, account(Platform.FACEBOOK), posts))

    assert {one.publication_id: one.answer for one in readings} == {1: Answer.READ, 2: Answer.UNAVAILABLE}


def test_items_that_the_batch_did_not_finish_are_unreadable_alone(stage: Stage) -> None:
    posts = stage.publish(3)
    stage.simulators.behave("facebook", timed_out_items=[0, 2])

    readings, _ = stage.read(posts)

    answers = [readings[post.id].answer for post in posts]
    assert answers == [Answer.UNREADABLE, Answer.READ, Answer.UNREADABLE]


# The token or the posts?


@pytest.mark.parametrize("count", [1, 20])
def test_posts_are_missing_if_all_are_and_the_page_reads_fine(stage: Stage, count: int) -> None:
    readings, requests = stage.read(stage.publish(count, deleted=True))

    assert {one.answer for one in readings.values()} == {Answer.MISSING}
    assert requests == 2


@pytest.mark.parametrize("count", [1, 20])
def test_missing_posts_of_a_missing_page_are_the_tokens_matter(stage: Stage, count: int) -> None:
    posts = stage.publish(count, deleted=True)
    connected = stage.connected(platform_account_id="3000")

    with pytest.raises(Reauthorize) as caught:
        list(stage.adapter.fetch(stage.upstream(), connected, posts))

    assert caught.value.missing_scope == "account role"


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("named", [True, False], ids=["named", "empty data"])
def test_missing_read_insights_is_told_from_posts_without_numbers(
    stage: Stage,
    count: int,
    named: bool,  # noqa: FBT001 - a pytest parameter
) -> None:
    posts = stage.publish(count)
    stage.simulators.world.change_account("facebook", PAGE, scopes=SCOPES - {"read_insights"})
    stage.simulators.behave("facebook", missing_scopes_named=named)

    readings, error = stage.refused(posts)

    assert readings == []
    assert isinstance(error, Reauthorize)
    assert error.missing_scope == "read_insights"
    assert stage.simulators.ledger.requests("facebook") <= 2


@pytest.mark.parametrize("count", [1, 20])
def test_a_page_without_numbers_keeps_its_authorization(stage: Stage, count: int) -> None:
    readings, requests = stage.read(stage.publish(count, no_data=True))

    assert {one.answer for one in readings.values()} == {Answer.UNAVAILABLE}
    assert requests == 2


def test_scopes_told_at_the_connection_decide_where_the_platform_does_not_tell() -> None:
    empty, unknown = _item({"data": []}), _error(100, "Tried accessing nonexisting field (permissions)")

    def platform(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return reply(unknown, 400)
        return _batch(*(empty for _ in _items(request)))

    adapter, posts = Facebook(Settings()), [publication(1, "1000_1")]
    (reading,) = adapter.fetch(upstream(platform), account(Platform.FACEBOOK), posts)
    without = account(Platform.FACEBOOK, scopes=frozenset({"pages_read_engagement"}))
    with pytest.raises(Reauthorize):
        list(adapter.fetch(upstream(platform), without, posts))

    assert reading.answer is Answer.UNAVAILABLE


@pytest.mark.parametrize("subcode", ["459", "460", "492"])
def test_a_revoked_token_is_met_once(stage: Stage, subcode: str) -> None:
    posts = stage.publish(50)
    stage.simulators.world.revoke("facebook", PAGE, subcode)

    readings, error = stage.refused(posts)

    assert readings == []
    assert isinstance(error, Reauthorize)
    assert not error.renewable
    assert stage.simulators.ledger.requests("facebook") == 1


def test_what_ends_a_batch_in_the_middle_keeps_the_numbers_that_came() -> None:
    good = _item({"data": [{"name": "post_clicks", "values": [{"value": 1}]}]})
    limited = _item(_error(80001, "There have been too many calls to this Page account."), 400)
    way = upstream(replies(_batch(good, limited, limited, limited)), now=NOW)
    posts = [publication(number, f"1000_{number}") for number in (1, 2, 3)]
    readings: list[Reading] = []

    with pytest.raises(Paused) as caught:
        readings.extend(Facebook(Settings()).fetch(way, account(Platform.FACEBOOK), posts))

    assert [one.publication_id for one in readings] == [1]
    assert caught.value.until > NOW


@pytest.mark.parametrize("secret", ["0123456789abcdef0123456789abcdef", None, "another"])
def test_a_proof_is_sent_when_our_secret_is_known(secret: str | None) -> None:
    stage = Stage(meta_app_secret=secret)
    right = "0123456789abcdef0123456789abcdef"
    application = Application("meta", "1", right, proof_required=True)
    stage.simulators.world.applications["meta"] = application
    posts = stage.publish(2)

    if secret == right:
        assert all(one.metrics == NUMBERS for one in stage.read(posts)[0].values())
    else:
        assert isinstance(stage.refused(posts)[1], Misconfigured)


def test_nothing_renews_a_page_token(stage: Stage) -> None:
    with pytest.raises(Reauthorize) as caught:
        stage.adapter.renew(stage.upstream(), stage.connected())

    assert not caught.value.renewable
    assert stage.simulators.ledger.requests() == 0


def _items(request: httpx.Request) -> list[str]:
    form = httpx.QueryParams(request.content.decode())
    return [one["relative_url"] for one in jsonlib.loads(form["batch"])]


def _batch(*items: object) -> httpx.Response:
    return reply(list(items))


def _item(body: object, code: int = 200) -> dict[str, object]:
    return {"code": code, "body": jsonlib.dumps(body)}


def _error(code: int, message: str, **more: object) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "type": "OAuthException", **more}}
