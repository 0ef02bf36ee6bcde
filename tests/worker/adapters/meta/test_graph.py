"""What both of Meta's adapters share: what ends a read, batches, the proof, values."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from shared.vocabulary import PauseKind
from tests.worker.adapters.meta.graph_harness import TOKEN, error, graph
from tests.worker.adapters.support import NOW, reply, upstream
from worker.adapters.meta.errors import Meaning, Refusal
from worker.adapters.meta.graph import proof
from worker.adapters.meta.nodes import Nodes
from worker.adapters.meta.readings import rows
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain

GONE = (
    "Unsupported get request. Object with ID '1' does not exist, cannot be loaded due to missing permissions"
)


@pytest.mark.parametrize(
    ("refused", "raised", "words"),
    [
        (error(190, "Session has expired", error_subcode=463), Reauthorize, "expired"),
        (error(190, "x", error_subcode=460), Reauthorize, "password"),
        (error(190, "x", error_subcode=458), Reauthorize, "removed the app"),
        (error(190, "Cannot parse access token"), Reauthorize, "kind of login"),
        (error(9009), Reauthorize, "restricted"),
        (error(100, "requires an appsecret_proof argument"), Misconfigured, "secret"),
        (error(2, "try later"), TryAgain, "temporary"),
        (error(368), Paused, "blocked"),
    ],
)
def test_account_error_is_raised_without_quoting_the_platform(
    refused: dict[str, Any], raised: type[RefreshError], words: str
) -> None:
    refused["error"]["message"] += f" access_token={TOKEN} fbtrace"
    way = upstream(lambda _: reply(refused, 400), now=NOW)

    with pytest.raises(raised) as caught:
        graph(way).get("1", {"fields": "id"}, endpoint="insights")

    assert words in str(caught.value)
    assert TOKEN not in f"{caught.value!r}{vars(caught.value)}"
    assert not isinstance(caught.value, Reauthorize) or not caught.value.renewable


def test_block_pauses_for_long_and_alerts_operators() -> None:
    way = upstream(lambda _: reply(error(368), 400), now=NOW)

    with pytest.raises(Paused) as caught:
        graph(way).get("1", {}, endpoint="insights")

    assert caught.value.stop is PauseKind.BLOCKED
    assert caught.value.until >= NOW + timedelta(hours=12)


def test_permission_that_was_declined_is_missing() -> None:
    listed = [
        {"permission": "read_insights", "status": "declined"},
        {"permission": "pages_show_list", "status": "granted"},
    ]
    way = upstream(lambda _: reply({"data": listed}), now=NOW)

    opened = graph(way, scopes=("read_insights", "pages_show_list"))

    assert opened.missing_scopes() == ("read_insights",)


@pytest.mark.parametrize(
    ("body", "raised"),
    [
        (error(100, GONE, error_subcode=33), Reauthorize),
        (error(10, "(#10) Application does not have permission"), Reauthorize),
        (error(1_234, "Something new"), TryAgain),
        (error(None, "404 page not found"), TryAgain),
    ],
)
def test_account_is_lost_only_where_the_platform_says_so(
    body: dict[str, Any], raised: type[RefreshError]
) -> None:
    with pytest.raises(raised):
        graph(
            upstream(lambda _: reply(body, 404 if body["error"]["code"] is None else 400), now=NOW)
        ).require_account()


def test_used_shares_of_each_answer_are_reported_and_the_highest_one_is_near_the_limit() -> None:
    shares = iter([79, 80, 10])
    way = upstream(lambda _: reply({}, 200, {"x-app-usage": f'{{"call_count": {next(shares)}}}'}), now=NOW)
    opened = graph(way)

    near = []
    for _ in range(3):
        opened.get("1", {}, endpoint="insights")
        near.append(opened.near_limit)

    assert [one.used_percent for one in way.limits] == [79, 80, 10]
    assert near == [False, True, True]


def test_form_that_was_accepted_once_is_not_refused_later_in_the_job() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("ids") == "2":
            return reply(error(1_234, "Something new"), 400)
        return reply({"1": {"id": "1"}})

    way = upstream(answer, now=NOW)
    nodes = Nodes(graph(way))

    assert nodes.request(["1"], ["id"], endpoint="insights") == {"1": {"id": "1"}}
    assert isinstance(nodes.request(["2"], ["id"], endpoint="insights"), Refusal)
    assert (nodes.singly, len(way.sent)) == (False, 2)


# Batches


def test_batch_answers_keep_their_order() -> None:
    bodies = [
        {"code": 200, "body": '{"data": []}'},
        {"code": 400, "body": json.dumps(error(100, GONE))},
        None,
    ]
    way = upstream(lambda _: reply(bodies))

    answers, ending = graph(way).batch(["1/insights", "2/insights", "3/insights"], endpoint="insights")

    assert ending is None
    assert answers[0] == {"data": []}
    assert isinstance(answers[1], Refusal)
    assert answers[1].meaning is Meaning.MISSING
    assert answers[2] is None
    assert way.sent[0].cost == 3


@pytest.mark.parametrize(
    "item",
    [
        {"code": 200},
        {"code": 200, "body": None},
        {"code": 200, "body": "[]"},
        {"code": 200, "body": '{"data": NaN}'},
        {"code": "200", "body": "{}"},
        {"body": "{}"},
        "text",
        [],
        7,
    ],
)
def test_unreadable_item_does_not_affect_its_sibling(item: object) -> None:
    way = upstream(lambda _: reply([item, {"code": 200, "body": "{}"}]))

    (first, second), ending = graph(way).batch(["1", "2"], endpoint="insights")

    assert first is None or (isinstance(first, Refusal) and first.meaning is Meaning.TRANSIENT)
    assert second == {}
    assert ending is None


@pytest.mark.parametrize(
    ("status", "body", "raised"),
    [
        (200, [], TryAgain),
        (200, [None], TryAgain),
        (200, {"data": []}, TryAgain),
        (200, "<html>", TryAgain),
        (500, "", TryAgain),
        (400, error(190), Reauthorize),
        (403, error(10), Reauthorize),
        (400, error(100, "param batch must be an array."), Misconfigured),
        (400, {"error": {"message": "Maximum batch size is 50", "type": "GraphBatchException"}}, TryAgain),
        (404, {}, TryAgain),
    ],
)
def test_refused_batch_raises_its_meaning(status: int, body: object, raised: type[RefreshError]) -> None:
    way = upstream(lambda _: reply(body, status), now=NOW)

    with pytest.raises(raised) as caught:
        graph(way).batch(["1", "2"], endpoint="insights")

    assert not isinstance(caught.value, TryAgain) or caught.value.breaks is (status >= 500)


def test_transient_error_of_all_items_is_raised_and_of_one_is_not() -> None:
    trouble = {"code": 500, "body": json.dumps(error(2))}
    good = {"code": 200, "body": "{}"}

    with pytest.raises(TryAgain) as caught:
        graph(upstream(lambda _: reply([trouble, trouble]))).batch(["1", "2"], endpoint="insights")
    answers, ending = graph(upstream(lambda _: reply([trouble, good]))).batch(["1", "2"], endpoint="insights")

    assert caught.value.breaks
    assert isinstance(answers[0], Refusal)
    assert ending is None


# Tokens


def test_proof_equals_the_documented_one() -> None:
    secret = SecretStr("0123456789abcdef0123456789abcdef")
    expected = "9c1152c99cda7c8617c2b4b8a5a37aa21e1a2ff7cdba69f3f41155434f946f85"

    assert proof(secret, SecretStr(TOKEN)) == expected


@pytest.mark.parametrize("facebook_login", [True, False])
def test_proof_is_sent_to_graph_facebook_com_only_and_no_token_in_a_url(
    facebook_login: bool,
) -> None:
    way = upstream(lambda request: reply([None] if request.method == "POST" else {}))
    talk = graph(way, facebook_login=facebook_login, app_secret=SecretStr("secret"))

    talk.get("1", {"fields": "id"}, endpoint="insights")
    talk.batch(["1"], endpoint="insights")

    for call in way.sent:
        assert ("appsecret_proof=" in call.url) is facebook_login
        assert TOKEN not in call.url
        assert TOKEN in str(call.headers if call.method == "GET" else call.form)


# Values


@pytest.mark.parametrize(
    ("edge", "read"),
    [
        ({"data": []}, {}),
        ({"data": [{"name": "a", "values": [{"value": 5}]}]}, {"a": 5}),
        ({"data": [{"name": "a", "total_value": {"value": 5}}]}, {"a": 5}),
        ({"data": [{"name": "a", "values": []}]}, {"a": None}),
        ({"data": [{"name": "a", "period": "day", "values": [{"value": 5}]}]}, {}),
        ({"data": [{"name": "a", "values": [{"value": 5}]}, {"name": "a", "values": [{"value": 6}]}]}, {}),
        ({"data": [{"name": 7}, "text", None]}, {}),
        ({"data": {}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_insights_edge_is_parsed_by_name(edge: object, read: object) -> None:
    assert rows(edge) == read
