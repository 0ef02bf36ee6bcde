"""Rendering of the operators' pages: templates, their filters, and the headers of every page."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from api_stub.ops.drawing.outcome_marks import mark
from api_stub.ops.views.overview import group_of
from shared.quota.pauses import UNTIL_RESUMED
from shared.vocabulary import Platform, Reason, SyncStatus

_HERE: Final = Path(__file__).parent
STATIC: Final = {
    "style.css": ((_HERE / "static" / "style.css").read_bytes(), "text/css; charset=utf-8"),
    "live.js": ((_HERE / "static" / "live.js").read_bytes(), "text/javascript; charset=utf-8"),
}
"""Static files by name: content and media type."""
VERSION: Final = sha256(b"".join(content for content, _ in STATIC.values())).hexdigest()[:12]
"""A hash of the static files in their URL, so that browsers may cache them without limit."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_LABELS: Final[Mapping[str, str]] = {
    **{platform.value: platform.label for platform in Platform},
    "*": "all platforms",
    "requires_reconnect": "to reconnect",
    "window_closed": "window closed",
}
_STATUS_KINDS: Final[Mapping[str, str]] = {
    SyncStatus.SYNCED: "good",
    SyncStatus.PARTIAL: "waiting",
    SyncStatus.PENDING: "waiting",
    SyncStatus.FAILED: "bad",
    SyncStatus.REQUIRES_RECONNECT: "bad",
    "active": "good",
    "disconnected": "waiting",
}
UNKNOWN: Final = "\N{EN DASH}"
_UNITS: Final = (
    (86_400, "d", 3_600, "h"),
    (3_600, "h", 60, "min"),
    (60, "min", 1, "s"),
)


def number(value: float | None) -> str:
    """Return a number with grouped digits; an unknown number is a dash, never a zero."""
    return UNKNOWN if value is None else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def share(value: float | None) -> str:
    """Return a share in per cent; 0 and 100 appear only when they are exact."""
    if value is None:
        return UNKNOWN
    if value in {0, 1}:
        return f"{value * 100:.0f} %"
    return f"{min(99.9, max(0.1, value * 100)):.1f} %"


def seconds(value: float | None) -> str:
    """Return a duration in its two largest units."""
    if value is None:
        return UNKNOWN
    whole = int(abs(value))
    for size, name, smaller, smaller_name in _UNITS:
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{whole} s"


def instant(value: datetime | None) -> str:
    """Return an instant in UTC, to the second."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if value else UNKNOWN


def machine_instant(value: datetime | None) -> str:
    """Return an instant in the format of the attribute ``datetime`` of ``<time>``."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else ""


def relative_time(value: datetime | None, now: datetime) -> str:
    """Return the distance of an instant from now, like ``in 5 min`` or ``3 s ago``."""
    if value is None:
        return "never"
    distance = value - now
    if abs(distance) < timedelta(seconds=1):
        return "now"
    duration = seconds(distance.total_seconds())
    return f"in {duration}" if distance > timedelta() else f"{duration} ago"


def inline_code(value: str) -> Markup:
    """Return a sentence as HTML in which the parts between backticks are ``<code>``."""
    parts = value.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 and place < len(parts) - 1 else part
        for place, part in enumerate(parts)
    )


def label(value: str) -> str:
    """Return the readable form of a platform, status, reason or outcome."""
    return _LABELS.get(value, value.replace("_", " "))


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number,
        share=share,
        seconds=seconds,
        instant=instant,
        machine_instant=machine_instant,
        relative_time=relative_time,
        label=label,
        inline_code=inline_code,
        status_kind=lambda status: _STATUS_KINDS.get(status, "waiting"),
        outcome_kind=group_of,
        outcome_mark=mark,
    )
    environment.globals.update(
        version=VERSION,
        platforms=[one.value for one in Platform],
        statuses=[one.value for one in SyncStatus],
        reasons=[one.value for one in Reason],
        until_resumed=UNTIL_RESUMED,
    )
    return environment


_TEMPLATES: Final = _environment()


def render(template: str, context: Mapping[str, Any], status: int = 200) -> Response:
    """Return a rendered template as a response."""
    body = _TEMPLATES.get_template(template).render(context)
    # A lone surrogate in the text of a post must not make the page fail.
    return Response(body.encode("utf-8", "replace"), status, HEADERS, "text/html; charset=utf-8")


def redirect(location: str) -> Response:
    """Return a redirect (303) to another page."""
    return Response(status_code=303, headers={**HEADERS, "Location": location})
