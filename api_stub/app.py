"""The ASGI application: all routes and their endpoints."""

import contextlib
from collections.abc import AsyncIterator

from starlette.routing import Route, Router
from starlette.types import ASGIApp

from api_stub.changes.endpoint import list_changes
from api_stub.docs.index import index
from api_stub.docs.llms import llms
from api_stub.docs.openapi import document
from api_stub.docs.reference import page as docs
from api_stub.docs.reference import script as docs_script
from api_stub.events.endpoint import receive_events
from api_stub.http.cross_origin import allow_origins
from api_stub.http.health import alive, prometheus, ready
from api_stub.http.middleware import RequestMiddleware
from api_stub.ops.context import OpsContext
from api_stub.ops.routes import routes as ops_routes
from api_stub.posts.endpoint import list_posts
from api_stub.posts.history import list_history
from api_stub.service import Service
from api_stub.signals.endpoint import deauthorize, delete_data, receive, shake_hands
from api_stub.signals.status_page import deletion_status

ROUTES = (
    Route("/v1/analytics/posts", list_posts),
    Route("/v1/analytics/posts/{post_id}/history", list_history),
    Route("/v1/analytics/changes", list_changes),
    Route("/internal/events", receive_events, methods=["POST"]),
    Route("/healthz", alive),
    Route("/readyz", ready),
    Route("/metrics", prometheus),
    Route("/openapi.json", document),
)
"""The operations that the OpenAPI document describes."""
SIGNALS = (
    Route("/platforms/{platform}/webhook", shake_hands, methods=["GET"]),
    Route("/platforms/{platform}/webhook", receive, methods=["POST"]),
    Route("/platforms/{platform}/deauthorize", deauthorize, methods=["POST"]),
    Route("/platforms/{platform}/data-deletion", delete_data, methods=["POST"]),
    Route("/platforms/{platform}/data-deletion/{code}", deletion_status, name="deletion_status"),
)
"""What platforms call, not clients: each off until its secret is set."""
PAGES = (
    Route("/", index),
    Route("/llms.txt", llms),
    Route("/docs", docs),
    Route("/docs/{version}/{name}", docs_script),
)


def create(service: Service) -> ASGIApp:
    """Return the ASGI application of a service; its lifespan starts and stops the service."""
    ops = OpsContext(service.settings)

    @contextlib.asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with service.running(), ops.open():
            yield

    app = RequestMiddleware(
        Router((*ROUTES, *SIGNALS, *PAGES, *ops_routes(ops)), redirect_slashes=False, lifespan=lifespan),
        service,
    )
    return allow_origins(app, service.settings.cors_origins) if service.settings.cors_origins else app
