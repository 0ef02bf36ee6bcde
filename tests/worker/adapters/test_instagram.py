"""Instagram, with both logins, against its simulated platform."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from deploy.simulators.server import Simulators
from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Post
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
from worker.adapters.instagram import EXTRA, Instagram
from worker.adapters.instagram_metrics import METRICS, STORY_METRICS
from worker.errors import Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Account, Answer, Publication, Reading

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
OWNER = "17841400000000000"
INSIGHTS = {"facebook": "instagram_manage_insights", "instagram": "instagram_business_manage_insights"}
SCOPES = {
    "facebook": frozenset({"instagram_basic", "instagram_manage_insights", "pages_read_engagement"}),
    "instagram": frozenset({"instagram_business_basic", "instagram_business_manage_insights"}),
}
FEED_COUNTS = {name: number for number, name in enumerate(METRICS, start=7)}


class Stage:
    """An account with posts on the simulated Instagram, on a clock that stands."""

    def __init__(self, login: str) -> None:
        self.login = login
        self.at = NOW
        self.simulators = Simulators(now=lambda: self.at)
        self.simulators.world.add_accounts(
            [
                SimulatedAccount(
                    "instagram",
                    OWNER,
                    "IGAAsecret-token" if login == "instagram" else "EAAsecret-token",
                    login=login,
                    scopes=SCOPES[login],
                    minted_at=NOW - timedelta(days=3),
                )
            ]
        )
        self.memory = PlainMemory(lambda: self.at)
        self.adapter = Instagram(Settings())

    def publish(self, media_type: str | None, count: int = 1, **changes: Any) -> list[Publication]:
        """Add posts, and return them as the worker has them."""
        world, made = self.simulators.world, []
        for _ in range(count):
            number = len(world.posts("instagram")) + 1
            values: dict[str, Any] = {
                "owner": OWNER,
                "created_at": self.at - timedelta(hours=12),
                "media_type": media_type,
                "counters": FEED_COUNTS,
            }
            post = Post("instagram", str(17_900_000_000_000_000 + number), **(values | changes))
            world.add_posts([post])
            made.append(
                publication(number, post.platform_post_id, media_type=media_type, created_at=post.created_at)
            )
        return made

    def connected(self, **changes: Any) -> Account:
        """Return the account as the worker has it."""
        known = self.simulators.world.account("instagram", OWNER)
        assert known is not None
        values: dict[str, Any] = {
            "platform_account_id": OWNER,
            "login": self.login,
            "access_token": SecretStr(known.access_token),
            "scopes": known.scopes,
            "token_minted_at": known.minted_at,
        }
        return account(Platform.INSTAGRAM, **(values | changes))

    def upstream(self) -> PlainUpstream:
        """Return a job's way to the simulated platform."""
        client = httpx.Client(transport=self.simulators.transport())
        return PlainUpstream(client, now=lambda: self.at, memory=self.memory)

    def read(self, publications: list[Publication]) -> tuple[dict[int, Reading], int]:
        """Read once; return the readings by publication, and how many requests that took."""
        way = self.upstream()
        readings = list(self.adapter.fetch(way, self.connected(), publications))
        assert sorted(one.publication_id for one in readings) == sorted(one.id for one in publications)
        assert all(call.cost <= 50 for call in way.sent)
        return {one.publication_id: one for one in readings}, len(way.sent)

    def refused(self, publications: list[Publication]) -> tuple[list[Reading], RefreshError]:
        """Read what ends early; return what came and what ended it."""
        readings: list[Reading] = []
        with pytest.raises(RefreshError) as caught:
            readings.extend(self.adapter.fetch(self.upstream(), self.connected(), publications))
        return readings, caught.value


@pytest.fixture(params=["facebook", "instagram"])
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(request.param)


@pytest.fixture
def by_ids() -> Stage:
    return Stage("instagram")


@pytest.fixture
def by_batch() -> Stage:
    return Stage("facebook")


def jobs(publications: list[Publication]) -> Iterator[list[Publication]]:
    for at in range(0, len(publications), 50):
        yield publications[at : at + 50]


# Calls


