"""Validation of query parameters. An unknown name is an error that suggests the nearest known one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeVar
from urllib.parse import parse_qsl

from api_stub.http.errors import MAX_QUOTED, ApiError, bad_parameter, quotable
from api_stub.posts.instants import UNBOUNDED, Range, parse_range
from shared.vocabulary import Platform

MAX_LIMIT: Final = 100
MAX_PAGE: Final = 1_000_000_000
MAX_ID_LENGTH: Final = 512
_MAX_PARAMETERS: Final = 100
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_PLATFORMS: Final = frozenset(platform.value for platform in Platform)
_INTERVALS: Final = ("raw", "hour", "day")
_POSTS: Final = (
    "postId",
    "accountId",
    "platform",
    "fromDate",
    "toDate",
    "refresh",
    "page",
    "limit",
    "include",
)
_INCLUDED: Final = frozenset({"freshness"})
_HISTORY: Final = ("fromDate", "toDate", "interval")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters on the rows of the workspace; ``None`` matches every row."""

    post_id: str | None = None
    """A Dravo post id, or a platform post id."""
    account_id: str | None = None
    platform: str | None = None
    created: Range = UNBOUNDED


@dataclass(frozen=True, slots=True)
class PostsQuery:
    """The parameters of ``GET /v1/analytics/posts``."""

    filters: Filters
    refresh: bool
    page: int
    limit: int
    include: frozenset[str] = frozenset()
    """More that each item says: ``freshness``."""

    @property
    def offset(self) -> int:
        """The number of matching rows before this page."""
        return (self.page - 1) * self.limit


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """The parameters of ``GET /v1/analytics/posts/{post_id}/history``."""

    accepted: Range
    interval: str


def parse_posts(query_string: bytes) -> PostsQuery:
    """Return the parameters of a page of analytics rows. Raises `ApiError` (400)."""
    values = split(query_string, _POSTS)
    return PostsQuery(
        filters=Filters(
            post_id=parse_optional(values, "postId", parse_id),
            account_id=parse_optional(values, "accountId", parse_id),
            platform=parse_optional(values, "platform", _platform),
            created=parse_range(values.get("fromDate"), values.get("toDate")),
        ),
        refresh=parse_optional(values, "refresh", _boolean) or False,
        page=parse_optional(values, "page", lambda name, value: whole(name, value, MAX_PAGE)) or 1,
        limit=parse_optional(values, "limit", lambda name, value: whole(name, value, MAX_LIMIT)) or 25,
        include=parse_optional(values, "include", _include) or frozenset(),
    )


def parse_history(query_string: bytes) -> HistoryQuery:
    """Return the parameters of a post's history. Raises `ApiError` (400)."""
    values = split(query_string, _HISTORY)
    return HistoryQuery(
        accepted=parse_range(values.get("fromDate"), values.get("toDate")),
        interval=parse_optional(values, "interval", _interval) or "raw",
    )


def split(query_string: bytes, known: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters of a query string by name. Raises `ApiError` (400)."""
    if not query_string:
        return {}
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except UnicodeError:
        raise ApiError(400, "invalid_query", "The query string must be percent-encoded UTF-8.") from None
    except ValueError:
        raise ApiError(400, "invalid_query", f"At most {_MAX_PARAMETERS} parameters are allowed.") from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise _unknown(name, known)
        if name in values:
            raise bad_parameter(name, f"{name} may be given once only")
        values[name] = value
    return values


def _unknown(name: str, known: tuple[str, ...]) -> ApiError:
    known_names = {one.lower(): one for one in known}
    normalized = name[:MAX_QUOTED].replace("_", "").replace("-", "").lower()
    nearest = known_names[get_close_matches(normalized, list(known_names), n=1, cutoff=0.0)[0]]
    message = (
        f"unknown parameter {quotable(name)}; did you mean {nearest}? Known parameters: {', '.join(known)}"
    )
    return ApiError(400, "unknown_parameter", message, name[:MAX_QUOTED])


def parse_optional(values: Mapping[str, str], name: str, parse: Callable[[str, str], Value]) -> Value | None:
    """Return the parsed value of a parameter, or ``None`` when it is absent. Raises `ApiError` (400)."""
    value = values.get(name)
    return None if value is None else parse(name, value)


def parse_id(name: str, value: str) -> str:
    """Return an id as it was given. Raises `ApiError` (400) for one that cannot exist."""
    if not 1 <= len(value) <= MAX_ID_LENGTH or "\0" in value:
        raise bad_parameter(name, f"{name} must be an id of 1 to {MAX_ID_LENGTH} characters, no NUL")
    return value


def _platform(name: str, value: str) -> str:
    if value not in _PLATFORMS:
        raise bad_parameter(name, f"{name} must be one of {', '.join(Platform)}")
    return value


def _interval(name: str, value: str) -> str:
    if value not in _INTERVALS:
        raise bad_parameter(name, f"{name} must be one of {', '.join(_INTERVALS)}")
    return value


def _include(name: str, value: str) -> frozenset[str]:
    included = frozenset(value.split(","))
    if not included <= _INCLUDED:
        raise bad_parameter(name, f"{name} must be {' or '.join(sorted(_INCLUDED))}")
    return included


def _boolean(name: str, value: str) -> bool:
    if value not in _BOOLEANS:
        raise bad_parameter(name, f"{name} must be true, false, 1 or 0")
    return _BOOLEANS[value]


def whole(name: str, value: str, largest: int) -> int:
    """Return a whole number from 1 on. Raises `ApiError` (400)."""
    if not re.fullmatch(r"[0-9]{1,10}", value) or not 1 <= int(value) <= largest:
        raise bad_parameter(name, f"{name} must be a whole number from 1 to {largest}")
    return int(value)
