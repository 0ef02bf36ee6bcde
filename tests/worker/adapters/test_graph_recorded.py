"""Answers of Meta as others recorded them, read by the adapters: a Page, and both logins of Instagram."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.worker.adapters.graph_platform import (
    FACEBOOK_LOGIN,
    FACEBOOK_PAGE,
    INSTAGRAM_LOGIN,
    OWN,
    WAYS,
    Answers,
    Host,
    Way,
    empty,
    numbers,
    only,
    read,
    refuses,
)
from tests.worker.adapters.graph_stage import error
from tests.worker.adapters.support import NOW, reply
from tests.worker.adapters.test_graph_wordings import (
    BLOCKED,
    DEACTIVATED,
    NO_FIELD,
    NO_SCOPE,
    NOT_ALLOWED,
    ON_BEHALF,
    RETIRED,
)
from worker.errors import Misconfigured, Reauthorize
from worker.readings import Answer

EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.label)
INSTAGRAM_WAYS = pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.label)
PORTUGUESE_FEW = "(#10) Não há visualizadores suficientes para mostrar insights"
GONE = refuses(100, "Unsupported get request.", error_subcode=33)
BUSY = {"X-App-Usage": json.dumps({"call_count": 81, "total_time": 3, "total_cputime": 3})}


# Our application


@EVERY_WAY
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("message", [BLOCKED, DEACTIVATED])
def test_a_blocked_application_is_ours_to_mend_whatever_is_refused(
    way: Way, status: int, message: str
) -> None:
    refused = error(200, message)
    whole, _ = read(way, lambda _: reply(refused, status), way.posts(3))
    each, _ = read(way, Host(refuses(200, message, status=status)), way.posts(3))
    single, _ = read(way, Host(refuses(200, message, status=status)), way.posts(1))

    for outcome in (whole, each, single):
        assert isinstance(outcome.error, Misconfigured)
        assert outcome.readings == ()


@EVERY_WAY
def test_a_call_without_its_proof_is_ours_to_mend(way: Way) -> None:
    message = "(#100) Pages Public Content Access requires either app secret proof or an app token"

    outcome, _ = read(way, Host(refuses(100, message)), way.posts(3))

    assert isinstance(outcome.error, Misconfigured)


# Permissions


@pytest.mark.parametrize("way", [FACEBOOK_PAGE, FACEBOOK_LOGIN], ids=lambda way: way.label)
@pytest.mark.parametrize("told", [True, False], ids=["permissions told", "not told"])
@pytest.mark.parametrize("count", [1, 3])
def test_an_object_that_does_not_exist_for_want_of_a_permission_names_it(
    way: Way,
    count: int,
    told: bool,  # noqa: FBT001 - a pytest parameter
) -> None:
    granted = frozenset(way.scopes) - {"pages_read_engagement"} if told else None

    outcome, _ = read(way, Host(refuses(100, NO_SCOPE), granted), way.posts(count))

    assert isinstance(outcome.error, Reauthorize)
    assert outcome.error.missing_scope == "pages_read_engagement"
    assert "pages_read_engagement" in str(outcome.error)


@pytest.mark.parametrize("way", [FACEBOOK_PAGE, FACEBOOK_LOGIN], ids=lambda way: way.label)
def test_a_named_permission_that_is_granted_is_not_blamed(way: Way) -> None:
    outcome, _ = read(way, Host(refuses(100, NO_SCOPE), frozenset(way.scopes)), way.posts(3))

    assert isinstance(outcome.error, Reauthorize)
    assert outcome.error.missing_scope == "account role"


MISSING_SCOPES = [
    (way, frozenset(lacking)) for way in WAYS for lacking in [*((one,) for one in way.scopes), way.scopes]
]


@pytest.mark.parametrize(
    ("way", "lacking"),
    MISSING_SCOPES,
    ids=[f"{way.label}: {sorted(lacking)}" for way, lacking in MISSING_SCOPES],
)
@pytest.mark.parametrize("answers", [empty, refuses(10, NOT_ALLOWED, status=403)], ids=["no data", "refused"])
@pytest.mark.parametrize("count", [1, 3])
def test_every_permission_of_a_read_is_checked_not_the_first_alone(
    way: Way, lacking: frozenset[str], answers: Answers, count: int
) -> None:
    left = frozenset(way.scopes) - lacking
    stored = left | {"public_profile"}
    hosts = {"told by the host": (Host(answers, left), frozenset(way.scopes))}
    hosts |= {"told at the connection": (Host(answers), stored)}
    if way is INSTAGRAM_LOGIN:
        del hosts["told by the host"]  # graph.instagram.com does not tell

    for host, scopes in hosts.values():
        outcome, _ = read(way, host, way.posts(count), scopes=scopes)

        assert isinstance(outcome.error, Reauthorize)
        assert outcome.readings == ()
        for scope in way.scopes:
            assert (scope in str(outcome.error)) is (scope in lacking)


@EVERY_WAY
def test_no_data_while_all_is_granted_is_no_data(way: Way) -> None:
    outcome, calls = read(way, Host(empty, frozenset(way.scopes)), way.posts(3))

    assert set(outcome.answers.values()) == {Answer.UNAVAILABLE}
    assert outcome.error is None
    assert len(calls.sent) <= 2


@EVERY_WAY
@pytest.mark.parametrize("code", [10, 200])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("told", [True, False], ids=["permissions told", "not told"])
def test_a_refusal_to_act_for_the_owner_names_no_permission(
    way: Way,
    code: int,
    count: int,
    told: bool,  # noqa: FBT001 - a pytest parameter
) -> None:
    host = Host(refuses(code, ON_BEHALF), frozenset(way.scopes) if told else None)

    outcome, _ = read(way, host, way.posts(count))

    assert isinstance(outcome.error, Reauthorize)
    assert outcome.error.missing_scope is None
    assert not any(scope in str(outcome.error) for scope in way.scopes)


@EVERY_WAY
def test_a_post_that_alone_is_refused_for_the_owner_is_not_missing(way: Way) -> None:
    host = Host(only(refuses(200, ON_BEHALF), way.id_of(2)))

    outcome, _ = read(way, host, way.posts(3))

    assert outcome.answers == {1: Answer.READ, 2: Answer.UNREADABLE, 3: Answer.READ}


@pytest.mark.parametrize("way", [FACEBOOK_PAGE, FACEBOOK_LOGIN], ids=lambda way: way.label)
def test_a_whole_batch_that_is_denied_asks_which_permission_lacks(way: Way) -> None:
    told = Host(numbers, frozenset(way.scopes[:-1]))

    def host(request: httpx.Request) -> httpx.Response:
        return reply(error(10, NOT_ALLOWED), 403) if request.method == "POST" else told(request)

    outcome, _ = read(way, host, way.posts(3))

    assert isinstance(outcome.error, Reauthorize)
    assert outcome.error.missing_scope == way.scopes[-1]


# Missing, or throttled?


@EVERY_WAY
@pytest.mark.parametrize(
    "gone",
    [GONE, refuses(33, "(#33) This object does not exist or does not support this action")],
    ids=["100/33", "33"],
)
def test_a_miss_counts_beside_a_sibling_that_reads_and_for_a_post_alone(way: Way, gone: Answers) -> None:
    beside, _ = read(way, Host(only(gone, way.id_of(2))), way.posts(3))
    alone, _ = read(way, Host(gone), way.posts(1))

    assert beside.answers == {1: Answer.READ, 2: Answer.MISSING, 3: Answer.READ}
    assert alone.answers == {1: Answer.MISSING}
    assert not any(reading.doubtful for reading in (*beside.readings, *alone.readings))


@EVERY_WAY
def test_a_whole_batch_that_vanishes_at_once_is_doubtful(way: Way) -> None:
    outcome, _ = read(way, Host(GONE), way.posts(3))

    assert outcome.error is None
    assert set(outcome.answers.values()) == {Answer.MISSING}
    assert all(reading.doubtful for reading in outcome.readings)


@EVERY_WAY
@pytest.mark.parametrize(
    "headers",
    [
        BUSY,
        {
            "X-Business-Use-Case-Usage": json.dumps(
                {OWN: [{"type": kind, "call_count": 80} for kind in ("pages", "instagram")]}
            )
        },
    ],
    ids=["the app's", "the account's"],
)
def test_a_miss_is_doubtful_while_a_limit_is_near(way: Way, headers: dict[str, str]) -> None:
    beside, _ = read(way, Host(only(GONE, way.id_of(2)), headers=headers), way.posts(3))
    alone, _ = read(way, Host(GONE, headers=headers), way.posts(1))
    calm = {name: value.replace("81", "79").replace("80", "79") for name, value in headers.items()}
    sure, _ = read(way, Host(GONE, headers=calm), way.posts(1))

    assert beside.answers == {1: Answer.READ, 2: Answer.MISSING, 3: Answer.READ}
    assert [one.doubtful for one in beside.readings if one.answer is Answer.MISSING] == [True]
    assert [one.doubtful for one in alone.readings] == [True]
    assert [one.doubtful for one in sure.readings] == [False]


@EVERY_WAY
@pytest.mark.parametrize("count", [1, 3])
def test_an_account_that_vanishes_near_a_limit_keeps_its_authorization(way: Way, count: int) -> None:
    host = Host(GONE, account=GONE(OWN, ()), headers=BUSY)
    outcome, _ = read(way, host, way.posts(count))
    host.headers = {}
    calm, _ = read(way, host, way.posts(count))

    assert outcome.error is None
    assert all(reading.doubtful for reading in outcome.readings)
    assert isinstance(calm.error, Reauthorize)


# Ids and ages


@pytest.mark.parametrize("message", [NO_FIELD, f"{NO_FIELD} on node type (Video)"])
def test_a_bare_id_is_asked_for_in_the_pages_form(message: str) -> None:
    bare = [replace(one, platform_post_id=str(one.id)) for one in FACEBOOK_PAGE.posts(3)]
    host = Host(only(refuses(100, message), "1", "3", others=only(GONE, "2")))

    outcome, calls = read(FACEBOOK_PAGE, host, bare)

    assert outcome.answers == dict.fromkeys((1, 2, 3), Answer.READ)
    assert len(calls.sent) == 2


def test_a_bare_id_that_neither_form_knows_is_missing() -> None:
    post, other = FACEBOOK_PAGE.posts(2)
    bare = replace(post, platform_post_id="77")

    outcome, _ = read(FACEBOOK_PAGE, Host(only(GONE, "77", f"{OWN}_77")), [bare, other])

    assert outcome.answers == {1: Answer.MISSING, 2: Answer.READ}


@INSTAGRAM_WAYS
@pytest.mark.parametrize(
    ("told", "product", "age", "answer"),
    [
        ("STORY", "STORY", 25, Answer.WINDOW_CLOSED),
        (None, "STORY", 25, Answer.WINDOW_CLOSED),
        ("IMAGE", "STORY", 25, Answer.WINDOW_CLOSED),
        ("STORY", "STORY", 23, Answer.UNAVAILABLE),
        ("IMAGE", "FEED", 25, Answer.UNAVAILABLE),
    ],
)
def test_a_story_without_insights_is_over_after_a_day(
    way: Way, told: str | None, product: str, age: int, answer: Answer
) -> None:
    others = way.posts(3)[1:]
    (odd,) = way.posts(1, media_type=told, created_at=NOW - timedelta(hours=age))
    host = Host(only(refuses(100, NO_FIELD), "1"), kinds={"1": product})

    for posts in ([odd, *others], [odd]):
        outcome, _ = read(way, host, posts)

        assert outcome.error is None
        assert outcome.answers == {post.id: answer if post is odd else Answer.READ for post in posts}


# Metrics


@EVERY_WAY
@pytest.mark.parametrize(
    "message",
    [
        RETIRED,
        "(#100) The metric {} is not supported for this media type",
        "A métrica {} não é compatível com este tipo de mídia",
    ],
    ids=["retired", "unsupported", "in Portuguese"],
)
@pytest.mark.parametrize("count", [1, 25], ids=["one of many", "all"])
def test_a_refused_metric_is_left_out_and_the_others_are_kept(way: Way, message: str, count: int) -> None:
    metric = way.metrics[-2]
    odd = {way.id_of(number) for number in range(1, count + 1)}

    def answers(one: str, metrics: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
        if one in odd and metric in metrics:
            return refuses(100, message.format(metric))(one, metrics)
        return numbers(one, metrics)

    outcome, calls = read(way, Host(answers), way.posts(25))

    assert set(outcome.answers.values()) == {Answer.READ}
    for reading in outcome.readings:
        lost = reading.publication_id <= count
        assert (metric in reading.metrics) is not lost
        assert set(way.metrics) - {metric} <= set(reading.metrics)
        assert reading.missing == ((metric,) if lost and count == 1 else ())
    assert len(calls.sent) <= 15


# Few viewers, in any language


@INSTAGRAM_WAYS
@pytest.mark.parametrize("told", ["STORY", None])
def test_a_story_with_few_viewers_is_no_missing_permission(way: Way, told: str | None) -> None:
    (story,) = way.posts(1, media_type=told, created_at=NOW - timedelta(hours=5))
    host = Host(only(refuses(10, PORTUGUESE_FEW), "1"), frozenset(way.scopes), kinds={"1": "STORY"})

    beside, _ = read(way, host, [story, *way.posts(3)[1:]])
    alone, _ = read(way, host, [story])

    assert beside.answers == {1: Answer.UNAVAILABLE, 2: Answer.READ, 3: Answer.READ}
    assert alone.answers == {1: Answer.UNAVAILABLE}
    assert alone.error is None


@INSTAGRAM_WAYS
@pytest.mark.parametrize("kind", ["STORY", "IMAGE"])
def test_a_missing_permission_is_told_from_few_viewers_in_any_language(way: Way, kind: str) -> None:
    posts = way.posts(3, media_type=kind, created_at=NOW - timedelta(hours=5))
    left = frozenset(way.scopes[1:])

    outcome, _ = read(way, Host(refuses(10, "(#10) Sem autorização"), left), posts, scopes=left)

    assert isinstance(outcome.error, Reauthorize)
    assert outcome.error.missing_scope == way.scopes[0]
