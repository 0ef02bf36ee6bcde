"""A client that sends events all the time, each one until it is acknowledged."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

_PAUSE_SECONDS = 0.4
_TIMEOUT_SECONDS = 8.0
_POSTS = 5


@dataclass
class EventProducer:
    """Sets the text of a few posts, over and over, to the number of the event."""

    url: str
    token: str
    rows: Sequence[dict[str, Any]]
    acknowledged: dict[str, tuple[str, int]] = field(default_factory=dict)
    """``(post id, number)`` of every event that was answered with 200, by event id."""
    resent: int = 0

    def start(self) -> None:
        """Start sending in a thread."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-producer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current request."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(
            base_url=self.url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False
        ) as client:
            for number in count():
                row = self.rows[number % _POSTS]
                event = {
                    "event_id": f"evt_{number}",
                    "type": "publication.published",
                    "data": {**row, "text": str(number)},
                }
                while not self._accepted(client, event):
                    self.resent += 1
                    if self._stopping.wait(_PAUSE_SECONDS):
                        return
                self.acknowledged[f"evt_{number}"] = (row["post_id"], number)
                if self._stopping.wait(_PAUSE_SECONDS):
                    return

    def _accepted(self, client: httpx.Client, event: dict[str, Any]) -> bool:
        try:
            return client.post("/internal/events", json=event).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False
