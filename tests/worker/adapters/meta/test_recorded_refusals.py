"""Refusals of Meta as others recorded them: our application, a permission, or a story with few viewers."""

from datetime import timedelta

import httpx
import pytest

from tests.worker.adapters.meta.graph_harness import error
from tests.worker.adapters.meta.graph_platform import (
    FACEBOOK_LOGIN,
    FACEBOOK_PAGE,
    INSTAGRAM_LOGIN,
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
from tests.worker.adapters.meta.test_wordings import BLOCKED, DEACTIVATED, NO_SCOPE, NOT_ALLOWED, ON_BEHALF
from tests.worker.adapters.support import NOW, reply
from worker.errors import Misconfigured, Reauthorize
from worker.readings import Answer

EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.label)
INSTAGRAM_WAYS = pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.label)
PORTUGUESE_FEW = "(#10) Não há visualizadores suficientes para mostrar insights"


# Our application


@EVERY_WAY
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("message", [BLOCKED, DEACTIVATED])
def test_blocked_application_is_misconfigured(way: Way, status: int, message: str) -> None:
    refused = error(200, message)
    whole, _ = read(way, lambda _: reply(refused, status), way.posts(3))
    each, _ = read(way, Host(refuses(200, message, status=status)), way.posts(3))
    single, _ = read(way, Host(refuses(200, message, status=status)), way.posts(1))

    for outcome in (whole, each, single):
        assert isinstance(outcome.error, Misconfigured)
        assert outcome.readings == ()


@EVERY_WAY
def test_call_without_its_proof_is_misconfigured(way: Way) -> None:
    message = "(#100) Pages Public Content Access requires either app secret proof or an app token"

    outcome, _ = read(way, Host(refuses(100, message)), way.posts(3))

    assert isinstance(outcome.error, Misconfigured)


# Permissions


@pytest.mark.parametrize("way", [FACEBOOK_PAGE, FACEBOOK_LOGIN], ids=lambda way: way.label)
@pytest.mark.parametrize("named", [True, False], ids=["permissions named", "not named"])
@pytest.mark.parametrize("count", [1, 3])
def test_object_hidden_by_a_missing_permission_names_it(
    way: Way,
    count: int,
    named: bool,
) -> None:
    granted = frozenset(way.scopes) - {"pages_read_engagement"} if named else None

    outcome, _ = read(way, Host(refuses(100, NO_SCOPE), granted), way.posts(count))

    assert isinstance(outcome.error, Reauthorize)
    assert outcome.error.missing_scope == "pages_read_engagement"
    assert "pages_read_engagement" in str(outcome.error)


@pytest.mark.parametrize("way", [FACEBOOK_PAGE, FACEBOOK_LOGIN], ids=lambda way: way.label)
def test_named_permission_that_is_granted_is_not_blamed(way: Way) -> None:
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
def test_every_required_permission_is_checked(
    way: Way, lacking: frozenset[str], answers: Answers, count: int
) -> None:
    left = frozenset(way.scopes) - lacking
    stored = left | {"public_profile"}
    hosts = {"named by the host": (Host(answers, left), frozenset(way.scopes))}
    hosts |= {"named at the connection": (Host(answers), stored)}
    if way is INSTAGRAM_LOGIN:
        del hosts["named by the host"]  # graph.instagram.com does not name them

    for host, scopes in hosts.values():
        outcome, _ = read(way, host, way.posts(count), scopes=scopes)

        assert isinstance(outcome.error, Reauthorize)
        assert outcome.readings == ()
        for scope in way.scopes:
            assert (scope in str(outcome.error)) is (scope in lacking)


@EVERY_WAY
def test_empty_data_with_all_permissions_is_unavailable(way: Way) -> None:
    outcome, calls = read(way, Host(empty, frozenset(way.scopes)), way.posts(3))

    assert set(outcome.answers.values()) == {Answer.UNAVAILABLE}
    assert outcome.error is None
    assert len(calls.sent) <= 2


@EVERY_WAY
@pytest.mark.parametrize("code", [10, 200])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("named", [True, False], ids=["permissions named", "not named"])
def test_refusal_to_act_for_the_owner_names_no_permission(
    way: Way,
    code: int,
    count: int,
    named: bool,
) -> None:
    host = Host(refuses(code, ON_BEHALF), frozenset(way.scopes) if named else None)

    outcome, _ = read(way, host, way.posts(count))

    assert isinstance(outcome.error, Reauthorize)
    assert outcome.error.missing_scope is None
    assert not any(scope in str(outcome.error) for scope in way.scopes)


