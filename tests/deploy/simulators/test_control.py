"""The control host: accounts, posts, behaviour and the request log over HTTP."""

from typing import Any

import httpx
import pytest

from deploy.simulators.server import Simulators
from tests.deploy.simulators.example import NOW, URL


def test_accounts_and_posts_are_changed_over_http(sims: Simulators, control: httpx.Client) -> None:
    assert control.get("/healthz").json() == {"status": "ok"}
    urn = "urn:li:share:1"
    account = {"platform": "linkedin", "platform_account_id": "5", "access_token": "a", "scopes": ["s"]}
    post = {"platform": "linkedin", "platform_post_id": urn, "owner": "5", "created_at": NOW.isoformat()}
    assert control.post("/accounts", json=[account]).json() == {"changed": 1}
    assert control.post("/posts", json=[post]).json() == {"changed": 1}
    assert control.post("/accounts?if_absent=1", json=[account | {"access_token": "b"}]).json() == {
        "changed": 0
    }
    control.patch(f"/posts/linkedin/{urn}", json={"counters": {"likeCount": 3}}).raise_for_status()
    control.post(f"/posts/linkedin/{urn}/delete").raise_for_status()
    control.post("/accounts/linkedin/5/revoke", json={"code": "65601"}).raise_for_status()
    here, there = sims.world.post("linkedin", urn), sims.world.account("linkedin", "5")
    assert here is not None
    assert here.deleted
    assert here.counters == {"likeCount": 3}
    assert there is not None
    assert (there.revoked, there.revocation, there.access_token) == (True, "65601", "a")


@pytest.mark.parametrize(
    ("platform", "counters", "number"),
    [
        ("instagram", {"views": 7}, 7),
        (
            "facebook",
            {"post_clicks": 2, "like": 3, "love": 1, "haha": 0, "wow": 0, "sorry": 0, "anger": 0},
            6,
        ),
        ("x", {"impression_count": 9}, 9),
        ("linkedin", {"impressionCount": 5}, 5),
        ("tiktok", {"view_count": 4}, 4),
    ],
)
def test_truth_is_the_leading_number_of_now_and_none_for_a_post_without_numbers(
    control: httpx.Client, platform: str, counters: dict[str, int], number: int
) -> None:
    account = {"platform": platform, "platform_account_id": "5", "access_token": "a", "scopes": ["s"]}
    post = {"platform": platform, "owner": "5", "created_at": NOW.isoformat(), "counters": counters}
    control.post("/accounts", json=[account]).raise_for_status()
    posts = [post | {"platform_post_id": "1"}, post | {"platform_post_id": "2", "deleted": True}]
    control.post("/posts", json=posts).raise_for_status()
    wanted = [{"platform": platform, "platform_post_id": one} for one in ("1", "2", "3")]

    assert control.post("/truth", json=wanted).json() == {"numbers": [number, None, None]}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/accounts", [{"platform": "x"}], 400),
        ("POST", "/posts", [{"colour": "red"}], 400),
        ("POST", "/posts", {"not": "an array"}, 400),
        ("PUT", "/behaviour/x", {"colour": "red"}, 400),
        ("PUT", "/behaviour/myspace", {}, 404),
        ("POST", "/posts/x/1/delete", {}, 404),
        ("GET", "/nowhere", None, 404),
    ],
)
def test_malformed_control_request_is_refused_with_a_reason(
    control: httpx.Client, method: str, path: str, body: Any, status: int
) -> None:
    answer = control.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_behaviour_over_http_replaces_the_previous_one(client: httpx.Client, control: httpx.Client) -> None:
    faults = [{"times": None, "status": 500, "body": "html"}]
    control.put("/behaviour/facebook", json={"faults": faults}).raise_for_status()
    assert client.get(URL).status_code == 500
    limits = {"page": {"calls": 1, "seconds": 60}}
    control.put("/behaviour/facebook", json={"limits": limits}).raise_for_status()
    assert [client.get(URL).status_code for _ in range(2)] == [200, 400]
    control.post("/reset").raise_for_status()
    assert client.get(URL).json()["error"]["code"] == 190


def test_request_log_over_http_has_no_token(client: httpx.Client, control: httpx.Client) -> None:
    for _ in range(2):
        client.get(URL)
    client.get(URL, headers={"Authorization": "Bearer wrong"})
    answer = control.get("/requests", params={"since": 1})
    entries = answer.json()["entries"]
    assert [entry["seq"] for entry in entries] == [2, 3]
    assert entries[0]["ids"] == ["1000_2000"]
    assert (entries[0]["endpoint"], entries[0]["outcome"]) == ("insights", "ok")
    assert (entries[1]["status"], entries[1]["outcome"]) == (401, "refused_auth")
    assert entries[0]["token"] != entries[1]["token"]
    assert "EAApage-token" not in answer.text
    assert control.get("/requests/summary").json()["counts"] == [
        {"platform": "facebook", "endpoint": "insights", "outcome": "ok", "requests": 2, "calls": 2},
        {
            "platform": "facebook",
            "endpoint": "insights",
            "outcome": "refused_auth",
            "requests": 1,
            "calls": 1,
        },
    ]
