"""The LinkedIn adapter against the simulated platform: members' posts."""

from datetime import timedelta

import pytest
from pydantic import SecretStr

from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.answers import read_from
from tests.worker.adapters.linkedin.harness import COUNTS, FIRST, TOKEN, Harness
from tests.worker.adapters.support import NOW, account, publication, reply
from worker.adapters.linkedin.linkedin import LinkedIn
from worker.errors import Reauthorize
from worker.readings import Answer


@pytest.fixture
def member() -> Harness:
    return Harness("member")


def test_post_of_a_member_costs_six_calls(member: Harness) -> None:
    readings = member.read(member.publish(2))

    assert [one.metrics for one in readings.values()] == [COUNTS, COUNTS]
    assert member.upstream.cost == 12
    assert f"entity=(share:urn%3Ali%3Ashare%3A{FIRST + 1})" in member.upstream.sent[0].url
    assert f"entity=(ugc:urn%3Ali%3AugcPost%3A{FIRST + 2})" in member.upstream.sent[6].url


@pytest.mark.parametrize("version", ["202604", "202609"])
def test_metric_type_may_be_an_object_or_a_string(member: Harness, version: str) -> None:
    (post,) = member.publish(1)
    mine = account(Platform.LINKEDIN, access_token=SecretStr(TOKEN), kind="member")

    (reading,) = LinkedIn(Settings(linkedin_version=version)).fetch(member.upstream, mine, [post])

    assert reading.metrics == COUNTS


def test_absent_metric_of_a_member_is_missing_and_named(member: Harness) -> None:
    (post,) = member.publish(1, absent_metrics=frozenset({"REACTION"}))

    reading = member.read([post])[post.id]

    assert reading.missing == ("share_statistics_like_count",)
    assert set(reading.metrics) == set(COUNTS) - set(reading.missing)
    assert "share_statistics_like_count" in reading.warnings[0]


def test_each_post_of_a_member_has_its_own_answer(member: Harness) -> None:
    good, deleted = member.publish(1), member.publish(1, deleted=True)
    quiet, foreign = member.publish(1, counters={}, no_data=True), member.publish(1, owner="77")
    old = member.publish(1, counters={}, no_data=True, created_at=NOW - timedelta(days=366))

    readings = member.read([*foreign, *good, *deleted, *quiet, *old])

    assert [readings[one.id].answer for one in (*good, *deleted, *quiet, *foreign, *old)] == [
        Answer.READ,
        Answer.MISSING,
        Answer.UNAVAILABLE,
        Answer.MISSING,
        Answer.WINDOW_CLOSED,
    ]


def test_revoked_member_scope_requires_reconnect_after_two_probes(member: Harness) -> None:
    posts = member.publish(20)
    member.grant("r_member_social")

    error = member.try_to_read(posts).error

    assert isinstance(error, Reauthorize)
    assert error.missing_scope == "r_member_postAnalytics"
    assert member.upstream.cost == 2


def test_metric_that_is_refused_alone_names_the_permission() -> None:
    mine = account(Platform.LINKEDIN, access_token=SecretStr(TOKEN), kind="member")
    counted, denied = reply({"elements": [{"count": 5}]}), reply({}, 403)
    answers = [counted, denied, *[counted] * 4]

    (reading,) = read_from(LinkedIn(Settings()), mine, [publication(1, "urn:li:share:1")], *answers).readings

    assert reading.missing == ("share_statistics_unique_impressions_count",)
    assert reading.warnings[0].startswith("permission_missing: ")
