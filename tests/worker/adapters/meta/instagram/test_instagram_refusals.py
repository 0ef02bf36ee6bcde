"""Instagram with both logins: bad items, dead tokens, limits, renewal."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from deploy.simulators.world import Account as SimulatedAccount
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.meta.instagram.harness import FEED_COUNTS, INSIGHTS, NOW, OWNER, SCOPES, Harness
from tests.worker.adapters.support import account, publication, reply, upstream
from worker.adapters.meta.instagram import EXTRA, Instagram
from worker.adapters.meta.instagram_metrics import METRICS
from worker.errors import Paused, Reauthorize
from worker.readings import Answer


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
def test_bad_item_does_not_affect_its_siblings(
    harness: Harness, kind: str, flaw: dict[str, Any], answer: Answer
) -> None:
    posts = harness.publish("IMAGE", 20)
    other = SimulatedAccount("instagram", "17841499999999999", "other", login=harness.login)
    harness.simulators.world.add_accounts([other])
    (bad,) = harness.publish(kind, **flaw)

    readings, requests = harness.read([*posts[:10], bad, *posts[10:]])

    assert readings[bad.id].answer is answer
    assert readings[bad.id].metrics == {}
    assert readings[bad.id].detail
    assert all(readings[post.id].metrics == FEED_COUNTS for post in posts)
    assert requests <= 2 + 2 * 5


def test_each_named_deleted_post_costs_one_more_request(by_ids: Harness) -> None:
    posts, gone = by_ids.publish("IMAGE", 20), by_ids.publish("IMAGE", 4, deleted=True)

    _, requests = by_ids.read(posts + gone)

    assert requests == 1 + 4 + 1


def test_many_bad_items_are_found_within_bounded_calls(by_ids: Harness) -> None:
    left = by_ids.publish("IMAGE", 10) + by_ids.publish("IMAGE", 40, pre_business=True)

    for _ in range(3):
        readings, requests = by_ids.read(left)
        assert requests <= 2 + EXTRA
        left = [post for post in left if readings[post.id].answer is Answer.UNREADABLE]

    assert left == []


def test_posts_without_insights_are_remembered(by_ids: Harness) -> None:
    posts, older = by_ids.publish("IMAGE", 20), by_ids.publish("IMAGE", 2, pre_business=True)
    by_ids.read(posts + older)

    readings, requests = by_ids.read(posts + older)

    assert requests == 1
    assert {readings[post.id].answer for post in older} == {Answer.UNAVAILABLE}


def test_too_large_request_is_split() -> None:
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


def test_unfinished_batch_item_is_unreadable_alone(by_batch: Harness) -> None:
    posts = by_batch.publish("IMAGE", 3)
    by_batch.simulators.behave("instagram", timed_out_items=[1])

    readings, _ = by_batch.read(posts)

    assert [readings[post.id].answer for post in posts] == [Answer.READ, Answer.UNREADABLE, Answer.READ]


def test_malformed_id_is_not_requested(harness: Harness) -> None:
    readings, requests = harness.read([publication(1, "1,2/../me"), publication(2, None)])

    assert readings[1].answer is Answer.MISSING
    assert readings[2].answer is Answer.PROCESSING
    assert requests == 0


# The token or the posts?
@pytest.mark.parametrize("count", [1, 30])
def test_posts_are_missing_if_all_are_and_the_account_is_found(harness: Harness, count: int) -> None:
    posts = harness.publish("IMAGE", count, deleted=True)

    readings, requests = harness.read(posts)

    assert {one.answer for one in readings.values()} == {Answer.MISSING}
    assert requests <= 2 + 1 + (0 if harness.login == "facebook" else count)


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_missing_posts_of_a_missing_account_require_reconnect(login: str, count: int) -> None:
    harness = Harness(login)
    harness.adapter = Instagram(Settings())
    posts = harness.publish("IMAGE", count, deleted=True)
    connected = replace(harness.connected(), platform_account_id="17841411111111111")
    way = harness.upstream()

    with pytest.raises(Reauthorize) as caught:
        list(harness.adapter.fetch(way, connected, posts))

    assert caught.value.missing_scope == "account role"
    assert not caught.value.renewable
    assert len(way.sent) <= 3


@pytest.mark.parametrize("count", [1, 30])
def test_missing_scope_is_named(harness: Harness, count: int) -> None:
    posts, scope = harness.publish("IMAGE", count), INSIGHTS[harness.login]
    harness.simulators.world.change_account("instagram", OWNER, scopes=SCOPES[harness.login] - {scope})

    readings, error = harness.refused(posts)

    assert readings == []
    assert isinstance(error, Reauthorize)
    assert error.missing_scope == scope
    assert scope in str(error)
    assert harness.simulators.request_log.requests("instagram") <= 5


@pytest.mark.parametrize("denied", [1, 17])
def test_post_denied_alone_is_missing_and_no_scope_is_blamed(denied: int) -> None:
    refused = {"error": {"code": 10, "message": "Application does not have permission for this action"}}

    def platform(request: httpx.Request) -> httpx.Response:
        ids = request.url.params["ids"].split(",")
        if str(denied) in ids:
            return reply(refused, 403)
        data = [{"name": name, "values": [{"value": 1}]} for name in METRICS]
        return reply({one: {"id": one, "insights": {"data": data}} for one in ids})

    way, connected = upstream(platform), account(Platform.INSTAGRAM, login="instagram")
    posts = [publication(number, str(number), media_type="IMAGE") for number in range(1, 26)]

    readings = list(Instagram(Settings()).fetch(way, connected, posts))

    assert [one.publication_id for one in readings if one.answer is Answer.MISSING] == [denied]
    assert sum(one.answer is Answer.READ for one in readings) == 24
    assert len(way.sent) <= 1 + 2 + 2 * 5


@pytest.mark.parametrize("count", [2, 30])
def test_account_that_is_not_professional_requires_reconnect(harness: Harness, count: int) -> None:
    posts = harness.publish("IMAGE", count)
    harness.simulators.world.change_account("instagram", OWNER, personal=True)

    readings, error = harness.refused(posts)

    assert readings == []
    assert isinstance(error, Reauthorize)
    assert error.missing_scope


@pytest.mark.parametrize("subcode", ["458", "460", "492"])
def test_revoked_token_is_refused_once(harness: Harness, subcode: str) -> None:
    posts = harness.publish("IMAGE", 50)
    harness.simulators.world.revoke("instagram", OWNER, subcode)

    readings, error = harness.refused(posts)

    assert readings == []
    assert isinstance(error, Reauthorize)
    assert not error.renewable
    assert harness.simulators.request_log.requests("instagram") == 1


@pytest.mark.parametrize("wrong", ["facebook", "instagram"])
def test_token_of_the_other_login_is_not_called_expired(wrong: str) -> None:
    harness = Harness("instagram" if wrong == "facebook" else "facebook")
    posts = harness.publish("IMAGE", 2)
    connected = harness.connected(login=wrong)

    with pytest.raises(Reauthorize) as caught:
        list(harness.adapter.fetch(harness.upstream(), connected, posts))

    assert "another kind of login" in str(caught.value)
    assert "expired" not in str(caught.value)


def test_limit_inside_a_job_keeps_earlier_numbers(by_ids: Harness) -> None:
    posts = by_ids.publish("IMAGE", 50)
    by_ids.simulators.behave("instagram", limits={"account": {"calls": 25, "seconds": 3600}})

    readings, error = by_ids.refused(posts)

    assert len(readings) == 25
    assert isinstance(error, Paused)
    assert error.until > NOW


# The form of requests
@pytest.mark.parametrize("code", [3, 12, 100], ids=["capability", "deprecated", "invalid parameter"])
def test_refused_multi_id_requests_are_made_one_by_one_and_that_is_remembered(
    by_ids: Harness, code: int
) -> None:
    posts, (bad,) = by_ids.publish("IMAGE", 24), by_ids.publish("IMAGE", deleted=True)
    by_ids.simulators.behave("instagram", multi_ids_refused=code)

    first, requests = by_ids.read([*posts, bad])
    second, later = by_ids.read([*posts, bad])

    assert all(one[post.id].metrics == FEED_COUNTS for post in posts for one in (first, second))
    assert {one[bad.id].answer for one in (first, second)} == {Answer.MISSING}
    assert (requests, later) == (2 + 25, 25)

    by_ids.simulators.behave("instagram", multi_ids_refused=None)
    by_ids.at += timedelta(days=2)
    _, requests = by_ids.read(posts)
    assert requests == 1


@pytest.mark.parametrize("kind", [None, "STORY"])
def test_single_post_is_read_although_multi_id_requests_are_refused(
    by_ids: Harness, kind: str | None
) -> None:
    (post,) = by_ids.publish(kind)
    by_ids.simulators.behave("instagram", multi_ids_refused=3)

    readings, _ = by_ids.read([post])

    assert readings[post.id].answer is Answer.READ


def test_kinds_are_learned_although_multi_id_requests_are_refused(harness: Harness) -> None:
    stories = harness.publish("STORY", 3)
    harness.simulators.behave("instagram", multi_ids_refused=3)

    readings, _ = harness.read([replace(story, media_type="IMAGE") for story in stories])

    assert {readings[story.id].answer for story in stories} == {Answer.READ}
    assert {len(readings[story.id].missing) for story in stories} == {0}