def test_a_hundred_posts_take_two_batches(by_batch: Stage) -> None:
    posts = by_batch.publish("IMAGE", 60) + by_batch.publish("REELS", 30) + by_batch.publish("STORY", 10)

    assert sum(by_batch.read(job)[1] for job in jobs(posts)) == 2


@pytest.mark.parametrize(
    "kinds",
    [{"IMAGE": 100}, {"IMAGE": 40, "REELS": 40, "STORY": 20}, {None: 100}],
    ids=["one set of metrics", "two sets", "kinds unknown"],
)
def test_a_hundred_posts_take_four_lists_of_ids(by_ids: Stage, kinds: dict[str | None, int]) -> None:
    made = [post for kind, count in kinds.items() for post in by_ids.publish(kind, count)]
    posts = made[::2] + made[1::2]

    counts = []
    for job in jobs(posts):
        readings, requests = by_ids.read(job)
        assert {one.answer for one in readings.values()} == {Answer.READ}
        counts.append(requests)

    assert sum(counts) == 4


def test_each_id_counts_as_a_call(stage: Stage) -> None:
    posts, way = stage.publish("IMAGE", 30), stage.upstream()

    list(stage.adapter.fetch(way, stage.connected(), posts))

    assert way.cost == 30 == stage.simulators.ledger.calls("instagram")


# Metrics


@pytest.mark.parametrize("kind", ["IMAGE", "VIDEO", "CAROUSEL_ALBUM", "REELS"])
def test_feed_posts_and_reels_have_all_seven(stage: Stage, kind: str) -> None:
    (post,) = stage.publish(kind)

    readings, _ = stage.read([post])

    assert readings[post.id] == Reading(post.id, Answer.READ, FEED_COUNTS)


@pytest.mark.parametrize("told", ["STORY", None, "IMAGE"], ids=["known", "unknown", "told wrongly"])
def test_a_story_is_complete_with_four(stage: Stage, told: str | None) -> None:
    (story,) = stage.publish("STORY")
    posts = stage.publish("IMAGE", 5)

    readings, _ = stage.read([*posts, replace(story, media_type=told)])

    assert tuple(readings[story.id].metrics) == STORY_METRICS
    assert readings[story.id].missing == ()
    assert readings[story.id].warnings == tuple(
        f"metric_unavailable: {name} is never offered for stories" for name in ("likes", "comments", "saved")
    )
    assert all(readings[post.id].metrics == FEED_COUNTS for post in posts)
    assert stage.memory.until == {}


@pytest.mark.parametrize("metric", METRICS)
def test_a_retired_metric_costs_itself_alone_and_a_few_calls_once(stage: Stage, metric: str) -> None:
    posts = stage.publish("IMAGE", 15) + stage.publish("REELS", 10) + stage.publish("STORY", 5)
    _, usual = stage.read(posts)
    stage.simulators.behave("instagram", retired_metrics=[metric])

    readings, first = stage.read(posts)
    _, second = stage.read(posts)

    assert first - usual <= 5
    assert second == usual
    for post in posts:
        offered = STORY_METRICS if post.media_type == "STORY" else METRICS
        assert set(readings[post.id].metrics) == set(offered) - {metric}
        assert readings[post.id].missing == ()
        assert any(metric in warning for warning in readings[post.id].warnings)


def test_a_retired_metric_is_asked_for_again_when_its_memory_expires(stage: Stage) -> None:
    posts = stage.publish("IMAGE", 5)
    stage.simulators.behave("instagram", retired_metrics=["saved"])
    stage.read(posts)
    stage.simulators.behave("instagram")
    assert "saved" not in stage.read(posts)[0][posts[0].id].metrics

    stage.at += timedelta(hours=25)
    stage.read(posts)

    assert stage.memory.until == {}
    assert stage.read(posts)[0][posts[0].id].metrics == FEED_COUNTS


