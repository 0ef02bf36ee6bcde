"""Measures the operators' page: time until its figures are complete, latency, first paint in a browser."""

import statistics
import time
from secrets import token_urlsafe
from typing import Any, Final

import httpx

from deploy.bench.chromium import chromium, first_paint
from deploy.bench.load import measure
from deploy.bench.report import report
from deploy.console import show

_PAGES: Final = {"the operators' page": "/ops", "its list of publications": "/ops/publications"}
_COUNT_WITHIN_SECONDS: Final = 1_800
_PAINTS: Final = 15
TOKEN: Final = token_urlsafe(32)
"""The operators' token of the measured API."""


def bench(address: str, rows: int, seconds: float) -> list[dict[str, Any]]:
    """Measure an API that has just started and gets no other requests."""
    login = httpx.post(f"{address}/ops/login", data={"name": "bench", "token": TOKEN})
    ((name, value),) = login.cookies.items()
    cookie = f"{name}={value}"
    results = [_count_rows(address, rows, cookie)]
    for title, path in _PAGES.items():
        measured = measure(address, [path], cookie=cookie, connections=1, seconds=seconds)
        results.append(report(rows, f"{title}, one at a time", measured))
    return [*results, *(_paint(address, rows, cookie, (title, path)) for title, path in _PAGES.items())]


def _count_rows(address: str, rows: int, cookie: str) -> dict[str, Any]:
    """Wait until the page shows the first complete count of all rows."""
    began = time.monotonic()
    everything = f"of {rows:,} publications".replace(",", "\N{NARROW NO-BREAK SPACE}")
    while everything not in httpx.get(f"{address}/ops", headers={"cookie": cookie}).text:
        if time.monotonic() - began > _COUNT_WITHIN_SECONDS:
            raise RuntimeError("the operators' page did not count every row in time")
        time.sleep(1)
    took = time.monotonic() - began
    show(f"  the operators' page shows every row counted after {took:.0f} s")
    return {"rows": rows, "what": "every row counted", "seconds": took}


def _paint(address: str, rows: int, cookie: str, titled: tuple[str, str]) -> dict[str, Any]:
    name, path = titled
    key, _, value = cookie.partition("=")
    with chromium() as browser:
        page = browser.new_page()
        page.context.add_cookies([{"name": key, "value": value, "url": address}])
        took = []
        for _ in range(_PAINTS):
            page.goto(f"{address}{path}")
            took.append(first_paint(page))
    half, most = statistics.median(took), max(took)
    show(f"  {f'{name}, first paint':48} {'':18}   p50 {half:7.2f} ms  most {most:7.2f} ms")
    return {"rows": rows, "what": f"{name}, first paint", "p50_ms": half, "most_ms": most}
