"""The X adapter against the simulated platform, and against answers that no simulator should give."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.simulators.behaviour import Conditions, Limit
from deploy.simulators.x.x import APP_BEARER
from shared.settings import Settings
from shared.vocabulary import BucketKind, PauseKind, Platform
from tests.worker.adapters.support import NOW, account, publication, reply
from tests.worker.adapters.x.harness import (
    COUNTERS,
    OWNER,
    PRIVATE,
    PROBLEM,
    SETTINGS,
    YOUNG,
    Harness,
    post,
    read,
)
from worker.adapters.x.x import X
from worker.errors import Misconfigured, Paused, Reauthorize
from worker.readings import Answer

# Numbers and calls


def test_hundred_old_posts_cost_one_call(harness: Harness) -> None:
    readings = harness.read(harness.publish(100))

    assert harness.upstream.cost == 1
    assert len(readings) == 100
    assert all(one.metrics == COUNTERS and one.missing == () for one in readings.values())


def test_foreign_post_is_fetched_without_private_metrics(harness: Harness) -> None:
    foreign = harness.publish(1, YOUNG, owner="1")

    assert harness.read(foreign)[1].metrics == COUNTERS
    assert harness.upstream.cost == 1


def test_app_bearer_fetches_public_metrics_of_account_without_token(harness: Harness) -> None:
    keyless = account(Platform.X, platform_account_id=OWNER, access_token=SecretStr(""))
    adapter = X(Settings(x_app_bearer=SecretStr(APP_BEARER)))

    readings = harness.read(harness.publish(2, YOUNG), adapter=adapter, by=keyless)

    assert [one.metrics for one in readings.values()] == [COUNTERS, COUNTERS]
    assert harness.upstream.cost == 1
    assert {limit.endpoint for limit in harness.upstream.limits} == {"tweets:app"}


def test_missing_token_requires_reconnect(harness: Harness) -> None:
    keyless = account(Platform.X, access_token=SecretStr(""))

    with pytest.raises(Reauthorize):
        harness.read(harness.publish(1), by=keyless)
    assert harness.upstream.cost == 0


# Single posts


def test_each_kind_of_missing_post_has_its_answer(harness: Harness) -> None:
    good, deleted = harness.publish(1), harness.publish(1, deleted=True)
    protected, broken = harness.publish(1, owner="1", protected=True), harness.publish(1)
    never, malformed, unknown = publication(90, "1"), publication(91, "12x4"), publication(92, None)
    harness.behaviour.set_conditions(
        Conditions(unhydrated_posts=frozenset({broken[0].platform_post_id or ""}))
    )

    readings = harness.read([*good, *deleted, *protected, *broken, never, malformed, unknown])

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
    assert harness.upstream.cost == 1


@pytest.mark.parametrize("renamed", [False, True])
def test_edited_post_is_found_by_its_first_id(harness: Harness, *, renamed: bool) -> None:
    first, last = harness.publish(1, YOUNG), harness.publish(1, YOUNG)
    harness.world.change_post("x", first[0].platform_post_id or "", replaced_by=last[0].platform_post_id)
    harness.behaviour.set_conditions(Conditions(renamed_answer=renamed))

    reading = harness.read(first)[first[0].id]

    assert reading.metrics.items() >= (COUNTERS | PRIVATE).items()


def test_id_in_neither_list_is_unreadable() -> None:
    readings = read(reply({"data": [post(1)]}), count=2).readings

    assert [one.answer for one in readings] == [Answer.READ, Answer.UNREADABLE]


def test_errors_of_an_answer_without_data_are_used() -> None:
    error = {"value": "1", "type": "https://any.host/2/problems/resource-not-found"}

    readings = read(reply({"errors": [error]})).readings

    assert readings[0].answer is Answer.MISSING


@pytest.mark.parametrize("kind", [{}, {"type": None}, {"type": "about:blank"}])
@pytest.mark.parametrize(
    ("title", "answer"),
    [
        ("Not Found Error", Answer.MISSING),
        ("Authorization Error", Answer.MISSING),
        ("Field Authorization Error", Answer.UNAVAILABLE),
        ("Something New", Answer.UNREADABLE),
    ],
)
def test_error_without_a_type_is_classified_by_its_title(
    kind: dict[str, Any], title: str, answer: Answer
) -> None:
    readings = read(reply({"errors": [{"resource_id": "1", "title": title, **kind}]})).readings

    assert [one.answer for one in readings] == [answer]


def test_impossible_id_is_missing_without_a_call(harness: Harness) -> None:
    good = harness.publish(1)
    largest = publication(90, str(2**63 - 1))
    beyond = [publication(91, str(2**63)), publication(92, "9" * 19), publication(93, "007")]

    readings = harness.read([*good, largest, *beyond])

    assert readings[good[0].id].metrics == COUNTERS
    assert {number: readings[number].answer for number in (90, 91, 92, 93)} == dict.fromkeys(
        (90, 91, 92, 93), Answer.MISSING
    )
    assert [call.url.partition("ids=")[2].partition("&")[0] for call in harness.upstream.sent] == [
        f"{good[0].platform_post_id},{2**63 - 1}"
    ]


def test_post_with_refused_metrics_is_unavailable() -> None:
    error = {"resource_id": "1", "type": PROBLEM + "not-authorized-for-field"}

    readings = read(reply({"errors": [error]})).readings

    assert readings[0].answer is Answer.UNAVAILABLE


@pytest.mark.parametrize("value", [None, True, -1, 2**63, "7", 7.0, [7], {}])
def test_invalid_counter_is_missing_and_named(value: object) -> None:
    readings = read(reply({"data": [post(1, public_metrics=COUNTERS | {"like_count": value})]})).readings

    assert "like_count" not in readings[0].metrics
    assert readings[0].missing == ("like_count",)
    assert readings[0].warnings == ("metric_unavailable: like_count was not reported by X",)


def test_new_metric_is_kept() -> None:
    readings = read(reply({"data": [post(1, public_metrics=COUNTERS | {"echo_count": 2**53 + 1})]})).readings

    assert readings[0].metrics["echo_count"] == 2**53 + 1


# The renamed parameter


def test_the_parameter_is_renamed_once_and_stays_renamed(harness: Harness) -> None:
    harness.behaviour.set_conditions(Conditions(renamed_parameter=True, renamed_answer=True))
    adapter, published = X(SETTINGS), harness.publish(2)

    readings = harness.read(published, adapter=adapter)
    harness.read(published, adapter=adapter)

    assert readings[1].metrics == COUNTERS
    assert [("post.fields" in call.url) for call in harness.upstream.sent] == [False, True, True]


def test_other_400_is_misconfigured_and_not_repeated() -> None:
    error = read(reply({"title": "Invalid Request", "type": PROBLEM + "invalid-request"}, 400)).error

    assert isinstance(error, Misconfigured)


# Refusals


def test_missing_scope_is_named(harness: Harness) -> None:
    harness.world.change_account("x", OWNER, scopes=frozenset({"tweet.read"}))

    with pytest.raises(Reauthorize) as refused:
        harness.read(harness.publish(1))

    assert refused.value.missing_scope == "users.read"


# Limits


def test_limits_are_returned_as_data(harness: Harness) -> None:
    harness.read(harness.publish(1))

    (seen,) = harness.upstream.limits
    assert (seen.kind, seen.endpoint, seen.limit, seen.remaining) == (
        BucketKind.ACCOUNT,
        "tweets",
        5000,
        4999,
    )
    assert seen.resets_at == NOW + timedelta(minutes=15)


def test_exhausted_credits_pause_the_app_and_alert_operators(harness: Harness) -> None:
    published = harness.publish(1)
    for behaviour, until in (
        (Conditions(credits_depleted=True), NOW + timedelta(hours=1)),
        (Conditions(limits={"post_reads_per_month": Limit(0, 1)}), datetime(2026, 12, 1, tzinfo=UTC)),
    ):
        harness.behaviour.set_conditions(behaviour)
        with pytest.raises(Paused) as stopped:
            harness.read(published)
        error = stopped.value
        assert (error.kind, error.stop, error.until) == (BucketKind.APP, PauseKind.CREDITS, until)


@pytest.mark.parametrize("problem", ["credits", "credits-depleted", "usage-capped"])
def test_credits_problem_beside_numbers_keeps_the_numbers(problem: str) -> None:
    stopped = {"resource_id": "2", "type": PROBLEM + problem}

    outcome = read(reply({"data": [post(1)], "errors": [stopped]}), count=3)

    assert [one.answer for one in outcome.readings] == [Answer.READ]
    assert isinstance(outcome.error, Paused)
    assert (outcome.error.kind, outcome.error.stop) == (BucketKind.APP, PauseKind.CREDITS)
