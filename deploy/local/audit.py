"""Audit of what rows promise: reads the API as a client, and asks the simulated platforms what is true."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from shared.freshness.leading import leading_value
from shared.freshness.rule import NOTICEABLE, SMALL
from shared.vocabulary import Platform

_PAGE: Final = 100
_PAUSE_SECONDS: Final = 1.0


@dataclass(slots=True)
class Audited:
    """The audited reads of one platform."""

    reads: int = 0
    claimed: float = 0.0
    """Reads that were promised to be within 5 % of the truth: the sum of their probabilities."""
    true: int = 0
    """Reads that were."""


def audit(api: httpx.Client, control: httpx.Client, seconds: float) -> dict[Platform, Audited]:
    """Read all rows of the client's workspace again and again for so long; return claims and truth.

    Raises `httpx.HTTPError`.
    """
    audited: dict[Platform, Audited] = defaultdict(Audited)
    until = time.monotonic() + seconds
    while True:
        page, pages = 1, 1
        while page <= pages:
            query: dict[str, str | int] = {"include": "freshness", "limit": _PAGE, "page": page}
            answer = api.get("/v1/analytics/posts", params=query).raise_for_status().json()
            posts = [_names(item) for item in answer["items"]]
            truth = control.post("/truth", json=posts).raise_for_status().json()["numbers"]
            _compare(audited, zip(answer["items"], truth, strict=True))
            page, pages = page + 1, -(-answer["total"] // _PAGE)
        if time.monotonic() >= until:
            return dict(audited)
        time.sleep(_PAUSE_SECONDS)


def _names(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in ("platform", "platform_post_id")}


def _compare(audited: dict[Platform, Audited], rows: Iterable[tuple[Mapping[str, Any], int | None]]) -> None:
    for item, true in rows:
        platform = Platform(item["platform"])
        served = leading_value(platform, item["metrics"])
        if item["freshness"] is None or served is None or true is None:
            continue  # a row that promises nothing, or a post that nobody can read any more
        of_platform = audited[platform]
        of_platform.reads += 1
        of_platform.claimed += item["freshness"]["within_5_percent"]
        of_platform.true += abs(true - served) / (true + SMALL) <= NOTICEABLE
