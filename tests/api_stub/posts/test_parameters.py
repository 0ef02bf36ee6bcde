"""Query parameters: which values are accepted, and that an error says what is allowed."""

import time
from datetime import UTC, datetime

import pytest

from api_stub.http.errors import ApiError
from api_stub.posts.instants import Range, parse_range
from api_stub.posts.parameters import parse_posts
from tests.api_stub.support import CREATED_AT, POSTS, Api

DAY = "2026-06-23"


@pytest.mark.parametrize(
    ("from_date", "to_date", "expected"),
    [
        (DAY, DAY, ["first", "noon", "last"]),
        ("2026-06-23T00:00:00Z", None, ["first", "noon", "last", "after"]),
        (None, "2026-06-23T23:59:59.999999Z", ["before", "first", "noon", "last"]),
        (None, "2026-06-23T23:59:59.999998", ["before", "first", "noon"]),
        ("2026-06-23T12:00:00", "2026-06-23T12:00:00", ["noon"]),
        ("2026-06-23T14:00:00+02:00", "2026-06-23T14:00:00+02:00", ["noon"]),
        ("2026-06-23T05:00:00-07:00", "2026-06-23T12:00:00Z", ["noon"]),
        ("2026-06-24", None, ["after"]),
        (None, "9999-12-31", ["before", "first", "noon", "last", "after"]),
        ("0001-01-01", "2026-06-22", ["before"]),
    ],
)
def test_both_ends_of_a_range_are_included(
    api: Api, from_date: str | None, to_date: str | None, expected: list[str]
) -> None:
    instants = {
        "before": datetime(2026, 6, 22, 23, 59, 59, 999999, UTC),
        "first": datetime(2026, 6, 23, tzinfo=UTC),
        "noon": datetime(2026, 6, 23, 12, tzinfo=UTC),
        "last": datetime(2026, 6, 23, 23, 59, 59, 999999, UTC),
        "after": datetime(2026, 6, 24, tzinfo=UTC),
    }
    for name, instant in instants.items():
        api.rows.publication(post_id=name, created_at=instant)
    given = {"fromDate": from_date, "toDate": to_date}

    page = api.posts(**{name: value for name, value in given.items() if value})

    assert [item["post_id"] for item in reversed(page["items"])] == expected
    assert page["total"] == len(expected)


def test_instant_of_64_characters_of_ascii_is_accepted_and_no_other() -> None:
    instant = "2026-06-23T10:15:30.5".ljust(63, "0") + "Z"
    expected = datetime(2026, 6, 23, 10, 15, 30, 500_000, UTC)

    assert parse_range(instant, None) == Range(expected, None)
    for wrong in (instant[:-1] + "0Z", DAY + "\N{SNOWMAN}10:15:30Z"):
        with pytest.raises(ApiError, match="must be an ISO 8601 date"):
            parse_range(None, wrong)


def test_space_between_date_and_time_is_no_unescaped_plus() -> None:
    assert parse_range("2026-06-23 10:15", None).start == datetime(2026, 6, 23, 10, 15, tzinfo=UTC)


def test_instant_without_offset_is_utc_wherever_the_service_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        start = parse_range("2026-06-23T10:15:30", None).start
    time.tzset()

    assert start == datetime(2026, 6, 23, 10, 15, 30, tzinfo=UTC)


def test_unescaped_plus_in_an_offset_is_accepted(api: Api) -> None:
    api.rows.publication(created_at=CREATED_AT)

    answer = api.get(f"{POSTS}?fromDate=2026-06-23T12:15:30+02:00&toDate=2026-06-23T12:15:30+02:00")

    assert answer.json()["total"] == 1


