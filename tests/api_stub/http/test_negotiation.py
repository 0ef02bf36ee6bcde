"""Validators, links, compression and cross-origin headers of the read API's responses."""

import gzip
import json
import re

import httpx
import pytest
from starlette.requests import Request

from api_stub.http.negotiation import COMPRESSED_FROM, negotiated, page_links
from shared.settings import SettingsError, load
from tests.api_stub.support import POSTS, Api
from tests.api_stub.support import api as open_api

ORIGIN = "https://dashboard.example.com"
LARGE = {"text": "a" * COMPRESSED_FROM}


def request(query: bytes = b"", **headers: str) -> Request:
    """Return a request for posts."""
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": given, "query_string": query, "path": POSTS})


def test_unchanged_body_is_not_sent_again() -> None:
    first = negotiated(request(), LARGE)
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"

    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = negotiated(request(if_none_match=known), LARGE)
        assert (again.status_code, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert negotiated(request(if_none_match=tag), {**LARGE, "more": 1}).status_code == 200
    assert negotiated(request(if_none_match='"other"'), LARGE).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("br, GZIP;q=0.5", "gzip"),
        ("*", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.0, *", None),
        ("identity, br", None),
        ("", None),
    ],
)
def test_large_body_is_compressed_where_the_client_accepts_it(accepted: str, coding: str | None) -> None:
    response = negotiated(request(accept_encoding=accepted), LARGE)

    assert response.headers.get("Content-Encoding") == coding
    body = gzip.decompress(bytes(response.body)) if coding else response.body
    assert json.loads(bytes(body)) == LARGE
    assert "Accept-Encoding" in response.headers["Vary"]


def test_small_body_is_not_compressed() -> None:
    for missing, coding in ((0, "gzip"), (1, None)):
        body = "a" * (COMPRESSED_FROM - len('""') - missing)
        assert negotiated(request(accept_encoding="gzip"), body).headers.get("Content-Encoding") == coding


@pytest.mark.parametrize(
    ("page", "total", "links"),
    [
        (1, 0, {"first": 1, "last": 1}),
        (1, 10, {"first": 1, "last": 1}),
        (1, 11, {"first": 1, "last": 2, "next": 2}),
        (2, 30, {"first": 1, "last": 3, "prev": 1, "next": 3}),
        (3, 30, {"first": 1, "last": 3, "prev": 2}),
        (9, 30, {"first": 1, "last": 3, "prev": 3}),
    ],
)
def test_links_lead_to_the_pages_that_exist(page: int, total: int, links: dict[str, int]) -> None:
    header = page_links(request(b"platform=x&%70age=9&refresh=true&limit=10"), page, 10, total)["Link"]

    links_by_relation = re.findall(r'<([^>]+)>; rel="(\w+)"', header)
    assert {relation: target for target, relation in links_by_relation} == {
        relation: f"{POSTS}?platform=x&limit=10&page={number}" for relation, number in links.items()
    }


def test_endpoints_answer_with_validators_and_links(api: Api) -> None:
    for _ in range(3):
        api.rows.publication(post_id="post_1")

    page = api.get(f"{POSTS}?limit=2")
    assert api.get(f"{POSTS}?limit=2", headers=known(page)).status_code == 304
    following = page.links["next"]["url"]
    assert [item["post_id"] for item in api.get(following).json()["items"]] == ["post_1"]
    history = f"{POSTS}/post_1/history"
    assert api.get(history, headers=known(api.get(history))).status_code == 304
    api.rows.execute("UPDATE post_analytics SET metrics = '{\"views\": 2}'")
    assert api.get(f"{POSTS}?limit=2", headers=known(page)).status_code == 200


def known(response: httpx.Response) -> dict[str, str]:
    """Return the headers of the same request by a client that has its body."""
    return {**response.request.headers, "If-None-Match": response.headers["ETag"]}


def test_only_named_origins_may_call_the_read_api_from_a_browser(database_url: str) -> None:
    with open_api(database_url, cors_origins=(ORIGIN,)) as api:
        preflight_headers = {
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        }
        preflight = api.run(api.client.options(POSTS, headers={"Origin": ORIGIN, **preflight_headers}))
        writing = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        assert api.run(api.client.options(POSTS, headers=writing)).status_code == 400
        page = api.get(headers={**api.client.headers, "Origin": ORIGIN})
        refused = api.get(headers={"Authorization": "", "Origin": ORIGIN})
        foreign = api.get(headers={**api.client.headers, "Origin": "https://elsewhere.example.com"})
        operators = api.get("/healthz", headers={"Origin": ORIGIN})

    assert preflight.status_code == 200
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()
    assert "Access-Control-Allow-Credentials" not in preflight.headers
    for response in (page, refused):
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "ETag" in page.headers["Access-Control-Expose-Headers"]
    for response in (foreign, operators):
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("wrong", ["*", "https://a.example.com/path", "dashboard.example.com", "https://a b"])
def test_origin_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("DRAVO_CORS_ORIGINS", f"{ORIGIN},{wrong}")

    with pytest.raises(SettingsError, match="DRAVO_CORS_ORIGINS"):
        load()
