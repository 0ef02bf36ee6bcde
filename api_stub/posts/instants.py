"""Instants in requests: parsing of ``fromDate`` and ``toDate``."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from api_stub.http.errors import bad_parameter

_DAY: Final = timedelta(days=1)
_RESOLUTION: Final = timedelta(microseconds=1)
_ALLOWED: Final = "must be an ISO 8601 date or instant, like 2026-06-23 or 2026-06-23T10:15:30Z"
_MAX_LENGTH: Final = 64
_UNESCAPED_PLUS: Final = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")
_WEEK: Final = re.compile(r"\d{4}-?W\d{2}")
"""A week of ISO 8601, which Python takes for its Monday."""
_LEAP_SECOND: Final = re.compile(r"[T ]\d\d:?\d\d:?60(?!\d)")


@dataclass(frozen=True, slots=True)
class Range:
    """Instants from ``start`` (included) to ``end`` (excluded); ``None`` means unbounded."""

    start: datetime | None = None
    end: datetime | None = None


UNBOUNDED: Final = Range()


def parse_range(from_date: str | None, to_date: str | None) -> Range:
    """Return the range of ``fromDate`` and ``toDate``, both ends included. Raises `ApiError` (400).

    An instant without offset is UTC; a bare date means its whole UTC day.
    """
    start = None if from_date is None else _bounds("fromDate", from_date)[0]
    end = None if to_date is None else _bounds("toDate", to_date)[1]
    if start is not None and end is not None and start >= end:
        raise bad_parameter("fromDate", "fromDate must not be after toDate")
    return Range(start, end)


def _bounds(parameter: str, value: str) -> tuple[datetime, datetime | None]:
    """Return the first instant of ``value`` and the first one after it (``None`` after the year 9999)."""
    if len(value) > _MAX_LENGTH or not value.isascii() or _WEEK.fullmatch(value):
        raise bad_parameter(parameter, f"{parameter} {_ALLOWED}")
    if _LEAP_SECOND.search(value):
        raise bad_parameter(parameter, f"{parameter} names a leap second, which is not supported: use :59")
    first, length = _parse(parameter, value)
    try:
        return first, first + length
    except OverflowError:
        return first, None


def _parse(parameter: str, value: str) -> tuple[datetime, timedelta]:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        pass  # not a bare date: parsed as an instant below
    else:
        return datetime(day.year, day.month, day.day, tzinfo=UTC), _DAY
    try:
        # A "+" that a client did not percent-encode in a query arrives as a space.
        instant = datetime.fromisoformat(_UNESCAPED_PLUS.sub("+", value) if "T" in value else value)
        return (instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)), _RESOLUTION
    except (ValueError, OverflowError):
        raise bad_parameter(parameter, f"{parameter} {_ALLOWED}") from None
