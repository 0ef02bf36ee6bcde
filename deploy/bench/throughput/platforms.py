"""``python -m deploy.bench.throughput.platforms``: all five platforms on one port, answered from templates.

The simulators cost more than the workers that they serve. This server checks nothing: it takes the ids out
of a request by searching for them and fills each into a template. Every number grows with the seconds since
its start, so that each refresh brings new values and appends a snapshot, the more expensive case.

``GET /stats`` returns the requests and ids so far.
"""

import argparse
import asyncio
import json
import re
import time
from collections.abc import Sequence
from typing import Final, cast
from urllib.parse import unquote_to_bytes

import uvloop

_X: Final = (
    b'{"id":"%b","created_at":"2026-01-01T00:00:00.000Z","text":"Shipping Dravo","public_metrics":'
    b'{"retweet_count":%d,"reply_count":3,"like_count":%d,"quote_count":1,"bookmark_count":2,'
    b'"impression_count":%d}}'
)
_TIKTOK: Final = b'{"id":"%b","view_count":%d,"like_count":%d,"comment_count":7,"share_count":%d}'
_LINKEDIN: Final = (
    b'{"organizationalEntity":"urn:li:organization:1","%b":"%b","totalShareStatistics":'
    b'{"uniqueImpressionsCount":%d,"shareCount":2,"engagement":0.0125,"clickCount":%d,"likeCount":%d,'
    b'"impressionCount":%d,"commentCount":4}}'
)
_ROW: Final = (
    '{{"name":"{name}","period":"lifetime","values":[{{"value":{value}}}],"title":"{name}",'
    '"description":"As Meta describes this metric, in about this many words.","id":"1/insights"}}'
)
_REACTIONS: Final = "post_reactions_by_type_total"
_ITEM: Final = re.compile(rb"relative_url%22%3A(?:\+|%20)?%22(.*?)%22")
_URN: Final = re.compile(rb"urn%3Ali%3A(share|ugcPost)%3A(\d+)")
_DIGITS: Final = re.compile(rb"\d+")


class Platforms:
    """The answers, and how many ids were asked for."""

    def __init__(self) -> None:
        self.requests = 0
        self.ids = 0
        self._began = time.monotonic()

    def answer(self, head: bytes, body: bytes) -> bytes:
        """Return the body of the answer to one request."""
        if head.startswith(b"GET /stats"):
            return json.dumps({"requests": self.requests, "ids": self.ids}).encode()
        self.requests += 1
        count = int(time.monotonic() - self._began) + 10
        target = head[: head.index(b" HTTP/")]
        if b" /2/tweets?" in target:
            return b'{"data":[' + b",".join(self._x(target, count)) + b"]}"
        if b"/video/query/" in target:
            listed = b",".join(self._tiktok(body, count))
            head_of_body = b'{"data":{"cursor":0,"has_more":false,"videos":['
            return head_of_body + listed + b']},"error":{"code":"ok","message":"","log_id":"1"}}'
        if b"organizationalEntityShareStatistics" in target:
            elements = b",".join(self._linkedin(target, count))
            return b'{"paging":{"count":10,"start":0,"links":[]},"elements":[' + elements + b"]}"
        return self._meta(body, count)

    def _counted(self, ids: Sequence[bytes]) -> Sequence[bytes]:
        self.ids += len(ids)
        return ids

    def _x(self, target: bytes, count: int) -> list[bytes]:
        ids = target.partition(b"ids=")[2].partition(b"&")[0].split(b",")
        return [_X % (one, count, count + 5, count * 100) for one in self._counted(ids)]

    def _tiktok(self, body: bytes, count: int) -> list[bytes]:
        ids = _DIGITS.findall(body)
        return [_TIKTOK % (one, count * 100, count + 5, count) for one in self._counted(ids)]

    def _linkedin(self, target: bytes, count: int) -> list[bytes]:
        urns = _URN.findall(target)
        self.ids += len(urns)
        return [
            _LINKEDIN % (kind, b"urn:li:%b:%b" % (kind, number), count * 90, count, count + 1, count * 100)
            for kind, number in urns
        ]

    def _meta(self, body: bytes, count: int) -> bytes:
        items = self._counted(_ITEM.findall(body))
        requested = unquote_to_bytes(items[0]).partition(b"metric=")[2] if items else b""
        of = _meta_rows(requested.decode(), count)
        return b"[" + b",".join([of] * len(items)) + b"]"


def _meta_rows(metrics: str, count: int) -> bytes:
    rows = []
    for name in unquote_to_bytes(metrics).decode().partition("&")[0].split(","):
        value = f'{{"like":{count},"love":3}}' if name == _REACTIONS else str(count * 10)
        rows.append(_ROW.format(name=name, value=value))
    item = {"code": 200, "body": f'{{"data":[{",".join(rows)}]}}'}
    return json.dumps(item).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, platforms: Platforms, delay: float) -> None:
        self._platforms = platforms
        self._delay = delay
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[: end + 4]
        stated = _LENGTH.search(head)
        length = int(stated[1]) if stated else 0
        if len(self._received) < end + 4 + length:
            return
        answer = self._platforms.answer(head, self._received[end + 4 :])
        self._received = b""
        whole = _HEAD % len(answer) + answer
        if self._delay and not head.startswith(b"GET /stats"):
            asyncio.get_running_loop().call_later(self._delay, self._write, whole)
        else:
            self._transport.write(whole)

    def _write(self, whole: bytes) -> None:
        if not self._transport.is_closing():  # the caller may have been ended meanwhile
            self._transport.write(whole)


_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_LENGTH: Final = re.compile(rb"(?i)content-length: *(\d+)")


async def _serve(port: int, delay: float) -> None:
    platforms = Platforms()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(platforms, delay), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--milliseconds", type=float, default=0, help="how long every answer takes")
    options = parser.parse_args()
    uvloop.run(_serve(options.port, options.milliseconds / 1_000))


if __name__ == "__main__":
    main()
