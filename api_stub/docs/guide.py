"""The texts of the API reference that no schema holds: the tables of warnings, errors and metrics."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shared.vocabulary import Platform, WarningCode

WARNINGS: Final[Mapping[WarningCode, str]] = {
    WarningCode.METRIC_UNAVAILABLE: "A metric is absent: the platform has retired it, never has it for this"
    " kind of post, or did not return it.",
    WarningCode.INSIGHTS_UNAVAILABLE: "The post exists, but its platform has no numbers for it; the last"
    " values are kept.",
    WarningCode.WINDOW_CLOSED: "The time in which the platform reports on this post has ended; the last"
    " values are kept and the post is no longer refreshed.",
    WarningCode.POST_MISSING: "The platform did not find the post; a second refresh confirms or refutes"
    " that.",
    WarningCode.POST_PROCESSING: "The platform has not given the post its public id yet.",
    WarningCode.NO_ACTIVITY_REPORTED: "The platform left out a post that had activity before; the last"
    " values are kept.",
    WarningCode.PERMISSION_MISSING: "A permission is missing for some of the metrics.",
    WarningCode.PLATFORM_UNAVAILABLE: "The platform refused Dravo's application, key or API version. Dravo's"
    " operators are alerted.",
    WarningCode.COUNTER_DECREASED: "A counter is lower than before; the new value is served.",
    WarningCode.REFRESH_PENDING: "With refresh=true: the row was not refreshed in time and is served as it"
    " stands.",
    WarningCode.REFRESH_DEBOUNCED: "With refresh=true: the row was refreshed moments ago, so its platform"
    " was not called again.",
}

ERRORS: Final[Mapping[str, tuple[str, str]]] = {
    "invalid_parameter": ("400", "A parameter has a wrong value; `parameter` names it."),
    "unknown_parameter": ("400", "No parameter has this name; the message has the nearest known one."),
    "invalid_query": ("400", "The query string is not percent-encoded UTF-8, or has too many parameters."),
    "invalid_request": ("400", "The data is no HTTP request, or its head is too large."),
    "invalid_body": ("400", "The body is incomplete, or not the JSON that the operation expects."),
    "too_many_events": ("400", "An array of events has too many elements."),
    "events_refused": ("400", "Some events were refused and are named; the others are committed."),
    "unauthorized": ("401", "The credential is missing, malformed, unknown, revoked or expired."),
    "not_found": ("404", "The workspace has no such object, or nothing is at this address."),
    "cursor_expired": ("410", "The cursor is older than the changes that are kept: start again without one."),
    "method_not_allowed": ("405", "The address does not have this method; see the `Allow` header."),
    "body_too_slow": ("408", "The body did not arrive in time."),
    "body_too_large": ("413", "The body is too large."),
    "rate_limited": ("429", "Too many forced refreshes with one credential; see `Retry-After`."),
    "internal": ("500", "Something failed in Dravo; report the `request_id`."),
    "overloaded": ("503", "Too many requests are in flight; see `Retry-After`."),
    "timeout": ("503", "The database took too long to answer."),
    "database_unavailable": ("503", "The database does not answer; nothing was changed."),
    "conflict": ("503", "Two statements stood in each other's way; nothing was changed: repeat the request."),
    "schema_missing": ("503", "The service is being upgraded."),
    "erasures_not_replayed": ("503", "A restored database still holds erased data (`/readyz`)."),
    "erasure_ledger_unreadable": ("503", "The list of erasures cannot be read (`/readyz`)."),
    "stopping": ("503", "This process is stopping; another one answers."),
}

METRICS: Final[Mapping[Platform, tuple[str, ...]]] = {
    Platform.INSTAGRAM: (
        "views",
        "reach",
        "likes",
        "comments",
        "shares",
        "saved",
        "total_interactions",
    ),
    Platform.FACEBOOK: ("post_clicks", "post_reactions_by_type_total"),
    Platform.X: (
        "impression_count",
        "like_count",
        "retweet_count",
        "reply_count",
        "quote_count",
        "bookmark_count",
    ),
    Platform.LINKEDIN: (
        "share_statistics_impression_count",
        "share_statistics_unique_impressions_count",
        "share_statistics_click_count",
        "share_statistics_like_count",
        "share_statistics_comment_count",
        "share_statistics_share_count",
        "share_statistics_engagement",
    ),
    Platform.TIKTOK: ("view_count", "like_count", "comment_count", "share_count"),
}
METRICS_NOTES: Final[Mapping[Platform, str]] = {
    Platform.INSTAGRAM: "A story has no `likes`, `comments` and `saved`.",
    Platform.FACEBOOK: "`post_engaged_users` was retired by Facebook and is always absent.",
    Platform.X: "More keys while the account's token may read private metrics of posts of the last 30 days.",
    Platform.LINKEDIN: "`share_statistics_engagement` is a ratio, for organizations only; sums of a page"
    " average it. Posts of the last 12 months.",
    Platform.TIKTOK: "`platform_post_id` is TikTok's publish id until the public id is known.",
}

_INTRODUCTION: Final = """\
Requests are answered from a table that is kept fresh in the background; no request calls a platform. A row
that is past its `stale_after` is served as it stands and refreshed at once: ask again a little later, or use
`refresh=true` to wait for the new values.

# Authentication

Send an API key (`dra_…`, from `dravo keys create --workspace W`) or a dashboard token with each request:
`Authorization: Bearer dra_…`. Each is bound to one workspace, and answers hold rows of that workspace only.

# Conventions

- Ids are strings, also where they look like numbers. Instants are UTC, RFC 3339, with `Z`.
- A metric that its platform did not report is absent, and a warning names it. `0` means that the platform
  said 0.
- New fields, warning codes and metrics may be added at any time: ignore those that you do not know.
- Pages and histories have an `ETag`: send it as `If-None-Match`, and an unchanged answer is a 304 without a
  body. Pages link to their neighbours in `Link`. Large answers are compressed with gzip where you accept it.
- Each response has an `X-Request-ID`, which Dravo's logs have too. Send your own in a request to choose it.
"""
_WARNINGS: Final = "A warning is `code: sentence`. The code is stable, the sentence is for people."
_ERRORS: Final = (
    'An error is `{"error": {"code", "message"}}`, with `parameter` where one is wrong. Send a request again'
    " only after a 408, 429 or 5xx."
)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def guide() -> str:
    """Return the reference's introduction and tables as Markdown."""
    warnings = _table(("code", "meaning"), ((f"`{code}`", text) for code, text in WARNINGS.items()))
    errors = _table(
        ("status", "code", "meaning"),
        ((status, f"`{code}`", text) for code, (status, text) in ERRORS.items()),
    )
    metrics = _table(("platform", "keys"), ((one.label, _names(METRICS[one])) for one in Platform))
    metrics += "".join(f"\n- {one.label}: {METRICS_NOTES[one]}" for one in Platform) + "\n"
    return (
        f"{_INTRODUCTION}\n# Metrics\n\n{metrics}\n"
        f"# Warnings\n\n{_WARNINGS}\n\n{warnings}\n"
        f"# Errors\n\n{_ERRORS}\n\n{errors}"
    )
