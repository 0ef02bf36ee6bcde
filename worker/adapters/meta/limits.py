"""Meta's usage headers and throttles: the used shares of our limits, and how long to wait.

The shares are percents: Meta reports no number of calls. Each of the three parts (calls, time, CPU time)
throttles at 100.

https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from shared.vocabulary import BucketKind
from worker.adapters import untrusted
from worker.adapters.contract import Response
from worker.adapters.meta.errors import APP_LIMITS, PLATFORM_LIMITS, Refusal
from worker.errors import Paused
from worker.http import strict_json
from worker.readings import Limit

LONGEST_WAIT = timedelta(hours=24)
"""The longest window of any limit: a longer wait in a header is ignored."""
MAX_PERCENT = 10_000
PARTS = ("call_count", "total_cputime", "total_time")


def limits(response: Response, account_id: str, product: str) -> list[Limit]:
    """Return the limits in the usage headers: used percents of the app's and the account's, and their end.

    X-Business-Use-Case-Usage holds a list per object: the account's own entries of our product count, and if
    none is under its id (Meta documents the key as the business' id) all entries of our product.
    """
    reported: list[Limit] = []
    for header, kind in (("X-App-Usage", BucketKind.APP), ("X-Page-Usage", BucketKind.ACCOUNT)):
        usage = _header(response, header)
        percent = _percent([usage])
        if percent is not None:
            reported.append(Limit(kind, None, used_percent=percent))
    objects = _header(response, "X-Business-Use-Case-Usage")
    lists = [objects[account_id]] if account_id in objects else list(objects.values())
    entries = [
        entry
        for entries in lists
        if isinstance(entries, list)
        for entry in entries
        if isinstance(entry, dict) and entry.get("type") == product
    ]
    percent = _percent(entries)
    waits = (
        timedelta(minutes=_count(entry.get("estimated_time_to_regain_access")) or 0) for entry in entries
    )
    wait = max((wait for wait in waits if wait <= LONGEST_WAIT), default=timedelta(0))
    relief = response.received_at + wait if wait else None
    if percent is not None or relief is not None:
        reported.append(Limit(BucketKind.ACCOUNT, None, used_percent=percent, resets_at=relief))
    return reported


def paused(platform: str, refused: Refusal, response: Response, account_id: str, product: str) -> Paused:
    """Return which bucket a throttle pauses, and until when: by header, else Retry-After, else our own guess.

    Meta documents no wait without those, and counts calls made while throttled against us: the guess is an
    early retry (after 5 minutes for the hourly limits, 15 for an account's own), then an hour.
    """
    reported = limits(response, account_id, product)
    app_full = any(one.kind is BucketKind.APP and (one.used_percent or 0) >= 100 for one in reported)
    of_app = refused.code in APP_LIMITS or (refused.code is None and app_full)
    kind = BucketKind.APP if of_app else BucketKind.ACCOUNT
    relief = max((one.resets_at for one in reported if one.kind is kind and one.resets_at), default=None)
    wait = untrusted.retry_after(response)
    until = relief or (response.received_at + wait if wait else None)
    guess = timedelta(minutes=5 if refused.code in PLATFORM_LIMITS else 15)
    return Paused(
        f"{platform}'s limit for the {'application' if of_app else 'account'} is reached.",
        kind=kind,
        until=until or response.received_at + guess,
        endpoint="insights" if refused.code == 613 else None,
        escalates_until=None if until else response.received_at + timedelta(hours=1),
    )


def _header(response: Response, name: str) -> dict[str, object]:
    try:
        value = strict_json.parse(response.headers.get(name) or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    return value if untrusted.is_count(value) and value <= MAX_PERCENT else None


def _percent(usages: Sequence[Mapping[str, object]]) -> int | None:
    counts = (_count(usage.get(part)) for usage in usages for part in PARTS)
    return max((percent for percent in counts if percent is not None), default=None)
