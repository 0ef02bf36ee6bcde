"""A client that requests rows with ``refresh=true``, whatever it is answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.faults.harness.environment import Environment

_PAUSE_SECONDS = 0.05
_TIMEOUT_SECONDS = 20.0


@contextmanager
def forced_refreshes(environment: Environment) -> Iterator[list[str]]:
    """Request rows with ``refresh=true`` until the context ends; give the responses so far."""
    stopping, responses = threading.Event(), [""]
    thread = threading.Thread(target=_request_until, args=(environment, stopping, responses))
    thread.start()
    try:
        yield responses
    finally:
        stopping.set()
        thread.join()


def _request_until(environment: Environment, stopping: threading.Event, responses: list[str]) -> None:
    with httpx.Client(
        base_url=environment.api_url,
        headers={"Authorization": f"Bearer {environment.api_key}"},
        timeout=_TIMEOUT_SECONDS,
        trust_env=False,
    ) as client:
        while not stopping.wait(_PAUSE_SECONDS):
            try:
                answer = client.get("/v1/analytics/posts", params={"refresh": "true", "limit": 100})
            except httpx.TransportError as error:
                responses.append(repr(error))
            else:
                responses.append(f"{answer.status_code} {answer.text[:200]}")
