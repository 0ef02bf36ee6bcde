"""Bodies to the byte: in one piece or several, too large, ended early; and those of errors."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from api_stub.http.bodies import read_body
from api_stub.http.errors import ApiError, encode


def body_of(*pieces: bytes | None) -> bytes | tuple[int, str]:
    """Return the body that these pieces give, at most 10 bytes, or its error; ``None``: no client."""
    left: list[Message] = [
        {"type": "http.disconnect"}
        if piece is None
        else {"type": "http.request", "body": piece, "more_body": True}
        for piece in pieces
    ]
    left.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return left.pop(0)

    try:
        return asyncio.run(
            read_body(Request({"type": "http", "headers": []}, receive), max_bytes=10, seconds=30)
        )
    except ApiError as error:
        return error.status, error.code


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((), b""),
        ((b"0123456789",), b"0123456789"),
        ((b"01234", b"56789"), b"0123456789"),
        ((b"0123456789x",), (413, "body_too_large")),
        ((b"01234", b"56789", b"x"), (413, "body_too_large")),
        ((b"01234", None), (400, "invalid_body")),
    ],
)
def test_body_has_at_most_its_bytes(
    pieces: tuple[bytes | None, ...], expected: bytes | tuple[int, str]
) -> None:
    assert body_of(*pieces) == expected


def test_text_that_utf_8_cannot_hold_is_replaced() -> None:
    assert encode({"a": "\ud800\u00fc", "n": 2**63}) == '{"a":"?\u00fc","n":9223372036854775808}'.encode()