@pytest.mark.parametrize(
    ("query", "parameter", "message"),
    [
        ("platform=myspace", "platform", "instagram, facebook, x, linkedin, tiktok"),
        ("platform=", "platform", "instagram"),
        ("postId=", "postId", "1 to 512"),
        ("postId=a%00b", "postId", "NUL"),
        (f"accountId={'a' * 513}", "accountId", "1 to 512"),
        ("fromDate=yesterday", "fromDate", "2026-06-23T10:15:30Z"),
        ("fromDate=", "fromDate", "2026-06-23T10:15:30Z"),
        ("fromDate=2026-02-30", "fromDate", "2026-06-23T10:15:30Z"),
        ("toDate=2026-W26", "toDate", "2026-06-23T10:15:30Z"),
        ("toDate=2026-06-23T10:15:30%2B99:00", "toDate", "2026-06-23T10:15:30Z"),
        ("toDate=0001-01-01T00:00:00%2B14:00", "toDate", "2026-06-23T10:15:30Z"),
        ("toDate=2016-12-31T23:59:60Z", "toDate", "leap second"),
        ("fromDate=2026-06-24&toDate=2026-06-23", "fromDate", "after toDate"),
        ("fromDate=2026-06-23T12:00:01Z&toDate=2026-06-23T12:00:00Z", "fromDate", "after toDate"),
        ("refresh=yes", "refresh", "true, false, 1 or 0"),
        ("refresh=", "refresh", "true, false, 1 or 0"),
        ("page=0", "page", "from 1"),
        ("page=-1", "page", "from 1"),
        ("page=1.0", "page", "whole number"),
        ("page=%D9%A1", "page", "whole number"),
        ("page=1000000001", "page", "from 1"),
        ("page=99999999999999999999", "page", "from 1"),
        ("limit=0", "limit", "1 to 100"),
        ("limit=101", "limit", "1 to 100"),
        ("limit=ten", "limit", "1 to 100"),
        ("page=1&page=2", "page", "once"),
        ("post_id=p", "post_id", "unknown parameter post_id; did you mean postId?"),
        ("accountid=p", "accountid", "unknown parameter accountid; did you mean accountId?"),
        ("platfrom=x", "platfrom", "unknown parameter platfrom; did you mean platform?"),
        ("from=2026-06-23", "from", "unknown parameter from; did you mean fromDate?"),
        ("pge=2", "pge", "unknown parameter pge; did you mean page?"),
        ("offset=3", "offset", "did you mean "),
        ("p%00%0age=2", "p\0\nge", "unknown parameter p\ufffd\ufffdge; did you mean page?"),
    ],
)
def test_invalid_parameter_is_named_with_what_is_allowed(
    api: Api, query: str, parameter: str, message: str
) -> None:
    refusal = api.refused(f"{POSTS}?{query}")

    assert refusal["status"] == 400
    assert refusal["parameter"] == parameter
    assert message in refusal["message"]
    assert "".join(c if c.isprintable() else "\ufffd" for c in parameter) in refusal["message"]
    assert set(refusal) == {"status", "code", "message", "parameter"}


@pytest.mark.parametrize("query", ["postId=%ff", "postId=%ed%a0%80", "&".join(f"p{n}=1" for n in range(101))])
def test_query_string_that_is_not_utf8_is_refused(api: Api, query: str) -> None:
    refusal = api.refused(f"{POSTS}?{query}")

    assert (refusal["status"], refusal["code"]) == (400, "invalid_query")
    assert "parameter" not in refusal


@pytest.mark.parametrize("value", ["true", "1", "false", "0"])
def test_refresh_accepts_four_spellings(api: Api, value: str) -> None:
    assert api.posts(refresh=value)["total"] == 0


def test_page_after_the_last_one_is_empty_with_the_total(api: Api) -> None:
    api.rows.publication()

    page = api.posts(page=1_000_000_000, limit=100)

    assert (page["items"], page["total"], page["overview"]) == ([], 1, {"posts": 0, "metrics": {}})


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/analytics/post", 404, "not_found"),
        ("GET", "/v1/analytics/posts/", 404, "not_found"),
        ("POST", POSTS, 405, "method_not_allowed"),
        ("OPTIONS", POSTS, 405, "method_not_allowed"),
    ],
)
def test_unknown_path_and_method_have_the_same_error_form(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    answer = api.run(api.client.request(method, path))

    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert status != 405 or "GET" in answer.headers["Allow"]


def test_parameters_that_are_left_out_have_their_defaults() -> None:
    query = parse_posts(b"")

    assert (query.page, query.limit, query.refresh, query.include) == (1, 25, False, frozenset())
    filters = query.filters
    assert (filters.post_id, filters.account_id, filters.platform, filters.created) == (
        *(None, None, None),
        Range(None, None),
    )


def test_every_parameter_is_parsed() -> None:
    query = parse_posts(b"postId=p&accountId=a&platform=x&refresh=true&page=3&limit=7&include=freshness")

    assert (query.page, query.limit, query.refresh, query.include) == (3, 7, True, frozenset({"freshness"}))
    assert (query.filters.post_id, query.filters.account_id, query.filters.platform) == ("p", "a", "x")
