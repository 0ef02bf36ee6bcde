"""``/``: the index of what this service offers to people and tools."""

from importlib.metadata import version
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from api_stub.service import service_of

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline';"
    " frame-ancestors 'none'"
}
_TEMPLATE: Final = Environment(
    autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
).from_string((Path(__file__).parent / "index.html").read_text(encoding="utf-8"))


async def index(request: Request) -> Response:
    """Answer with the page; the operators' page is listed where it is enabled."""
    page = _TEMPLATE.render(
        version=version("dravo-analytics-sync"), ops=bool(service_of(request).settings.ops_token)
    )
    return Response(page, headers=_HEADERS, media_type="text/html")
