"""The bearer credential of a request: one header, one scheme, bounded in length."""

import pytest
from starlette.requests import Request

from api_stub.auth.authenticator import bearer
from api_stub.http.errors import ApiError

LONGEST = 8_192


def request(*headers: bytes) -> Request:
    return Request({"type": "http", "headers": [(b"authorization", header) for header in headers]})


@pytest.mark.parametrize(
    ("header", "credential"),
    [
        (b"Bearer x", "x"),
        (b"bEARER x", "x"),
        (b"Bearer   x y ", "x y"),
        (b"Bearer " + b"x" * (LONGEST - 7), "x" * (LONGEST - 7)),
    ],
)
def test_credential_follows_the_scheme(header: bytes, credential: str) -> None:
    assert bearer(request(header)) == credential


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (b"Bearer x", b"Bearer x"),
        (b"Bearer " + b"x" * (LONGEST - 6),),
        ("Bearer \xe4".encode("latin-1"),),
        (b"Basic x",),
        (b"Bearerx",),
        (b"Bearer  ",),
        (b"Bearer",),
        (b"",),
    ],
)
def test_everything_else_is_refused(headers: tuple[bytes, ...]) -> None:
    with pytest.raises(ApiError) as caught:
        bearer(request(*headers))

    assert caught.value.status == 401
