"""The application: which address leads where."""

import contextlib
from collections.abc import AsyncIterator

from starlette.routing import Route, Router

from api_stub.health import alive, prometheus, ready
from api_stub.posts import list_posts
from api_stub.service import Service
from api_stub.shell import Shell

ROUTES = (
    Route("/v1/analytics/posts", list_posts),
    Route("/healthz", alive),
    Route("/readyz", ready),
    Route("/metrics", prometheus),
)


def create(service: Service) -> Shell:
    """Return the ASGI application of a service, which it starts and stops."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with service.running():
            yield

    return Shell(Router(ROUTES, redirect_slashes=False, lifespan=lifespan), service)
