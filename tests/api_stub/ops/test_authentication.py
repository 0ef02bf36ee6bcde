"""Authentication of the operators' page: by a token, or once by the link that `dravo up` prints."""

from pathlib import Path

import pytest

from api_stub.ops.authentication import SESSION_SECONDS
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
    with page(database_url, ops_token="another operators' token") as door:
        door.client.cookies = cookies
        assert door.get().status_code == 303


def test_signing_out_forgets_the_session(ops: Ops) -> None:
    assert ops.send("/ops/logout").headers["location"] == "/ops/login"
    assert ops.get().status_code == 303


@pytest.mark.parametrize("path", PAGES)
def test_request_from_loopback_has_to_log_in(database_url: str, path: str) -> None:
    with page(database_url, peer="127.0.0.1", host="localhost:8000", ops_token=TOKEN) as proxied:
        assert proxied.get(path).headers["location"].startswith("/ops/login")
        assert proxied.post("/ops/resync", {"status": "failed"}).headers["location"] == "/ops/login"


def test_login_link_works_once(database_url: str, tmp_path: Path) -> None:
    login = tmp_path / "ops-login"
    login.write_text("good for one login")
    with page(database_url, ops_token=TOKEN, ops_login_file=str(login)) as door:
        assert 'value="good for one login"' in door.get("/ops/login?token=good for one login").text
        assert door.sign_in(token="another").status_code == 403
        assert door.sign_in(token="good for one login").status_code == 303
        assert "Anna" in door.get("/ops/acts").text
        door.client.cookies.clear()
        assert door.sign_in(token="good for one login").status_code == 403
        assert door.sign_in(token="").status_code == 403
        assert door.sign_in().status_code == 303
    assert not login.exists()


def test_login_file_opens_nothing_without_a_token(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "ops-login").write_text("good for one login")
    with page(database_url, ops_login_file=str(tmp_path / "ops-login")) as closed:
        assert closed.sign_in(token="good for one login").status_code == 404


def test_every_page_forbids_what_it_does_not_need(ops: Ops) -> None:
    for path in (*PAGES, "/ops/login"):
        headers = ops.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
