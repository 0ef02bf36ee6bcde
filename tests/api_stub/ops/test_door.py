"""Who may enter: nobody without a token, everybody with one, and under `dravo up` only who sits here."""

import pytest

from api_stub.ops.door import SESSION_SECONDS, is_loopback
from tests.api_stub.ops.conftest import TOKEN, Ops, page

PAGES = ("/ops", "/ops/publications", "/ops/publications/1", "/ops/accounts", "/ops/acts", "/ops/confirm")


@pytest.mark.parametrize("path", [*PAGES, "/ops/login", "/ops/static/v/style.css"])
def test_without_a_token_there_is_no_page(database_url: str, path: str) -> None:
    with page(database_url, ops_token=None) as closed:
        assert closed.get(path).status_code == 404


@pytest.mark.parametrize("path", PAGES)
def test_who_is_not_signed_in_is_led_to_the_door_and_back(database_url: str, path: str) -> None:
    with page(database_url, ops_token=TOKEN) as closed:
        answer = closed.get(f"{path}?status=failed")

        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/ops/login?next=%2Fops")
        assert closed.post("/ops/resync", {"status": "failed"}).headers["location"] == "/ops/login"


def test_the_token_opens_and_the_cookie_is_kept_from_scripts_and_other_sites(database_url: str) -> None:
    with page(database_url, ops_token=TOKEN) as door:
        answer = door.sign_in()

        assert (answer.status_code, answer.headers["location"]) == (303, "/ops")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert f"Max-Age={SESSION_SECONDS}" in cookie
        assert "Secure" not in cookie
        assert TOKEN not in cookie
        assert "Anna" in door.get("/ops/acts").text


def test_behind_https_the_cookie_goes_over_https_alone(database_url: str) -> None:
    with page(database_url, ops_token=TOKEN) as door:
        answer = door.post(
            "/ops/login", {"name": "Anna", "token": TOKEN}, headers={"x-forwarded-proto": "https"}
        )

        assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + " ", TOKEN[:-1], "\ufffd"])
def test_another_token_does_not(database_url: str, token: str) -> None:
    with page(database_url, ops_token=TOKEN) as door:
        answer = door.sign_in(token=token)

        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_guessing_is_slowed_down_and_the_right_token_too(database_url: str) -> None:
    with page(database_url, ops_token=TOKEN) as door:
        answers = [door.sign_in(token="guess").status_code for _ in range(9)]

        assert answers == [403] * 8 + [429]
        refused = door.sign_in()
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": "http://evil.test", "sec-fetch-site": "same-origin"},
    ],
    ids=str,
)
def test_a_login_form_of_another_site_signs_nobody_in(database_url: str, headers: dict[str, str]) -> None:
    with page(database_url, ops_token=TOKEN) as door:
        answer = door.post("/ops/login", {"name": "Eve", "token": TOKEN}, headers=headers)

        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert door.get().status_code == 303


@pytest.mark.parametrize(
    "headers", [{"origin": "http://ops.test", "sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
)
def test_a_login_form_of_our_own_page_signs_in(database_url: str, headers: dict[str, str]) -> None:
    with page(database_url, ops_token=TOKEN) as door:
        assert door.post("/ops/login", {"name": "Anna", "token": TOKEN}, headers=headers).status_code == 303


def test_a_session_ends_after_twelve_hours_whatever_the_browser_keeps(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in_at = 1_800_000_000
    clock = [signed_in_at]
    monkeypatch.setattr("cryptography.fernet.time.time", lambda: clock[0])
    with page(database_url, ops_token=TOKEN) as door:
        door.sign_in()
        cookie = {"Cookie": f"dravo_ops={door.client.cookies['dravo_ops']}"}
        door.client.cookies.clear()

        clock[0] = signed_in_at + 12 * 3600
        assert door.get("/ops/acts", headers=cookie).status_code == 200
        clock[0] += 1
        assert door.get("/ops/acts", headers=cookie).status_code == 303


def test_a_name_is_asked_for(database_url: str) -> None:
    with page(database_url, ops_token=TOKEN) as door:
        assert door.sign_in(name="  ").status_code == 400


@pytest.mark.parametrize(
    "goal", ["https://evil.test/", "//evil.test", "/ops\\..", "/opsis", "/ops/\nSet-Cookie: a=b"]
)
def test_the_door_leads_nowhere_else(database_url: str, goal: str) -> None:
    with page(database_url, ops_token=TOKEN) as door:
        answer = door.post("/ops/login", {"name": "Anna", "token": TOKEN, "next": goal})

        assert answer.headers["location"] == "/ops"


def test_a_session_of_another_token_ends(database_url: str) -> None:
    with page(database_url, ops_token=TOKEN) as door:
        door.sign_in()
        cookies = door.client.cookies
    with page(database_url, ops_token="a new token") as door:
        door.client.cookies = cookies
        assert door.get().status_code == 303


def test_signing_out_forgets_the_session(ops: Ops) -> None:
    assert ops.send("/ops/logout").headers["location"] == "/ops/login"
    assert ops.get().status_code == 303


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_open_it_lets_in_who_sits_here(database_url: str, host: str) -> None:
    with page(database_url, peer="127.0.0.1", host=host, ops_open=True) as here:
        assert here.get("/ops/acts").status_code == 200
        assert here.send("/ops/resync", status="failed").status_code == 303
        assert here.get("/ops/login").status_code == 404


@pytest.mark.parametrize(
    ("peer", "host", "api_host", "headers"),
    [
        ("203.0.113.7", "localhost", "127.0.0.1", {}),  # from elsewhere
        ("127.0.0.1", "evil.test", "127.0.0.1", {}),  # a name that was made to lead here
        ("127.0.0.1", "127.0.0.1.evil.test", "127.0.0.1", {}),
        ("127.0.0.1", "localhost", "::", {}),  # listens to everybody
        ("127.0.0.1", "localhost", "127.0.0.1", {"x-forwarded-for": "203.0.113.7"}),  # through a proxy
        ("127.0.0.1", "localhost", "127.0.0.1", {"forwarded": "for=203.0.113.7"}),
    ],
)
def test_open_it_lets_in_nobody_else(
    database_url: str, peer: str, host: str, api_host: str, headers: dict[str, str]
) -> None:
    with page(database_url, peer=peer, host=host, api_host=api_host, ops_open=True) as there:
        assert there.get("/ops", headers=headers).status_code == 404
        assert there.post("/ops/resync", {"status": "failed"}, headers=headers).status_code == 404


def test_a_session_made_here_does_not_hold_elsewhere(database_url: str) -> None:
    with page(database_url, peer="127.0.0.1", host="localhost", ops_open=True, ops_token=TOKEN) as here:
        here.get()
        cookie = here.client.cookies["dravo_ops"]
        assert here.get("/ops/acts").status_code == 200
        assert here.get("/ops/acts", headers={"x-real-ip": "203.0.113.7"}).status_code == 303
    with page(database_url, ops_token=TOKEN) as there:
        there.client.cookies.set("dravo_ops", cookie)
        assert there.get("/ops/acts").status_code == 303


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.53", True),
        ("::1", True),
        ("[::1]", True),
        ("::", False),
        ("localhost.evil.test", False),
        ("", False),
    ],
)
def test_what_loopback_is(host: str, *, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_every_page_forbids_what_it_does_not_need(ops: Ops) -> None:
    for path in (*PAGES, "/ops/login"):
        headers = ops.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
