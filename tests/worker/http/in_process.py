"""Answers without sockets for the worker's client."""

from collections.abc import Callable

import httpx


class InProcess(httpx.BaseTransport):
    """`httpx.MockTransport` for a client that reads its answers as a stream, as they come from a socket."""

    def __init__(self, handler: Callable[[httpx.Request], httpx.Response]) -> None:
        self._handler = handler

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer with the handler's answer, its body not read yet."""
        request.read()
        answer = self._handler(request)
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content)
        )
