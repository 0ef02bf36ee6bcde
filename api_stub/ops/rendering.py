"""Templates, the words and numbers in them, and the headers that every page goes out with."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from api_stub.ops.overview import group_of
from shared.quota.pauses import UNTIL_RESUMED
from shared.vocabulary import Platform, Reason, SyncStatus

_HERE: Final = Path(__file__).parent
STATIC: Final = {
    "style.css": ((_HERE / "static" / "style.css").read_bytes(), "text/css; charset=utf-8"),
    "live.js": ((_HERE / "static" / "live.js").read_bytes(), "text/javascript; charset=utf-8"),
}
"""Files beside the pages, by name, with their type."""
VERSION: Final = sha256(b"".join(content for content, _ in STATIC.values())).hexdigest()[:12]
"""Part of their address, so that a browser may keep them for good."""

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

_NAMES: Final[Mapping[str, str]] = {
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
    """Return a number in groups of three; nothing known is a dash, never a zero."""
    return UNKNOWN if value is None else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def share(value: float | None) -> str:
    """Return a part as per cent, and neither 0 nor 100 unless it is exactly that."""
    if value is None:
        return UNKNOWN
    if value in {0, 1}:
        return f"{value * 100:.0f} %"
    return f"{min(99.9, max(0.1, value * 100)):.1f} %"


def seconds(value: float | None) -> str:
    """Return a length of time: its two largest units."""
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
    """Return an instant as the attribute of ``<time>`` wants it."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else ""


def since(value: datetime | None, now: datetime) -> str:
    """Return how far an instant is from now, in words."""
    if value is None:
        return "never"
    away = value - now
    if abs(away) < timedelta(seconds=1):
        return "now"
    told = seconds(away.total_seconds())
    return f"in {told}" if away > timedelta() else f"{told} ago"


def prose(value: str) -> Markup:
    """Return a sentence in which what stands between backticks is code."""
    parts = value.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 and place < len(parts) - 1 else part
        for place, part in enumerate(parts)
    )


def words(value: str) -> str:
    """Return one of our words as people read it."""
    return _NAMES.get(value, value.replace("_", " "))


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
        since=since,
        words=words,
        prose=prose,
        status_kind=lambda status: _STATUS_KINDS.get(status, "waiting"),
        outcome_kind=group_of,
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


def page(template: str, context: Mapping[str, Any], status: int = 200) -> Response:
    """Return a page."""
    body = _TEMPLATES.get_template(template).render(context)
    # A lone half of a surrogate pair in somebody's text must not cost us the page.
    return Response(body.encode("utf-8", "replace"), status, HEADERS, "text/html; charset=utf-8")


def away(location: str) -> Response:
    """Return an answer that leads to another page of ours, to be asked for with GET."""
    return Response(status_code=303, headers={**HEADERS, "Location": location})
