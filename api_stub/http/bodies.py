"""Request bodies: bounded in bytes and in the whole time that they take, however slowly their pieces come."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from api_stub.http.errors import ApiError


async def read_body(request: Request, *, most: int, seconds: float) -> bytes:
    """Return the whole body: ``most`` bytes within ``seconds``. Raises `ApiError` (400, 408, 413)."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise ApiError(413, "body_too_large", f"The body may have at most {most} bytes.")
    except TimeoutError:
        raise ApiError(408, "body_too_slow", f"The body must arrive within {seconds:g} s.") from None
    except ClientDisconnect:
        raise ApiError(400, "invalid_body", "The body ended early.") from None
    return bytes(body)
