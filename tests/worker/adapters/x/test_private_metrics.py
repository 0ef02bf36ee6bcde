"""The private metrics of young own posts at X: requested where available, without affecting public ones."""

from datetime import timedelta

import httpx
import pytest

from shared.vocabulary import Platform
from tests.worker.adapters.harness import Outcome
from tests.worker.adapters.support import NOW, PlainMemory, account, publication, replies, reply, upstream
from tests.worker.adapters.x.harness import (
    COUNTERS,
    OLD,
    OWN,
    OWNER,
    PRIVATE,
    PROBLEM,
    SETTINGS,
    YOUNG,
    Harness,
    post,
    read,
)
from worker.adapters.x.x import PUBLIC, X
from worker.errors import Paused, RefreshError
from worker.readings import Account, Answer, Reading


def test_young_own_posts_get_their_private_metrics_in_one_more_call(harness: Harness) -> None:
    old, young = harness.publish(2), harness.publish(98, YOUNG)

    readings = harness.read(old + young)

    assert harness.upstream.cost == 2
    assert all(readings[one.id].metrics == COUNTERS for one in old)
    organic = {f"organic_{key}": COUNTERS[key] for key in PUBLIC[:4]}
    organic |= {f"organic_{key}": PRIVATE[key] for key in ("url_link_clicks", "user_profile_clicks")}
    assert all(readings[one.id].metrics == COUNTERS | PRIVATE | organic for one in young)
    assert all(one.warnings == () for one in readings.values())
    assert not any(
        one.platform_post_id in harness.upstream.sent[1].url for one in old if one.platform_post_id
    )


@pytest.mark.parametrize(
    ("age", "calls"), [(timedelta(days=29.4), 2), (timedelta(days=29.6), 1), (timedelta(0), 2)]
)
def test_post_age_of_the_platform_decides_about_private_metrics(
    harness: Harness, age: timedelta, calls: int
) -> None:
    published = harness.publish(1, NOW - age)[0]

    harness.read([publication(published.id, published.platform_post_id, created_at=OLD)])

    assert harness.upstream.cost == calls


def test_instant_without_an_offset_says_nothing_about_a_post_s_age() -> None:
    outcome = read(reply({"data": [post(1, created_at="2026-11-22T12:00:00")]}))

    assert [one.answer for one in outcome.readings] == [Answer.READ]


def test_private_metric_never_replaces_a_public_one() -> None:
    public = {key: value for key, value in COUNTERS.items() if key != "impression_count"}
    private = {"id": "1", "non_public_metrics": {"impression_count": 99, "engagements": 3}}

    outcome = read(
        reply({"data": [post(1, public_metrics=public)]}), reply({"data": [private]}), created_at=YOUNG
    )

    assert outcome.readings[0].metrics == public | {"engagements": 3}
    assert outcome.readings[0].missing == ("impression_count",)


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
def test_refused_private_call_keeps_public_numbers(
    refusal: httpx.Response, warning: str, raised: type[RefreshError] | None
) -> None:
    public = reply({"data": [post(1)]})

    outcome = read(public, refusal, created_at=YOUNG)

    assert outcome.readings[0].metrics == COUNTERS
    assert outcome.readings[0].missing == ()
    assert outcome.readings[0].warnings[0].startswith(f"{warning}: ")
    assert type(outcome.error) is (raised or type(None))


def test_post_absent_from_private_answer_keeps_public_numbers() -> None:
    refused = {"resource_id": "1", "type": PROBLEM + "not-authorized-for-field"}

    outcome = read(reply({"data": [post(1)]}), reply({"errors": [refused]}), created_at=YOUNG)

    assert outcome == Outcome((Reading(1, Answer.READ, COUNTERS),))


def test_unseen_private_metrics_are_requested_once_a_day() -> None:
    refused = {"resource_id": "1", "type": PROBLEM + "not-authorized-for-field"}
    public, private = reply({"data": [post(1)]}), reply({"errors": [refused]})
    clock = [NOW]
    memory = PlainMemory(lambda: clock[0])

    def calls(*answers: httpx.Response, by: Account = OWN) -> int:
        sent = upstream(replies(*answers), now=clock[0], memory=memory)
        publications = [publication(1, "1", created_at=YOUNG)]
        (reading,) = X(SETTINGS).fetch(sent, by, publications)
        assert (reading.answer, reading.warnings) == (Answer.READ, ())
        return sent.cost

    another = account(Platform.X, account_id="acc_2", platform_account_id=OWNER)
    assert [calls(public, private), calls(public), calls(public)] == [2, 1, 1]
    assert calls(public, private, by=another) == 2, "another account's token may see them"
    clock[0] += timedelta(days=1)
    assert [calls(public, private), calls(public)] == [2, 1]


def test_private_metrics_that_reappear_are_requested_every_time(harness: Harness) -> None:
    published = harness.publish(2, YOUNG)
    memory = harness.upstream.memory
    memory.remember("2", f"account {OWN.account_id}", "private metrics")
    assert harness.read(published)[1].metrics == COUNTERS
    memory.until = dict.fromkeys(memory.until, NOW)

    for _ in range(2):
        assert "engagements" in harness.read(published)[1].metrics
    assert harness.upstream.cost == 1 + 2 * 2
    assert memory.until == {}


def test_refused_private_metrics_of_one_post_stop_no_other() -> None:
    young = [publication(number, str(number), created_at=YOUNG) for number in (1, 2)]
    refused = {"resource_id": "1", "type": PROBLEM + "not-authorized-for-field"}
    both = reply({"data": [post(1), post(2)]})
    one = reply({"data": [{"id": "2", "non_public_metrics": {"engagements": 3}}], "errors": [refused]})
    memory = PlainMemory(lambda: NOW)

    list(X(SETTINGS).fetch(upstream(replies(both, one), now=NOW, memory=memory), OWN, young))

    assert memory.until == {}
