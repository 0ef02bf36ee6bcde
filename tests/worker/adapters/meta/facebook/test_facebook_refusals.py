"""Facebook Pages: bad items, missing permissions, dead tokens, limits, the proof."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from deploy.simulators.world import Account as SimulatedAccount
from deploy.simulators.world import Application
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.meta.facebook.harness import (
    NOW,
    NUMBERS,
    PAGE,
    SCOPES,
    Harness,
    batch,
    error,
    item,
    items,
)
from tests.worker.adapters.support import account, publication, replies, reply, upstream
from worker.adapters.meta.facebook import Facebook
from worker.errors import Misconfigured, Paused, Reauthorize
from worker.readings import Answer, Reading

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
def test_bad_item_does_not_affect_its_siblings(
    harness: Harness, flaw: dict[str, Any], answer: Answer
) -> None:
    harness.simulators.world.add_accounts([SimulatedAccount("facebook", "2000", "other", kind="page")])
    posts, (bad,) = harness.publish(10), harness.publish(**flaw)

    readings, requests = harness.read([*posts[:5], bad, *posts[5:]])

    assert readings[bad.id].answer is answer
    assert readings[bad.id].detail
    assert all(readings[post.id].metrics == NUMBERS for post in posts)
    assert requests == 1


def test_absent_metric_is_missing_never_zero(harness: Harness) -> None:
    (post,) = harness.publish(absent_metrics=frozenset({"post_clicks"}))

    readings, _ = harness.read([post])

    assert readings[post.id].metrics == {"post_reactions_by_type_total": 39}
    assert readings[post.id].missing == ("post_clicks",)
    assert "metric_unavailable: post_clicks did not come with the answer" in readings[post.id].warnings


def test_post_denied_alone_is_missing_and_no_scope_is_blamed() -> None:
    good = item({"data": [{"name": "post_clicks", "values": [{"value": 1}]}]})
    denied = item(error(10, "(#10) requires the 'pages_read_engagement' permission"), 403)
    way = upstream(replies(batch(good, denied, good)))
    posts = [publication(1, "1000_1"), publication(2, "2000_1")]

    readings = list(Facebook(Settings()).fetch(way, account(Platform.FACEBOOK), posts))

    assert {one.publication_id: one.answer for one in readings} == {1: Answer.READ, 2: Answer.MISSING}


def test_bare_ids_are_requested_again_in_page_form(harness: Harness) -> None:
    posts = harness.publish(3)
    bare = [publication(number, f"77700{number}") for number in (11, 12)]
    for one in bare:
        harness.publish(platform_post_id=one.platform_post_id, media_type="VIDEO")

    readings, requests = harness.read([*posts, *bare])

    assert all(one.metrics == NUMBERS for one in readings.values())
    assert requests == 2


def test_bare_id_with_unknown_page_form_is_unavailable() -> None:
    wrong = item(error(100, "Tried accessing nonexisting field (insights) on node type (Video)"), 400)
    missing = item(error(100, "Unsupported get request. Object with ID", error_subcode=33), 400)
    good = item({"data": [{"name": "post_clicks", "values": [{"value": 1}]}]})
    nothing = item({"data": []})
    way = upstream(replies(batch(good, wrong, nothing), batch(missing, nothing)))
    posts = [publication(1, "1000_1"), publication(2, "999")]

    readings = list(Facebook(Settings()).fetch(way, account(Platform.FACEBOOK), posts))

    assert {one.publication_id: one.answer for one in readings} == {1: Answer.READ, 2: Answer.UNAVAILABLE}


def test_unfinished_batch_items_are_unreadable_alone(harness: Harness) -> None:
    posts = harness.publish(3)
    harness.simulators.behave("facebook", timed_out_items=[0, 2])

    readings, _ = harness.read(posts)

    answers = [readings[post.id].answer for post in posts]
    assert answers == [Answer.UNREADABLE, Answer.READ, Answer.UNREADABLE]


# The token or the posts?


@pytest.mark.parametrize("count", [1, 20])
def test_posts_are_missing_if_all_are_and_the_page_is_found(harness: Harness, count: int) -> None:
    readings, requests = harness.read(harness.publish(count, deleted=True))

    assert {one.answer for one in readings.values()} == {Answer.MISSING}
    assert requests == 2


@pytest.mark.parametrize("count", [1, 20])
def test_missing_posts_of_a_missing_page_require_reconnect(harness: Harness, count: int) -> None:
    posts = harness.publish(count, deleted=True)
    connected = harness.connected(platform_account_id="3000")

    with pytest.raises(Reauthorize) as caught:
        list(harness.adapter.fetch(harness.upstream(), connected, posts))

    assert caught.value.missing_scope == "account role"


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("named", [True, False], ids=["named", "empty data"])
def test_missing_read_insights_differs_from_posts_without_numbers(
    harness: Harness,
    count: int,
    named: bool,
) -> None:
    posts = harness.publish(count)
    harness.simulators.world.change_account("facebook", PAGE, scopes=SCOPES - {"read_insights"})
    harness.simulators.behave("facebook", missing_scopes_named=named)

    readings, error = harness.refused(posts)

    assert readings == []
    assert isinstance(error, Reauthorize)
    assert error.missing_scope == "read_insights"
    assert harness.simulators.request_log.requests("facebook") <= 2


@pytest.mark.parametrize("count", [1, 20])
def test_page_without_numbers_keeps_its_authorization(harness: Harness, count: int) -> None:
    readings, requests = harness.read(harness.publish(count, no_data=True))

    assert {one.answer for one in readings.values()} == {Answer.UNAVAILABLE}
    assert requests == 2


def test_scopes_of_the_connection_decide_where_the_platform_names_none() -> None:
    empty, unknown = item({"data": []}), error(100, "Tried accessing nonexisting field (permissions)")

    def platform(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return reply(unknown, 400)
        return batch(*(empty for _ in items(request)))

    adapter, posts = Facebook(Settings()), [publication(1, "1000_1")]
    (reading,) = adapter.fetch(upstream(platform), account(Platform.FACEBOOK), posts)
    without = account(Platform.FACEBOOK, scopes=frozenset({"pages_read_engagement"}))
    with pytest.raises(Reauthorize):
        list(adapter.fetch(upstream(platform), without, posts))

    assert reading.answer is Answer.UNAVAILABLE


@pytest.mark.parametrize("subcode", ["459", "460", "492"])
def test_revoked_token_is_refused_once(harness: Harness, subcode: str) -> None:
    posts = harness.publish(50)
    harness.simulators.world.revoke("facebook", PAGE, subcode)

    readings, error = harness.refused(posts)

    assert readings == []
    assert isinstance(error, Reauthorize)
    assert not error.renewable
    assert harness.simulators.request_log.requests("facebook") == 1


def test_error_inside_a_batch_keeps_earlier_numbers() -> None:
    good = item({"data": [{"name": "post_clicks", "values": [{"value": 1}]}]})
    limited = item(error(80001, "There have been too many calls to this Page account."), 400)
    way = upstream(replies(batch(good, limited, limited, limited)), now=NOW)
    posts = [publication(number, f"1000_{number}") for number in (1, 2, 3)]
    readings: list[Reading] = []

    with pytest.raises(Paused) as caught:
        readings.extend(Facebook(Settings()).fetch(way, account(Platform.FACEBOOK), posts))

    assert [one.publication_id for one in readings] == [1]
    assert caught.value.until > NOW


@pytest.mark.parametrize("secret", ["0123456789abcdef0123456789abcdef", None, "another"])
def test_proof_is_sent_when_the_secret_is_set(secret: str | None) -> None:
    harness = Harness(meta_app_secret=secret)
    right = "0123456789abcdef0123456789abcdef"
    application = Application("meta", "1", right, proof_required=True)
    harness.simulators.world.applications["meta"] = application
    posts = harness.publish(2)

    if secret == right:
        assert all(one.metrics == NUMBERS for one in harness.read(posts)[0].values())
    else:
        assert isinstance(harness.refused(posts)[1], Misconfigured)


def test_page_token_is_not_renewable(harness: Harness) -> None:
    with pytest.raises(Reauthorize) as caught:
        harness.adapter.renew(harness.upstream(), harness.connected())

    assert not caught.value.renewable
    assert harness.simulators.request_log.requests() == 0
