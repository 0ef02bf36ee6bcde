"""Reading of request bodies, bounded in bytes and in total time however slowly their pieces arrive."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from api_stub.http.errors import ApiError


async def read_body(request: Request, *, max_bytes: int, seconds: float) -> bytes:
    """Return the whole body of at most ``max_bytes``, received within ``seconds``.

    Raises `ApiError`: 400 when the client disconnects, 408 when time is up, 413 when the body is too large.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > max_bytes:
                    raise ApiError(413, "body_too_large", f"The body may have at most {max_bytes} bytes.")
    except TimeoutError:
        raise ApiError(408, "body_too_slow", f"The body must arrive within {seconds:g} s.") from None
    except ClientDisconnect:
        raise ApiError(400, "invalid_body", "The body ended early.") from None
    return bytes(body)