def test_a_post_that_is_refused_one_metric_is_partial_and_teaches_nothing(stage: Stage) -> None:
    (odd,), posts = stage.publish("IMAGE", refused_metrics=frozenset({"views"})), stage.publish("IMAGE", 9)

    readings, _ = stage.read([odd, *posts])

    assert readings[odd.id].missing == ("views",)
    assert readings[odd.id].warnings == ("metric_unavailable: views is refused for this post",)
    assert all(readings[post.id].metrics == FEED_COUNTS for post in posts)
    assert stage.memory.until == {}


def test_a_metric_that_no_reel_has_is_left_out_of_reels_alone(stage: Stage) -> None:
    reels, posts = stage.publish("REELS", 6, refused_metrics=frozenset({"views"})), stage.publish("IMAGE", 6)

    readings, _ = stage.read([*reels, *posts])
    again, _ = stage.read([*reels, *posts])

    assert [key[1:] for key in stage.memory.until] == [("REELS", "views")]
    for reel in reels:
        assert again[reel.id].missing == readings[reel.id].missing == ()
        assert set(again[reel.id].metrics) == set(METRICS) - {"views"}
    assert all(again[post.id].metrics == FEED_COUNTS for post in posts)


def test_an_error_that_names_no_metric_is_found_by_halving() -> None:
    refusal = {"error": {"message": "(#100) The value must be a valid insights metric", "code": 100}}

    def platform(request: httpx.Request) -> httpx.Response:
        fields = request.url.params.get("fields") or request.url.params["metric"]
        if "saved" in fields:
            return reply(refusal, 400)
        rows = [{"name": name, "values": [{"value": 5}]} for name in METRICS if name in fields]
        return reply(
            {one: {"insights": {"data": rows}} for one in request.url.params.get("ids", "").split(",")}
        )

    way = upstream(platform)
    connected = account(Platform.INSTAGRAM, login="instagram")
    posts = [publication(number, str(number), media_type="IMAGE") for number in (1, 2, 3)]

    readings = list(Instagram(Settings()).fetch(way, connected, posts))

    assert all(set(one.metrics) == set(METRICS) - {"saved"} and not one.missing for one in readings)
    assert len(way.sent) == 1 + 3 + 1


def test_a_metric_left_out_of_the_answer_is_missing_never_zero(stage: Stage) -> None:
    (post,) = stage.publish("IMAGE", absent_metrics=frozenset({"shares"}))

    readings, _ = stage.read([post])

    assert "shares" not in readings[post.id].metrics
    assert readings[post.id].missing == ("shares",)
    assert readings[post.id].warnings == ("metric_unavailable: shares did not come with the answer",)


# Items


@pytest.mark.parametrize(
    ("kind", "flaw", "answer"),
    [
        ("IMAGE", {"deleted": True}, Answer.MISSING),
        ("IMAGE", {"private": True}, Answer.MISSING),
        ("IMAGE", {"owner": "17841499999999999"}, Answer.MISSING),
        ("IMAGE", {"pre_business": True}, Answer.UNAVAILABLE),
        ("IMAGE", {"no_data": True}, Answer.UNAVAILABLE),
        ("IMAGE", {"created_at": NOW - timedelta(days=800)}, Answer.WINDOW_CLOSED),
        ("STORY", {"few_viewers": True}, Answer.UNAVAILABLE),
        ("STORY", {"created_at": NOW - timedelta(hours=25)}, Answer.WINDOW_CLOSED),
        ("STORY", {"created_at": NOW - timedelta(hours=25), "deleted": True}, Answer.WINDOW_CLOSED),
        ("STORY", {"created_at": NOW - timedelta(hours=25), "few_viewers": True}, Answer.WINDOW_CLOSED),
    ],
)
def test_a_bad_item_costs_its_siblings_nothing(
    stage: Stage, kind: str, flaw: dict[str, Any], answer: Answer
) -> None:
    posts = stage.publish("IMAGE", 20)
    other = SimulatedAccount("instagram", "17841499999999999", "other", login=stage.login)
    stage.simulators.world.add_accounts([other])
    (bad,) = stage.publish(kind, **flaw)

    readings, requests = stage.read([*posts[:10], bad, *posts[10:]])

    assert readings[bad.id].answer is answer
    assert readings[bad.id].metrics == {}
    assert readings[bad.id].detail
    assert all(readings[post.id].metrics == FEED_COUNTS for post in posts)
    assert requests <= 2 + 2 * 5


