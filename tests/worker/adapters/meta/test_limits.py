"""What Meta says of its limits, in headers and refusals."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.vocabulary import BucketKind
from tests.worker.adapters.meta.graph_harness import OWN, error, graph
from tests.worker.adapters.support import NOW, PlainResponse, reply, upstream
from worker.adapters.meta.limits import limits
from worker.errors import Paused
from worker.readings import Limit

BUC = "X-Business-Use-Case-Usage"


def usage(calls: object, minutes: object = 0, kind: str = "pages") -> dict[str, object]:
    expected = {"type": kind, "call_count": calls, "total_cputime": 1, "total_time": 2}
    return expected | {"estimated_time_to_regain_access": minutes}


@pytest.mark.parametrize(
    ("headers", "expected"),
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
        ({BUC: {OWN: [usage(5, 1441)]}}, [(BucketKind.ACCOUNT, 5, 0)]),
        ({BUC: {OWN: [usage(5, 1441), usage(6, 30)]}}, [(BucketKind.ACCOUNT, 6, 30)]),
        ({BUC: {OWN: [usage(5, -3)]}}, [(BucketKind.ACCOUNT, 5, 0)]),
        ({BUC: {OWN: [usage("many", "soon")]}}, [(BucketKind.ACCOUNT, 2, 0)]),
        (
            {BUC: {OWN: [{"type": "pages", "estimated_time_to_regain_access": 30}]}},
            [(BucketKind.ACCOUNT, None, 30)],
        ),
        ({BUC: {OWN: usage(5)}}, []),
        ({BUC: [usage(5)]}, []),
        ({BUC: "{", "X-App-Usage": "NaN"}, []),
    ],
)
def test_usage_headers_become_limits(
    headers: dict[str, Any], expected: list[tuple[BucketKind, int | None, int]]
) -> None:
    plain = {name: value if isinstance(value, str) else json.dumps(value) for name, value in headers.items()}
    answer = PlainResponse(httpx.Response(200, headers=plain), NOW)

    assert limits(answer, OWN, "pages") == [
        Limit(
            kind,
            None,
            used_percent=percent,
            resets_at=NOW + timedelta(minutes=minutes) if minutes else None,
        )
        for kind, percent, minutes in expected
    ]


@pytest.mark.parametrize(
    ("code", "status", "headers", "kind", "wait", "escalated"),
    [
        (80001, 400, {BUC: json.dumps({OWN: [usage(100, 17)]})}, BucketKind.ACCOUNT, 17 * 60, None),
        (
            80001,
            400,
            {BUC: json.dumps({OWN: [usage(100, 17)]}), "Retry-After": "90"},
            BucketKind.ACCOUNT,
            17 * 60,
            None,
        ),
        (80001, 400, {"Retry-After": "90"}, BucketKind.ACCOUNT, 90, None),
        (613, 400, {}, BucketKind.ACCOUNT, 900, 3600),
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
def test_throttle_pauses_the_bucket_that_it_names_for_as_long_as_it_says(
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

    assert (caught.value.kind, caught.value.endpoint) == (kind, "insights" if code == 613 else None)
    assert caught.value.until == NOW + timedelta(seconds=wait)
    until = caught.value.escalates_until
    assert until == (NOW + timedelta(seconds=escalated) if escalated else None)


def test_retry_after_date_is_on_the_platforms_clock() -> None:
    ahead = {"Date": "Mon, 23 Nov 2026 10:00:00 GMT", "Retry-After": "Mon, 23 Nov 2026 10:02:00 GMT"}
    way = upstream(lambda _: reply(b"", 429, ahead), now=datetime(2026, 11, 23, 9, 0, tzinfo=UTC))

    with pytest.raises(Paused) as caught:
        graph(way).get("1", {}, endpoint="insights")

    assert caught.value.until == NOW + timedelta(minutes=2)
