"""Dates and instants in options of the command line."""

import re
from datetime import UTC, date, datetime, timedelta

from deploy.console import UsageError

_WEEK = re.compile(r"\d{4}-?W\d{2}")
"""A week of ISO 8601, which Python takes for its Monday."""


def first_instant(value: str, option: str) -> datetime:
    """Return the instant of a value of ``--from``; a bare date is its UTC midnight."""
    return _parse(value, option)


def end_instant(value: str, option: str) -> datetime:
    """Return the first instant after a value of ``--to``: a bare date means the whole UTC day."""
    step = timedelta(days=1) if _is_date(value) else timedelta(microseconds=1)
    try:
        return _parse(value, option) + step
    except OverflowError:
        raise _not_an_instant(option) from None


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _parse(value: str, option: str) -> datetime:
    if _WEEK.fullmatch(value):
        raise _not_an_instant(option)
    try:
        instant = datetime.fromisoformat(value)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _not_an_instant(option) from None


def _not_an_instant(option: str) -> UsageError:
    return UsageError(f"{option} must be a date or an instant, like 2026-06-23 or 2026-06-23T10:15:30Z")
