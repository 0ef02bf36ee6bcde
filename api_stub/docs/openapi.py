"""``/openapi.json``: the OpenAPI 3.1 document."""

from importlib.metadata import version
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api_stub.docs.guide import guide
from api_stub.docs.operations import PATHS, TAGS
from api_stub.docs.schemas import SCHEMAS, Schema
from api_stub.docs.webhooks import WEBHOOK_SCHEMAS, WEBHOOKS
from api_stub.http.errors import encode


def _scheme(description: str, **more: str) -> Schema:
    return {"type": "http", "scheme": "bearer", "description": description, **more}


DOCUMENT: Final[Schema] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Dravo analytics",
        "version": version("dravo-analytics-sync"),
        "summary": "The official analytics of every published post, as its platform last reported them.",
        "description": guide(),
        "license": {"name": "MIT", "identifier": "MIT"},
    },
    "servers": [{"url": "/", "description": "The installation that serves this document."}],
    "tags": TAGS,
    "paths": PATHS,
    "webhooks": WEBHOOKS,
    "components": {
        "securitySchemes": {
            "apiKey": _scheme("An API key (dra_…) of one workspace, from `dravo keys create`."),
            "dashboardToken": _scheme("A dashboard token of one workspace.", bearerFormat="JWT"),
            "serviceToken": _scheme("The value of DRAVO_INTERNAL_TOKEN, for Dravo's own services."),
        },
        "schemas": {**SCHEMAS, **WEBHOOK_SCHEMAS},
    },
}
_ENCODED: Final = encode(DOCUMENT)


async def document(_request: Request) -> Response:
    """Answer with the OpenAPI document."""
    return Response(_ENCODED, media_type="application/json")
