"""The limits and errors of X; a problem's type decides, or its title where it has no type.

The host of a problem's type varies; only the last part of its path counts. A 402, or a credits problem under
any status, means that our credits are used up, even with calls left by the rate-limit headers. A 401 has
none.

https://docs.x.com/x-api/fundamentals/rate-limits
https://docs.x.com/x-api/fundamentals/response-codes-and-errors
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from shared.vocabulary import BucketKind, PauseKind
from worker.adapters import untrusted
from worker.adapters.contract import Response
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Limit

USER_BUCKET, APP_BUCKET = (BucketKind.ACCOUNT, "tweets"), (BucketKind.ENDPOINT, "tweets:app")
"""A user's token and the app's bearer have limits of their own on the same path."""
SCOPES = ("tweet.read", "users.read")
WINDOW, CREDITS_PAUSE = timedelta(minutes=15), timedelta(hours=1)
NO_CREDITS, MONTHLY_CAP = frozenset({"credits-depleted", "credits"}), "usage-capped"
BY_TITLE = {
    "Not Found Error": "resource-not-found",
    "Authorization Error": "not-authorized-for-resource",
    "Field Authorization Error": "not-authorized-for-field",
    "UsageCapExceeded": MONTHLY_CAP,
}
"""The type of a problem that has only a title."""
RECONNECT = "X no longer accepts this account's authorization: reconnect the account."


def limits(response: Response, bucket: tuple[BucketKind, str]) -> Iterator[Limit]:
    """Yield the limit that this call was counted against, if the headers report it."""
    limit, remaining = (
        untrusted.number_of(response.headers.get(f"x-rate-limit-{name}")) for name in ("limit", "remaining")
    )
    if limit and remaining is not None and remaining <= limit:
        yield Limit(*bucket, limit, remaining, resets_at=_reset_at(response))


def _reset_at(response: Response) -> datetime | None:
    """Return the end of the window on our clock, or ``None`` if the header names no instant within it."""
    reset = untrusted.number_of(response.headers.get("x-rate-limit-reset"))
    left = None if reset is None else untrusted.wait_until(response, reset)
    return response.received_at + left if left and left <= WINDOW + timedelta(minutes=1) else None


def refusal(response: Response, bucket: tuple[BucketKind, str]) -> RefreshError:
    """Return the error of a refused lookup; ``bucket`` shows whose token was used."""
    status, body, now = response.status, untrusted.body_of(response), response.received_at
    problems = {problem(one) for one in (body, *untrusted.objects_of(body.get("errors")))}
    if exhausted := out_of_credits(problems | NO_CREDITS if status == 402 else problems, now):
        return exhausted
    if status == 429:
        until = _reset_at(response) or now + (untrusted.retry_after(response) or WINDOW)
        return Paused("X's rate limit is reached.", kind=bucket[0], endpoint=bucket[1], until=until)
    if status >= 500:
        return TryAgain(f"X answered with status {status}.", breaks=True)
    if bucket is USER_BUCKET and status == 401:
        return Reauthorize(RECONNECT, renewable=True)
    if bucket is USER_BUCKET and status == 403:
        return _forbidden(body, problems)
    return Misconfigured(f"X refused our application's call with status {status}.")


def out_of_credits(problems: set[str], now: datetime) -> Paused | None:
    """Return the pause for used-up credits or a reached cap, whatever the status."""
    if problems & NO_CREDITS:
        sentence = "Our credits at X are used up: an operator must add some."
        return Paused(sentence, kind=BucketKind.APP, until=now + CREDITS_PAUSE, stop=PauseKind.CREDITS)
    if MONTHLY_CAP in problems:
        sentence = "Our monthly cap of post reads at X is reached."
        return Paused(sentence, kind=BucketKind.APP, until=_next_month(now), stop=PauseKind.CREDITS)
    return None


def _forbidden(body: Mapping[str, object], problems: set[str]) -> RefreshError:
    text = f"{body.get('title')} {body.get('detail')}".lower()
    if problems & {"client-forbidden", "unsupported-authentication"}:
        sentence = "X refuses our application, or its kind of token, for reading posts."
        return Misconfigured(sentence, application=True)
    if "user-suspended" in problems or ("user" in text and "suspended" in text):
        return Reauthorize("X has suspended this account: resolve that with X, then reconnect the account.")
    if "scope" in text or "permission" in text:
        scope = next((one for one in SCOPES if one in text), SCOPES[0])
        sentence = f"This account's authorization lacks {scope}: reconnect the account and grant it."
        return Reauthorize(sentence, missing_scope=scope)
    return Misconfigured("X forbids our call without a reason.")


def _next_month(now: datetime) -> datetime:
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def problem(value: Mapping[str, object]) -> str:
    """Return the last part of a problem's type (its host varies), or the type that its title stands for."""
    _, slash, name = str(value.get("type")).rpartition("/")
    return name if slash else BY_TITLE.get(str(value.get("title")), "")
