"""Checked access to the values of a platform's answer; nothing here is specific to one platform.

A value of a wrong type, a missing key or a number out of range counts as absent; nothing raises.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeGuard

from worker.adapters.contract import Response
from worker.errors import TryAgain

MAX_COUNT = 2**63 - 1
MAX_WAIT = timedelta(days=1)
SECOND = timedelta(seconds=1)


def succeeded(response: Response) -> bool:
    """Return whether the status is one of success."""
    return 200 <= response.status < 300


def body_of(response: Response) -> Mapping[str, object]:
    """Return the JSON object of an answer; empty when it holds none."""
    try:
        return object_of(response.json())
    except ValueError:
        return {}


def readable(response: Response) -> Mapping[str, object]:
    """Return the JSON object of a successful answer. Raises `worker.errors.TryAgain` when it holds none."""
    if not (body := body_of(response)):
        raise TryAgain("The platform's answer could not be read.")
    return body


def object_of(value: object) -> Mapping[str, object]:
    """Return a JSON object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def objects_of(value: object) -> list[Mapping[str, object]]:
    """Return the JSON objects of a list, leaving out whatever else is in it."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def is_count(value: object) -> TypeGuard[int]:
    """Return whether a value is a counter: a whole number that is not negative and fits 64 bits."""
    return type(value) is int and 0 <= value <= MAX_COUNT


def is_id(text: str) -> bool:
    """Return whether a text is a positive 64-bit integer without leading zeros, as platforms issue ids.

    Platforms that parse ids refuse a whole batch for one that is larger or spelled differently.
    """
    return re.fullmatch(r"[1-9][0-9]{0,18}", text) is not None and int(text) <= MAX_COUNT


def is_ratio(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a ratio: a finite number that is not negative."""
    return is_count(value) or (type(value) is float and math.isfinite(value) and 0 <= value <= MAX_COUNT)


def number_of(header: str | None) -> int | None:
    """Return the whole number in a header."""
    text = (header or "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None


def instant_of(value: object) -> datetime | None:
    """Return an ISO 8601 instant, or ``None``; an instant without an offset counts as none."""
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return instant if instant and instant.tzinfo else None


def wait_until(response: Response, unix_time: float) -> timedelta | None:
    """Return how long it is until an instant on the platform's clock, which its `Date` header shows.

    At least a second; ``None`` for an instant that is past or more than a day away.
    """
    now = _date(response.headers.get("date")) or response.received_at
    seconds = unix_time - now.timestamp()
    return max(timedelta(seconds=seconds), SECOND) if -1 < seconds <= MAX_WAIT.total_seconds() else None


def retry_after(response: Response) -> timedelta | None:
    """Return the wait that a `Retry-After` header states, in seconds or as a date: a day at most."""
    header = response.headers.get("retry-after")
    if (seconds := number_of(header)) is not None:
        return max(timedelta(seconds=seconds), SECOND) if seconds <= MAX_WAIT.total_seconds() else None
    instant = _date(header)
    return wait_until(response, instant.timestamp()) if instant else None


def _date(header: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(header or "")
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