def test_each_deleted_post_that_is_named_costs_one_more_request(by_ids: Stage) -> None:
    posts, gone = by_ids.publish("IMAGE", 20), by_ids.publish("IMAGE", 4, deleted=True)

    _, requests = by_ids.read(posts + gone)

    assert requests == 1 + 4 + 1


def test_many_bad_items_are_found_in_a_few_bounded_jobs(by_ids: Stage) -> None:
    left = by_ids.publish("IMAGE", 10) + by_ids.publish("IMAGE", 40, pre_business=True)

    for _ in range(3):
        readings, requests = by_ids.read(left)
        assert requests <= 2 + EXTRA
        left = [post for post in left if readings[post.id].answer is Answer.UNREADABLE]

    assert left == []


def test_posts_that_never_get_insights_are_found_once(by_ids: Stage) -> None:
    posts, older = by_ids.publish("IMAGE", 20), by_ids.publish("IMAGE", 2, pre_business=True)
    by_ids.read(posts + older)

    readings, requests = by_ids.read(posts + older)

    assert requests == 1
    assert {readings[post.id].answer for post in older} == {Answer.UNAVAILABLE}


def test_too_much_data_at_once_is_asked_for_in_halves() -> None:
    def platform(request: httpx.Request) -> httpx.Response:
        ids = request.url.params["ids"].split(",")
        if len(ids) > 6:
            message = "Please reduce the amount of data you're asking for, then retry your request"
            return reply({"error": {"code": 1, "message": message}}, 500)
        data = [{"name": name, "values": [{"value": 1}]} for name in METRICS]
        return reply({one: {"id": one, "insights": {"data": data}} for one in ids})

    way = upstream(platform)
    posts = [publication(number, str(number), media_type="IMAGE") for number in range(1, 21)]

    readings = list(Instagram(Settings()).fetch(way, account(Platform.INSTAGRAM, login="instagram"), posts))

    assert {one.answer for one in readings} == {Answer.READ}
    assert len(way.sent) == 1 + 2 + 4


def test_an_item_that_the_batch_did_not_finish_is_unreadable_alone(by_batch: Stage) -> None:
    posts = by_batch.publish("IMAGE", 3)
    by_batch.simulators.behave("instagram", timed_out_items=[1])

    readings, _ = by_batch.read(posts)

    assert [readings[post.id].answer for post in posts] == [Answer.READ, Answer.UNREADABLE, Answer.READ]


def test_an_id_that_is_none_is_not_asked_for(stage: Stage) -> None:
    readings, requests = stage.read([publication(1, "1,2/../me"), publication(2, None)])

    assert readings[1].answer is Answer.MISSING
    assert readings[2].answer is Answer.PROCESSING
    assert requests == 0


# The token or the posts?


@pytest.mark.parametrize("count", [1, 30])
def test_posts_are_missing_if_all_are_and_the_account_reads_fine(stage: Stage, count: int) -> None:
    posts = stage.publish("IMAGE", count, deleted=True)

    readings, requests = stage.read(posts)

    assert {one.answer for one in readings.values()} == {Answer.MISSING}
    assert requests <= 2 + 1 + (0 if stage.login == "facebook" else count)


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_missing_posts_of_a_missing_account_are_the_tokens_matter(login: str, count: int) -> None:
    stage = Stage(login)
    stage.adapter = Instagram(Settings())
    posts = stage.publish("IMAGE", count, deleted=True)
    connected = replace(stage.connected(), platform_account_id="17841411111111111")
    way = stage.upstream()

    with pytest.raises(Reauthorize) as caught:
        list(stage.adapter.fetch(way, connected, posts))

    assert caught.value.missing_scope == "account role"
    assert not caught.value.renewable
    assert len(way.sent) <= 3


