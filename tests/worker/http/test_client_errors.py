"""Errors of the client: each is translated, and none contains a secret."""

import inspect
import logging
import traceback

import httpx
import pytest

from tests.worker.http.calls import SECRET, TIGHT, get
from tests.worker.http.malicious_server import answers, malicious_server
from worker.errors import TryAgain
from worker.http.client import Client


def every_error() -> list[type[Exception]]:
    return [kind for _, kind in inspect.getmembers(httpx, inspect.isclass) if issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_of_httpx_is_translated(kind: type[Exception]) -> None:
    url = f"https://api.example/?access_token={SECRET}"

    def fail(request: httpx.Request) -> httpx.Response:
        error = kind.__new__(kind, f"failed: {url}")
        error.request = request  # type: ignore[attr-defined]
        raise error

    with Client(transport=httpx.MockTransport(fail)) as client, pytest.raises(TryAgain) as trouble:
        client.request("GET", url, headers={"authorization": f"Bearer {SECRET}"})

    timed_out = issubclass(kind, httpx.TimeoutException) and kind is not httpx.PoolTimeout
    assert trouble.value.breaks == timed_out
    assert kind.__name__ in str(trouble.value)
    assert_chain_ends(trouble.value)


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("http://127.0.0.1:1/", f"{SECRET}\n"),
        ("http://127.0.0.1:1/", f"{SECRET}\N{SNOWMAN}"),
        (f"http://127.0.0.1:99999/?access_token={SECRET}", SECRET),
        (f"http://[::1/?access_token={SECRET}", SECRET),
        (f"http://127.0.0.1:1/?access_token={SECRET}\n", SECRET),
        (f"gopher://127.0.0.1/?access_token={SECRET}", SECRET),
        (f"//?access_token={SECRET}", SECRET),
    ],
)
def test_malformed_request_leaks_no_secret(url: str, token: str) -> None:
    with Client(TIGHT) as client, pytest.raises(TryAgain) as trouble:
        client.request("GET", url, headers={"authorization": f"Bearer {token}"})

    assert_chain_ends(trouble.value)


def assert_chain_ends(error: BaseException) -> None:
    assert error.__cause__ is None
    assert error.__context__ is None
    assert SECRET not in repr(error) + "".join(traceback.format_exception(error))


def test_no_log_at_any_level_holds_the_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with malicious_server(answers(b"{}", f"x-echo: {SECRET}")) as server:
        get(server, f"/?access_token={SECRET}")

    assert SECRET not in caplog.text
    assert "access_token" not in caplog.text


def test_repr_of_reply_shows_no_content() -> None:
    body = f'{{"access_token": "{SECRET}"}}'.encode()

    with malicious_server(answers(body, f"x-echo: {SECRET}")) as server, Client(TIGHT) as client:
        assert SECRET not in repr(client.request("GET", server.url))
