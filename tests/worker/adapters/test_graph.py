"""What both of Meta's adapters share: the error table, limit headers, batches, the proof."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.support import NOW, PlainResponse, account, reply, upstream
from worker.adapters.graph import Graph, proof
from worker.adapters.graph_errors import Meaning, Refusal, named_metrics, refusal
from worker.adapters.graph_limits import limits
from worker.adapters.graph_readings import rows
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Limit

OWN = "1000"
TOKEN = "EAAtesttoken123"
METRICS = ("views", "reach", "likes", "comments", "shares", "saved", "total_interactions")


def error(code: int | None, message: str = "", **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": "OAuthException", **more}}


GONE = (
    "Unsupported get request. Object with ID '1' does not exist, cannot be loaded due to missing permissions"
)
TABLE: list[tuple[int, object, Meaning, str]] = [
    (200, None, Meaning.TRANSIENT, "no JSON"),
    (502, None, Meaning.TRANSIENT, "no JSON with a 5xx"),
    (302, {}, Meaning.TRANSIENT, "a redirect"),
    (429, None, Meaning.LIMITED, "an empty 429"),
    (403, error(4, is_transient=True), Meaning.LIMITED, "a limit comes before its transient flag"),
    *((400, error(code), Meaning.LIMITED, f"limit {code}") for code in (17, 32, 341, 613, 80000, 80014)),
    (400, error(80015), Meaning.OTHER, "no limit"),
    (400, error(4, error_subcode=2108006), Meaning.PRE_BUSINESS, "not a limit with this subcode"),
    (400, error(190), Meaning.DEAD_TOKEN, "a bad token"),
    (401, error(102), Meaning.DEAD_TOKEN, "a bad session"),
    *((400, error(1, error_subcode=sub), Meaning.DEAD_TOKEN, f"subcode {sub}") for sub in (458, 463, 492)),
    (400, error(100, "Invalid appsecret_proof provided"), Meaning.MISCONFIGURED, "a wrong proof"),
    (400, error(2500, "Unknown path components"), Meaning.MISCONFIGURED, "an unknown version"),
    (400, error(100, "…", error_subcode=2108006), Meaning.PRE_BUSINESS, "before conversion, any language"),
    (400, error(10, "(#10) Not enough viewers for the media"), Meaning.FEW_VIEWERS, "few viewers"),
    (400, error(10, "(#10) Application does not have permission"), Meaning.DENIED, "no permission"),
    (400, error(100, "metric[2] must be one of the following values: a"), Meaning.UNSUPPORTED_METRIC, "i"),
    (400, error(100, "(#100) The value must be a valid insights metric"), Meaning.UNSUPPORTED_METRIC, "ii"),
    (
        400,
        error(100, "The API does not support the saved, likes metric for this media product type."),
        Meaning.UNSUPPORTED_METRIC,
        "iii",
    ),
    (400, error(3001, error_subcode=1504028), Meaning.UNSUPPORTED_METRIC, "no metric"),
    (400, error(100, GONE, error_subcode=33), Meaning.MISSING, "deleted"),
    (400, error(100, GONE, error_subcode=33, is_transient=True), Meaning.TRANSIENT, "said to be passing"),
    (400, error(803, "Some of the aliases do not exist: 1"), Meaning.MISSING, "unknown alias"),
    (404, {}, Meaning.MISSING, "a bare 404"),
    (
        400,
        error(100, "Tried accessing nonexisting field (insights) on node type (Video)"),
        Meaning.WRONG_NODE,
        "",
    ),
    (400, error(100, "Tried accessing nonexisting field (x) on node type (Video)"), Meaning.OTHER, "a field"),
    (400, error(100, "Invalid parameter"), Meaning.OTHER, "a parameter"),
    (403, error(200, "read_insights permission missing"), Meaning.DENIED, "a scope"),
    (403, error(299), Meaning.DENIED, "the last of the permission codes"),
    (400, error(3), Meaning.DENIED, "a capability"),
    (400, error(368), Meaning.BLOCKED, "a block"),
    (500, error(1, "Please reduce the amount of data you're asking for"), Meaning.TOO_LARGE, "too much"),
    (500, error(2), Meaning.TRANSIENT, "their trouble"),
    (400, error(-1), Meaning.TRANSIENT, "their trouble"),
    (400, error(None, is_transient=True), Meaning.TRANSIENT, "no code"),
    (503, error(77777), Meaning.TRANSIENT, "a 5xx"),
    (400, error(9009), Meaning.RESTRICTED, "restricted"),
    (400, error(77777), Meaning.OTHER, "unheard of"),
    (200, error(190), Meaning.DEAD_TOKEN, "an error in a 200"),
    (400, {"error": "text"}, Meaning.OTHER, "an odd envelope"),
    (400, {"error": {"code": True, "message": 5, "error_subcode": "33"}}, Meaning.OTHER, "wrong types"),
    (400, [], Meaning.OTHER, "a list"),
]


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [row[:3] for row in TABLE],
    ids=[f"{row[2].name}: {row[3]}" for row in TABLE],
)
def test_the_table_of_errors(status: int, body: object, meaning: Meaning) -> None:
    found = refusal(status, body)

    assert found is not None
    assert found.meaning is meaning


@pytest.mark.parametrize("body", [{}, {"data": []}, {"error": None}, []])
def test_a_success_is_no_refusal(body: object) -> None:
    assert refusal(200, body) is None


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (f"(#100) metric[2] must be one of the following values: {', '.join(METRICS)}", {"likes"}),
        (f"metric[0] must be one of the following values: {', '.join(METRICS[1:])}", {"views"}),
        ("metric[9] must be one of the following values: views", set()),
        ("does not support the saved, likes metric for this media product type", {"saved", "likes"}),
        ("does not support the plays metric for this media product type", set()),
        ("(#100) The value must be a valid insights metric", set()),
    ],
)
def test_metrics_are_named_by_place_or_name_never_by_the_list_of_good_ones(
    message: str, named: set[str]
) -> None:
    found = refusal(400, error(100, message))

    assert found is not None
    assert named_metrics(found, METRICS) == named


@pytest.mark.parametrize(
    ("refused", "raised", "words"),
    [
        (error(190, "Session has expired", error_subcode=463), Reauthorize, "expired"),
        (error(190, "x", error_subcode=460), Reauthorize, "password"),
        (error(190, "x", error_subcode=458), Reauthorize, "removed the app"),
        (error(190, "Cannot parse access token"), Reauthorize, "kind of login"),
        (error(9009), Reauthorize, "restricted"),
        (error(100, "requires an appsecret_proof argument"), Misconfigured, "secret"),
        (error(2, "try later"), TryAgain, "passing"),
        (error(368), Paused, "blocked"),
    ],
)
def test_what_concerns_an_account_is_raised_without_the_platforms_words(
    refused: dict[str, Any], raised: type[RefreshError], words: str
) -> None:
    refused["error"]["message"] += f" access_token={TOKEN} fbtrace"
    way = upstream(lambda _: reply(refused, 400), now=NOW)

    with pytest.raises(raised) as caught:
        graph(way).get("1", {"fields": "id"}, endpoint="insights")

    assert words in str(caught.value)
    assert TOKEN not in f"{caught.value!r}{vars(caught.value)}"
    assert not isinstance(caught.value, Reauthorize) or not caught.value.renewable


def test_a_block_is_long_and_calls_the_operators() -> None:
    way = upstream(lambda _: reply(error(368), 400), now=NOW)

    with pytest.raises(Paused) as caught:
        graph(way).get("1", {}, endpoint="insights")

    assert caught.value.operator_alert
    assert caught.value.until >= NOW + timedelta(hours=12)


# Limits

BUC = "X-Business-Use-Case-Usage"


def usage(calls: object, minutes: object = 0, kind: str = "pages") -> dict[str, object]:
    told = {"type": kind, "call_count": calls, "total_cputime": 1, "total_time": 2}
    return told | {"estimated_time_to_regain_access": minutes}


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, []),
        (
            {"x-app-usage": {"call_count": 28, "total_time": 25, "total_cputime": 31}},
            [(BucketKind.APP, 31, 0)],
        ),
        ({"X-Page-Usage": {"call_count": 85}}, [(BucketKind.ACCOUNT, 85, 0)]),
        ({BUC: {OWN: [usage(97)]}}, [(BucketKind.ACCOUNT, 97, 0)]),
        ({BUC: {OWN: [usage(104, 42)]}}, [(BucketKind.ACCOUNT, 104, 42)]),
        ({BUC: {"1": [usage(99)], OWN: [usage(3)]}}, [(BucketKind.ACCOUNT, 3, 0)]),
        ({BUC: {OWN: [usage(99, 9, "instagram"), usage(5)]}}, [(BucketKind.ACCOUNT, 5, 0)]),
        ({BUC: {"business": [usage(7)]}}, [(BucketKind.ACCOUNT, 7, 0)]),
        ({BUC: {OWN: [usage(5, 10**9)]}}, [(BucketKind.ACCOUNT, 5, 0)]),
        ({BUC: {OWN: [usage(5, -3)]}}, [(BucketKind.ACCOUNT, 5, 0)]),
        ({BUC: {OWN: [usage("many", "soon")]}}, [(BucketKind.ACCOUNT, 2, 0)]),
        ({BUC: {OWN: usage(5)}}, []),
        ({BUC: [usage(5)]}, []),
        ({BUC: "{", "X-App-Usage": "NaN"}, []),
    ],
)
def test_usage_headers(headers: dict[str, Any], told: list[tuple[BucketKind, int, int]]) -> None:
    plain = {name: value if isinstance(value, str) else json.dumps(value) for name, value in headers.items()}
    answer = PlainResponse(httpx.Response(200, headers=plain), NOW)

    assert limits(answer, OWN, "pages") == [
        Limit(
            kind,
            None,
            used_percent=percent,
            resets_at=NOW + timedelta(minutes=minutes) if minutes else None,
        )
        for kind, percent, minutes in told
    ]


@pytest.mark.parametrize(
    ("code", "status", "headers", "kind", "wait", "escalated"),
    [
        (80001, 400, {BUC: json.dumps({OWN: [usage(100, 17)]})}, BucketKind.ACCOUNT, 17 * 60, None),
        (80001, 400, {"Retry-After": "90"}, BucketKind.ACCOUNT, 90, None),
        (80001, 400, {}, BucketKind.ACCOUNT, 900, 3600),
        (80001, 400, {"Retry-After": "9" * 50}, BucketKind.ACCOUNT, 900, 3600),
        (32, 400, {}, BucketKind.ACCOUNT, 300, 3600),
        (4, 403, {}, BucketKind.APP, 300, 3600),
        (4, 403, {BUC: json.dumps({OWN: [usage(10, 17)]})}, BucketKind.APP, 300, 3600),
        (341, 400, {"Retry-After": "60"}, BucketKind.APP, 60, None),
        (None, 429, {}, BucketKind.ACCOUNT, 900, 3600),
        (None, 429, {"X-App-Usage": '{"call_count": 100}'}, BucketKind.APP, 900, 3600),
    ],
)
def test_a_throttle_parks_whom_it_names_for_as_long_as_it_says(
    code: int | None,
    status: int,
    headers: dict[str, str],
    kind: BucketKind,
    wait: int,
    escalated: int | None,
) -> None:
    body: object = b"" if code is None else error(code)
    way = upstream(lambda _: reply(body, status, headers), now=NOW)

    with pytest.raises(Paused) as caught:
        graph(way).get("1", {}, endpoint="insights")

    assert caught.value.kind is kind
    assert caught.value.until == NOW + timedelta(seconds=wait)
    until = caught.value.escalates_until
    assert until == (NOW + timedelta(seconds=escalated) if escalated else None)


def test_a_date_to_retry_after_is_on_the_platforms_clock() -> None:
    ahead = {"Date": "Mon, 23 Nov 2026 10:00:00 GMT", "Retry-After": "Mon, 23 Nov 2026 10:02:00 GMT"}
    way = upstream(lambda _: reply(b"", 429, ahead), now=datetime(2026, 11, 23, 9, 0, tzinfo=UTC))

    with pytest.raises(Paused) as caught:
        graph(way).get("1", {}, endpoint="insights")

    assert caught.value.until == NOW + timedelta(minutes=2)


# Batches


def graph(way: Any, **changes: Any) -> Graph:
    values: dict[str, Any] = {
        "upstream": way,
        "account": account(Platform.FACEBOOK, platform_account_id=OWN, access_token=SecretStr(TOKEN)),
        "platform": "Facebook",
        "host": "https://graph.facebook.com",
        "version": "v25.0",
        "product": "pages",
        "scopes": ("read_insights",),
        "facebook_login": True,
        "app_secret": None,
    }
    return Graph(**(values | changes))


def test_a_batch_is_taken_apart_in_order() -> None:
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
def test_an_item_that_cannot_be_read_is_no_answer_and_its_sibling_is_one(item: object) -> None:
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
def test_a_batch_that_is_refused_whole(status: int, body: object, raised: type[RefreshError]) -> None:
    way = upstream(lambda _: reply(body, status), now=NOW)

    with pytest.raises(raised) as caught:
        graph(way).batch(["1", "2"], endpoint="insights")

    assert not isinstance(caught.value, TryAgain) or caught.value.breaks is (status >= 500)


def test_a_trouble_with_all_items_is_the_platforms_and_with_one_the_items() -> None:
    trouble = {"code": 500, "body": json.dumps(error(2))}
    good = {"code": 200, "body": "{}"}

    with pytest.raises(TryAgain) as caught:
        graph(upstream(lambda _: reply([trouble, trouble]))).batch(["1", "2"], endpoint="insights")
    answers, ending = graph(upstream(lambda _: reply([trouble, good]))).batch(["1", "2"], endpoint="insights")

    assert caught.value.breaks
    assert isinstance(answers[0], Refusal)
    assert ending is None


# Tokens


def test_the_proof_is_the_vendors() -> None:
    secret = SecretStr("0123456789abcdef0123456789abcdef")
    told = "9c1152c99cda7c8617c2b4b8a5a37aa21e1a2ff7cdba69f3f41155434f946f85"

    assert proof(secret, SecretStr(TOKEN)) == told


@pytest.mark.parametrize("facebook_login", [True, False])
def test_the_proof_goes_to_graph_facebook_com_alone_and_the_token_into_no_url(
    facebook_login: bool,  # noqa: FBT001 - a pytest parameter
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
def test_an_insights_edge_is_read_by_name(edge: object, read: object) -> None:
    assert rows(edge) == read
