"""A client that asks for fresh rows, whatever comes of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.faults.harness.environment import Stage

_PAUSE_SECONDS = 0.05
_TIMEOUT_SECONDS = 20.0


@contextmanager
def asked_for_fresh_rows(stage: Stage) -> Iterator[list[str]]:
    """Read with ``refresh=true`` again and again until the context ends; give what was answered."""
    enough, heard = threading.Event(), [""]
    asker = threading.Thread(target=_ask, args=(stage, enough, heard))
    asker.start()
    try:
        yield heard
    finally:
        enough.set()
        asker.join()


def _ask(stage: Stage, enough: threading.Event, heard: list[str]) -> None:
    with httpx.Client(
        base_url=stage.api_url,
        headers={"Authorization": f"Bearer {stage.api_key}"},
        timeout=_TIMEOUT_SECONDS,
        trust_env=False,
    ) as client:
        while not enough.wait(_PAUSE_SECONDS):
            try:
                answer = client.get("/v1/analytics/posts", params={"refresh": "true", "limit": 100})
            except httpx.TransportError as error:
                heard.append(repr(error))
            else:
                heard.append(f"{answer.status_code} {answer.text[:200]}")
