"""``/docs``: the OpenAPI document as one page, without scripts and external resources."""

import json
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from api_stub.docs.openapi import DOCUMENT

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
}


def _render() -> bytes:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    template = environment.from_string((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
    return template.render(document=DOCUMENT, schemas=DOCUMENT["components"]["schemas"]).encode()


_PAGE: Final = _render()


async def page(_request: Request) -> Response:
    """Answer with the page."""
    return Response(_PAGE, headers=_HEADERS, media_type="text/html")