@pytest.mark.parametrize("count", [1, 30])
def test_a_missing_scope_is_named(stage: Stage, count: int) -> None:
    posts, scope = stage.publish("IMAGE", count), INSIGHTS[stage.login]
    stage.simulators.world.change_account("instagram", OWNER, scopes=SCOPES[stage.login] - {scope})

    readings, error = stage.refused(posts)

    assert readings == []
    assert isinstance(error, Reauthorize)
    assert error.missing_scope == scope
    assert scope in str(error)
    assert stage.simulators.ledger.requests("instagram") <= 5


@pytest.mark.parametrize("subcode", ["458", "460", "492"])
def test_a_revoked_token_is_met_once(stage: Stage, subcode: str) -> None:
    posts = stage.publish("IMAGE", 50)
    stage.simulators.world.revoke("instagram", OWNER, subcode)

    readings, error = stage.refused(posts)

    assert readings == []
    assert isinstance(error, Reauthorize)
    assert not error.renewable
    assert stage.simulators.ledger.requests("instagram") == 1


@pytest.mark.parametrize("wrong", ["facebook", "instagram"])
def test_a_token_of_the_other_login_is_not_called_expired(wrong: str) -> None:
    stage = Stage("instagram" if wrong == "facebook" else "facebook")
    posts = stage.publish("IMAGE", 2)
    connected = stage.connected(login=wrong)

    with pytest.raises(Reauthorize) as caught:
        list(stage.adapter.fetch(stage.upstream(), connected, posts))

    assert "another kind of login" in str(caught.value)
    assert "expired" not in str(caught.value)


def test_a_limit_in_the_middle_keeps_the_numbers_that_came(by_ids: Stage) -> None:
    posts = by_ids.publish("IMAGE", 50)
    by_ids.simulators.behave("instagram", limits={"account": {"calls": 25, "seconds": 3600}})

    readings, error = by_ids.refused(posts)

    assert len(readings) == 25
    assert isinstance(error, Paused)
    assert error.until > NOW


# Renewal


def test_a_renewal_brings_a_token_of_sixty_days(by_ids: Stage) -> None:
    way = by_ids.upstream()

    tokens = by_ids.adapter.renew(way, by_ids.connected())

    known = by_ids.simulators.world.account("instagram", OWNER)
    assert known is not None
    assert tokens.access_token.get_secret_value() == known.access_token
    assert tokens.expires_at == NOW + timedelta(days=60)
    assert "v25.0" not in way.sent[0].url


def test_a_young_token_is_not_renewed_yet(by_ids: Stage) -> None:
    young = by_ids.connected(token_minted_at=NOW - timedelta(hours=5))

    with pytest.raises(TryAgain) as caught:
        by_ids.adapter.renew(by_ids.upstream(), young)

    assert caught.value.after == timedelta(hours=19)
    assert by_ids.simulators.ledger.requests() == 0


def test_the_documented_form_of_renewal_is_used_where_the_header_does_not_do() -> None:
    missing = {"error": {"code": 104, "message": "An access token is required to request this resource."}}
    new = {"access_token": "IGAAnew", "token_type": "bearer", "expires_in": 5_184_000}
    way = upstream(replies(reply(missing, 400), reply(new)), now=NOW)

    tokens = Instagram(Settings()).renew(way, account(Platform.INSTAGRAM, login="instagram"))

    assert tokens.access_token.get_secret_value() == "IGAAnew"
    assert "access_token=" not in way.sent[0].url


@pytest.mark.parametrize("body", [{}, {"access_token": 5}, {"access_token": ""}, {"error": {"code": 100}}])
def test_an_answer_without_a_token_renews_nothing(body: object) -> None:
    way = upstream(lambda _: reply(body), now=NOW)

    with pytest.raises(TryAgain) as caught:
        Instagram(Settings()).renew(way, account(Platform.INSTAGRAM, login="instagram"))

    assert caught.value.after == timedelta(days=1)


def test_an_expired_token_and_one_of_facebook_login_are_not_renewed(by_ids: Stage, by_batch: Stage) -> None:
    by_ids.simulators.world.change_account("instagram", OWNER, access_token_expires_at=NOW - timedelta(1))

    for stage in (by_ids, by_batch):
        with pytest.raises(Reauthorize) as caught:
            stage.adapter.renew(stage.upstream(), stage.connected())
        assert not caught.value.renewable