@EVERY_WAY
def test_post_refused_alone_for_the_owner_is_not_missing(way: Way) -> None:
    host = Host(only(refuses(200, ON_BEHALF), way.id_of(2)))

    outcome, _ = read(way, host, way.posts(3))

    assert outcome.answers == {1: Answer.READ, 2: Answer.UNREADABLE, 3: Answer.READ}


@pytest.mark.parametrize("way", [FACEBOOK_PAGE, FACEBOOK_LOGIN], ids=lambda way: way.label)
def test_denied_batch_checks_the_granted_permissions(way: Way) -> None:
    numbers_host = Host(numbers, frozenset(way.scopes[:-1]))

    def host(request: httpx.Request) -> httpx.Response:
        return reply(error(10, NOT_ALLOWED), 403) if request.method == "POST" else numbers_host(request)

    outcome, _ = read(way, host, way.posts(3))

    assert isinstance(outcome.error, Reauthorize)
    assert outcome.error.missing_scope == way.scopes[-1]


# Few viewers, in any language


@INSTAGRAM_WAYS
@pytest.mark.parametrize("media_type", ["STORY", None])
def test_story_with_few_viewers_is_no_missing_permission(way: Way, media_type: str | None) -> None:
    (story,) = way.posts(1, media_type=media_type, created_at=NOW - timedelta(hours=5))
    host = Host(only(refuses(10, PORTUGUESE_FEW), "1"), frozenset(way.scopes), kinds={"1": "STORY"})

    beside, _ = read(way, host, [story, *way.posts(3)[1:]])
    alone, _ = read(way, host, [story])

    assert beside.answers == {1: Answer.UNAVAILABLE, 2: Answer.READ, 3: Answer.READ}
    assert alone.answers == {1: Answer.UNAVAILABLE}
    assert alone.error is None


@INSTAGRAM_WAYS
@pytest.mark.parametrize("kind", ["STORY", "IMAGE"])
def test_missing_permission_differs_from_few_viewers_in_any_language(way: Way, kind: str) -> None:
    posts = way.posts(3, media_type=kind, created_at=NOW - timedelta(hours=5))
    left = frozenset(way.scopes[1:])

    outcome, _ = read(way, Host(refuses(10, "(#10) Sem autorização"), left), posts, scopes=left)

    assert isinstance(outcome.error, Reauthorize)
    assert outcome.error.missing_scope == way.scopes[0]


# What decides between the post and the account


@EVERY_WAY
def test_denied_single_post_is_missing_only_with_all_permissions(way: Way) -> None:
    denied = refuses(10, NOT_ALLOWED, status=403)
    granted = frozenset(way.scopes)
    stored, _ = read(way, Host(denied), way.posts(1), scopes=granted)

    assert isinstance(stored.error, Reauthorize), "what was granted once may have been withdrawn"
    if way is not INSTAGRAM_LOGIN:
        outcome, _ = read(way, Host(denied, granted), way.posts(1))
        assert outcome.answers == {1: Answer.MISSING}


@EVERY_WAY
def test_empty_data_beside_numbers_checks_no_permission(way: Way) -> None:
    outcome, _ = read(way, Host(only(empty, way.id_of(2)), frozenset()), way.posts(2))

    assert outcome.answers == {1: Answer.READ, 2: Answer.UNAVAILABLE}


@INSTAGRAM_WAYS
def test_story_refused_like_other_media_is_not_few_viewers(way: Way) -> None:
    posts = [*way.posts(1, media_type="STORY", created_at=NOW - timedelta(hours=5)), way.posts(2)[1]]

    outcome, _ = read(way, Host(refuses(10, PORTUGUESE_FEW), frozenset(way.scopes)), posts)

    assert isinstance(outcome.error, Reauthorize)
    assert outcome.readings == ()


@INSTAGRAM_WAYS
def test_story_refused_for_a_permission_in_english_is_not_few_viewers(way: Way) -> None:
    posts = way.posts(1, media_type="STORY", created_at=NOW - timedelta(hours=5))

    outcome, _ = read(way, Host(refuses(10, NOT_ALLOWED)), posts)

    assert isinstance(outcome.error, Reauthorize)
