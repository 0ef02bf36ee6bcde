"""The LinkedIn adapter against the simulated platform: organizations' posts, present and absent."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from deploy.simulators.behaviour import Conditions
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.answers import read_from
from tests.worker.adapters.harness import Outcome
from tests.worker.adapters.linkedin.harness import ALL_SCOPES, FIRST, METRICS, OWNER, ZEROS, Harness
from tests.worker.adapters.support import NOW, account, publication, reply
from worker.adapters.linkedin.linkedin import LinkedIn
from worker.errors import Misconfigured, Reauthorize, TryAgain
from worker.readings import Answer


@pytest.fixture
def harness() -> Harness:
    return Harness()


def read(*answers: httpx.Response, count: int = 1, kind: str = "organization") -> Outcome:
    """Fetch posts from a platform with this answer."""
    publications = [publication(number, f"urn:li:share:{number}") for number in range(1, count + 1)]
    return read_from(LinkedIn(Settings()), account(Platform.LINKEDIN, kind=kind), publications, *answers)


def element(number: int, **statistics: object) -> dict[str, Any]:
    return {"share": f"urn:li:share:{number}", "totalShareStatistics": statistics}


def elements(*rows: object, **paging: object) -> httpx.Response:
    page: dict[str, object] = {"start": 0, "count": 10, "links": []}
    return reply({"paging": page | paging, "elements": list(rows)})


# Organizations


def test_twenty_shares_and_ugc_posts_cost_one_call(harness: Harness) -> None:
    readings = harness.read(harness.publish(20))

    assert harness.upstream.cost == 1
    assert [one.metrics for one in readings.values()] == [METRICS] * 20
    url = harness.upstream.sent[0].url
    assert f"&shares=List(urn%3Ali%3Ashare%3A{FIRST + 1},urn%3Ali%3Ashare%3A{FIRST + 3}," in url
    assert f"&ugcPosts=List(urn%3Ali%3AugcPost%3A{FIRST + 2},urn%3Ali%3AugcPost%3A" in url


def test_requests_carry_version_and_protocol(harness: Harness) -> None:
    harness.read(harness.publish(1))

    headers = harness.upstream.sent[0].headers
    assert headers["LinkedIn-Version"] == Settings().linkedin_version
    assert headers["X-Restli-Protocol-Version"] == "2.0.0"


def test_account_stored_by_its_urn_is_fetched(harness: Harness) -> None:
    outcome = harness.try_to_read(harness.publish(1), platform_account_id=f"urn:li:organization:{OWNER}")

    assert [one.metrics for one in outcome.readings] == [METRICS]


@pytest.mark.parametrize(
    "stored", ["1", "urn:li:activity:1", "urn:li:share:x", "urn:li:share:1,2", f"urn:li:share:{2**63}", ""]
)
def test_malformed_urn_is_never_sent(harness: Harness, stored: str) -> None:
    good = harness.publish(1)

    readings = harness.read([*good, publication(90, stored), publication(91, None)])

    assert readings[good[0].id].metrics == METRICS
    assert (readings[90].answer, readings[91].answer) == (Answer.MISSING, Answer.PROCESSING)
    assert [call.url.count("urn%3Ali%3A") for call in harness.upstream.sent] == [2], "its page and one post"


def test_page_of_ten_is_followed_by_another_call(harness: Harness) -> None:
    harness.behaviour.set_conditions(Conditions(paged_lists=True))

    readings = harness.read(harness.publish(20))

    assert [one.metrics for one in readings.values()] == [METRICS] * 20
    assert harness.upstream.cost == 2


def test_ten_elements_without_a_next_link_are_a_page() -> None:
    first = elements(*(element(number, likeCount=1) for number in range(1, 11)))

    outcome = read(first, elements(element(11, likeCount=1)), count=11)

    assert [one.answer for one in outcome.readings] == [Answer.READ] * 11


def test_missing_next_page_marks_no_post_missing() -> None:
    more = {"links": [{"rel": "next", "href": "/rest/…"}]}

    outcome = read(elements(element(1, likeCount=1), **more), elements(**more), count=2)

    assert [one.answer for one in outcome.readings] == [Answer.READ, Answer.UNREADABLE]


@pytest.mark.parametrize("odd", [None, 7, {}, {"share": "urn:li:share:9"}, {"share": ["urn:li:share:2"]}])
def test_no_post_is_absent_while_an_element_is_unidentified(odd: object) -> None:
    outcome = read(elements(element(1, likeCount=1), odd), count=2)

    assert [one.answer for one in outcome.readings] == [Answer.READ, Answer.UNREADABLE]


# What an absence means


def test_one_lookup_explains_every_absent_post(harness: Harness) -> None:
    good, quiet = harness.publish(2), harness.publish(1, no_data=True, counters={})
    deleted, foreign = harness.publish(1, deleted=True), harness.publish(1, owner="77")
    old = harness.publish(1, created_at=NOW - timedelta(days=366))

    readings = harness.read([*good, *quiet, *deleted, *foreign, *old])

    assert [readings[one.id].answer for one in (*quiet, *deleted, *foreign, *old)] == [
        Answer.OMITTED,
        Answer.MISSING,
        Answer.MISSING,
        Answer.WINDOW_CLOSED,
    ]
    assert readings[quiet[0].id].metrics == ZEROS
    assert [readings[one.id].metrics for one in good] == [METRICS, METRICS]
    assert harness.upstream.cost == 2


def test_found_sibling_proves_that_forbidden_post_is_foreign(harness: Harness) -> None:
    good, foreign = harness.publish(1), harness.publish(1, owner="77")

    assert harness.read([*good, *foreign])[foreign[0].id].answer is Answer.MISSING
    assert harness.read(foreign)[foreign[0].id].answer is Answer.UNAVAILABLE


def test_without_lookup_scope_no_post_is_missing_or_zero(harness: Harness) -> None:
    harness.grant("rw_organization_admin")
    good, gone = harness.publish(1), harness.publish(1, deleted=True)

    reading = harness.read([*good, *gone])[gone[0].id]

    assert (reading.answer, reading.metrics) == (Answer.UNAVAILABLE, {})
    assert reading.warnings[0].startswith("permission_missing: ")
    assert "r_organization_social" in reading.warnings[0]


URN = "urn:li:share:1"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"results": {URN: {"id": URN}}}, Answer.OMITTED),
        ({"results": {"urn%3Ali%3Ashare%3A1": {"id": URN}}}, Answer.OMITTED),
        ({"results": {}, "statuses": {URN: 404}}, Answer.MISSING),
        ({"results": {}, "errors": {URN: {"status": 410}}}, Answer.MISSING),
        ({"results": {}, "errors": {URN: {"status": 403}}}, Answer.UNAVAILABLE),
        ({"results": {}, "errors": {URN: {"status": 500}}}, Answer.UNREADABLE),
        ({"results": {}, "errors": {}}, Answer.UNREADABLE),
        ({"results": {URN: None}}, Answer.UNREADABLE),
        ({"results": "none"}, Answer.UNREADABLE),
    ],
)
def test_lookup_decides_about_absent_post(body: object, expected: Answer) -> None:
    assert [one.answer for one in read(elements(), reply(body)).readings] == [expected]


def test_forbidden_lookup_leaves_post_unavailable() -> None:
    (reading,) = read(elements(), reply({"status": 403}, 403)).readings

    assert reading.answer is Answer.UNAVAILABLE


# Numbers


@pytest.mark.parametrize("value", [None, True, -3, 2**63, "7", 7.5, [7]])
def test_invalid_counter_is_missing_and_named(value: object) -> None:
    (reading,) = read(elements(element(1, likeCount=value, clickCount=2))).readings

    assert reading.metrics == {"share_statistics_click_count": 2}
    assert reading.missing == ("share_statistics_like_count",)
    assert reading.warnings[0].startswith("metric_unavailable: share_statistics_like_count")


def test_all_numbers_of_an_answer_are_kept() -> None:
    statistics = {"engagement": 0, "shareMentionsCount": 3, "dwellRatio": 0.5, "note": "x", "b@d": 1}

    (reading,) = read(elements(element(1, **statistics))).readings

    assert reading.metrics == {
        "share_statistics_engagement": 0.0,
        "share_statistics_share_mentions_count": 3,
        "share_statistics_dwell_ratio": 0.5,
    }
    assert type(reading.metrics["share_statistics_engagement"]) is float
    assert reading.missing == ()


def test_element_without_numbers_is_unavailable() -> None:
    assert [one.answer for one in read(elements(element(1))).readings] == [Answer.UNAVAILABLE]


@pytest.mark.parametrize("body", [{"elements": "none"}, {"paging": {}}, {}, [], "<html>"])
def test_answer_without_elements_is_transient(body: object) -> None:
    assert isinstance(read(reply(body)).error, TryAgain)


# Refused calls


@pytest.mark.parametrize("count", [1, 2, 20])
def test_one_foreign_post_is_found_by_bisection(harness: Harness, count: int) -> None:
    harness.behaviour.set_conditions(Conditions(foreign_refused=True))
    posts = [*harness.publish(count - 1), *harness.publish(1, owner="77")]

    readings = harness.read(posts)

    assert [one.metrics for one in readings.values()].count(METRICS) == count - 1
    assert readings[posts[-1].id].answer is Answer.MISSING
    assert harness.upstream.cost <= 2 + 2 * 5


def test_twenty_foreign_posts_take_a_bounded_number_of_calls_in_all(harness: Harness) -> None:
    harness.behaviour.set_conditions(Conditions(foreign_refused=True))

    readings = harness.read(harness.publish(20, owner="77"))

    assert {one.answer for one in readings.values()} == {Answer.MISSING}
    assert harness.upstream.cost == 40


@pytest.mark.parametrize("role", [False, True])
def test_lost_scope_or_role_is_named_after_one_probe(harness: Harness, *, role: bool) -> None:
    posts = harness.publish(20)
    harness.grant(*(ALL_SCOPES if role else ALL_SCOPES[1:]), role_lost=role)

    error = harness.try_to_read(posts, scopes=frozenset(ALL_SCOPES if role else ())).error

    assert isinstance(error, Reauthorize)
    assert not error.renewable
    assert (error.missing_scope or "").startswith("rw_organization_admin")
    assert ("ADMINISTRATOR" in (error.missing_scope or "")) == role
    assert harness.upstream.cost == 2


@pytest.mark.parametrize("status", [400, 403])
def test_refused_request_form_is_misconfigured(status: int) -> None:
    unpermitted = {"message": "Unpermitted fields present in PARAMETER: … [/shares[0]]"}

    outcome = read(*[reply(unpermitted, status) for _ in range(6)], count=20)

    assert isinstance(outcome.error, Misconfigured)


def test_refused_urn_does_not_affect_its_siblings() -> None:
    bad = reply({"code": "ILLEGAL_ARGUMENT"}, 400)

    outcome = read(bad, elements(element(1, likeCount=1)), bad, count=2)

    assert [one.answer for one in outcome.readings] == [Answer.READ, Answer.MISSING]


def test_refused_urns_do_not_affect_siblings_that_were_answered() -> None:
    bad = reply({"code": "ILLEGAL_ARGUMENT"}, 400)
    answered = elements(element(1, likeCount=1), element(2, likeCount=1))

    outcome = read(bad, answered, bad, bad, bad, count=4)

    assert outcome.error is None
    assert [one.answer for one in outcome.readings] == [Answer.READ] * 2 + [Answer.MISSING] * 2


def test_page_that_names_a_next_one_says_nothing_of_the_other_posts() -> None:
    first = elements(element(1, likeCount=1), links=[{"rel": "next", "href": "/"}])

    outcome = read(first, elements(element(2, likeCount=1)), count=2)

    assert [one.answer for one in outcome.readings] == [Answer.READ] * 2
