"""Authentication of the operators' page: by a token, or once by the link that `dravo up` prints."""

from pathlib import Path

import pytest

from api_stub.ops.authentication import SESSION_SECONDS
from tests.api_stub.ops.conftest import TOKEN, Ops, page

PAGES = (
    "/ops",
    "/ops/publications",
    "/ops/publications/1",
    "/ops/accounts",
    "/ops/audit-log",
    "/ops/confirm",
)


@pytest.mark.parametrize("path", [*PAGES, "/ops/login", "/ops/static/v/style.css"])
def test_page_does_not_exist_without_a_configured_token(database_url: str, path: str) -> None:
    with page(database_url, ops_token=None) as running:
        assert running.get(path).status_code == 404


@pytest.mark.parametrize("path", PAGES)
def test_request_without_a_session_is_redirected_to_login(database_url: str, path: str) -> None:
    with page(database_url, ops_token=TOKEN) as running:
        answer = running.get(f"{path}?status=failed")

        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/ops/login?next=%2Fops")
        assert running.post("/ops/resync", {"status": "failed"}).headers["location"] == "/ops/login"


def test_login_sets_a_cookie_that_scripts_and_other_sites_cannot_use(database_url: str) -> None:
    with page(database_url, ops_token=TOKEN) as running:
        answer = running.sign_in()

        assert (answer.status_code, answer.headers["location"]) == (303, "/ops")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert f"Max-Age={SESSION_SECONDS}" in cookie
        assert "Secure" not in cookie
        assert TOKEN not in cookie
        assert "Anna" in running.get("/ops/audit-log").text


def test_cookie_is_secure_behind_https(database_url: str) -> None:
    with page(database_url, ops_token=TOKEN) as running:
        answer = running.post(
            "/ops/login", {"name": "Anna", "token": TOKEN}, headers={"x-forwarded-proto": "https"}
        )

        assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + " ", TOKEN[:-1], "\ufffd"])
def test_wrong_token_is_refused(database_url: str, token: str) -> None:
    with page(database_url, ops_token=TOKEN) as running:
        answer = running.sign_in(token=token)

        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert f'value="{token}"' not in answer.text or not token
        assert running.post("/ops/resync").headers["location"] == "/ops/login"


def test_logins_are_throttled_after_wrong_tokens(database_url: str) -> None:
    with page(database_url, ops_token=TOKEN) as running:
        answers = [running.sign_in(token="guess").status_code for _ in range(9)]

        assert answers == [403] * 8 + [429]
        refused = running.sign_in()
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
def test_login_form_of_another_site_is_refused(database_url: str, headers: dict[str, str]) -> None:
    with page(database_url, ops_token=TOKEN) as running:
        answer = running.post("/ops/login", {"name": "Eve", "token": TOKEN}, headers=headers)

        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert running.get().status_code == 303


@pytest.mark.parametrize(
    "headers", [{"origin": "http://ops.test", "sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
)
def test_login_form_of_this_site_is_accepted(database_url: str, headers: dict[str, str]) -> None:
    with page(database_url, ops_token=TOKEN) as running:
        assert (
            running.post("/ops/login", {"name": "Anna", "token": TOKEN}, headers=headers).status_code == 303
        )


def test_session_expires_after_twelve_hours(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in_at = 1_800_000_000
    clock = [signed_in_at]
    monkeypatch.setattr("cryptography.fernet.time.time", lambda: clock[0])
    with page(database_url, ops_token=TOKEN) as running:
        running.sign_in()
        cookie = {"Cookie": f"dravo_ops={running.client.cookies['dravo_ops']}"}
        running.client.cookies.clear()

        clock[0] = signed_in_at + 12 * 3600
        assert running.get("/ops/audit-log", headers=cookie).status_code == 200
        clock[0] += 1
        assert running.get("/ops/audit-log", headers=cookie).status_code == 303


def test_login_requires_a_name(database_url: str) -> None:
    with page(database_url, ops_token=TOKEN) as running:
        assert running.sign_in(name="  ").status_code == 400


@pytest.mark.parametrize(
    "target",
    ["https://evil.test/", "//evil.test", "/ops\\..", "/ops/\\evil.test", "/opsis", "/ops/\nSet-Cookie: a=b"],
)
def test_login_redirects_only_below_ops(database_url: str, target: str) -> None:
    with page(database_url, ops_token=TOKEN) as running:
        answer = running.post("/ops/login", {"name": "Anna", "token": TOKEN, "next": target})

        assert answer.headers["location"] == "/ops"


def test_session_ends_when_the_token_changes(database_url: str) -> None:
    with page(database_url, ops_token=TOKEN) as running:
        running.sign_in()
        cookies = running.client.cookies
    with page(database_url, ops_token="another operators' token") as running:
        running.client.cookies = cookies
        assert running.get().status_code == 303


def test_logout_ends_the_session(ops: Ops) -> None:
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
    with page(database_url, ops_token=TOKEN, ops_login_file=str(login)) as running:
        assert 'value="good for one login"' in running.get("/ops/login?token=good for one login").text
        assert running.sign_in(token="another").status_code == 403
        assert running.sign_in(token="good for one login").status_code == 303
        assert "Anna" in running.get("/ops/audit-log").text
        running.client.cookies.clear()
        assert running.sign_in(token="good for one login").status_code == 403
        assert running.sign_in(token="").status_code == 403
        assert running.sign_in().status_code == 303
    assert not login.exists()


def test_empty_login_file_lets_nobody_in(database_url: str, tmp_path: Path) -> None:
    login = tmp_path / "ops-login"
    login.write_text(" \n")
    with page(database_url, ops_token=TOKEN, ops_login_file=str(login)) as running:
        assert running.sign_in(token="").status_code == 403
    assert login.exists()


def test_login_file_is_ignored_without_a_configured_token(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "ops-login").write_text("good for one login")
    with page(database_url, ops_login_file=str(tmp_path / "ops-login")) as running:
        assert running.sign_in(token="good for one login").status_code == 404


def test_every_page_sends_security_headers(ops: Ops) -> None:
    for path in (*PAGES, "/ops/login"):
        headers = ops.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
