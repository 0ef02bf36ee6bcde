"""A client that reads through the API all the time: what it is served must never go back."""

import threading
import time
from dataclasses import dataclass, field

import httpx

_PAGE = 100
_PAUSE_SECONDS = 0.1
_TIMEOUT_SECONDS = 8.0


@dataclass(frozen=True)
class Answered:
    """One request: when, and how it ended. No status means that no answer came."""

    at: float
    """By the monotonic clock."""
    status: int | None
    polite: bool
    """An answer with rows, or a 503 that says when to come back."""


@dataclass
class Reader:
    """Pages through one workspace's rows with an API key until stopped."""

    url: str
    key: str
    answered: list[Answered] = field(default_factory=list)
    backwards: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Begin to read, in a thread of its own."""
        self._stopping = threading.Event()
        self._newest: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the request that is under way."""
        self._stopping.set()
        self._thread.join()

    def since(self, at: float) -> list[Answered]:
        """Return the requests that ended after an instant of the monotonic clock."""
        return [one for one in self.answered if one.at >= at]

    def _run(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        page = 1
        with httpx.Client(
            base_url=self.url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False
        ) as client:
            while not self._stopping.wait(_PAUSE_SECONDS):
                page = self._read(client, page)

    def _read(self, client: httpx.Client, page: int) -> int:
        try:
            answer = client.get("/v1/analytics/posts", params={"limit": _PAGE, "page": page})
        except httpx.TransportError:
            self.answered.append(Answered(time.monotonic(), None, polite=False))
            return page
        served = answer.status_code == httpx.codes.OK
        waits = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and "retry-after" in answer.headers
        self.answered.append(Answered(time.monotonic(), answer.status_code, polite=served or waits))
        if not served:
            return page
        items = answer.json()["items"]
        for item in items:
            self._compare(f"{item['post_id']} of {item['account_id']}", item["last_updated_at"])
        return page + 1 if len(items) == _PAGE else 1

    def _compare(self, row: str, last_updated_at: str | None) -> None:
        before = self._newest.get(row, "")
        if last_updated_at is None:
            if before:
                self.backwards.append(f"the API served {row} as never read after a reading of {before}")
            return
        if _instant(last_updated_at) < _instant(before):
            self.backwards.append(f"the API served {row} as of {last_updated_at} after {before}")
        self._newest[row] = last_updated_at


def _instant(text: str) -> str:
    """Return RFC 3339 text of UTC so that it sorts: a whole second has no fraction."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    return f"{seconds}.{fraction:<06}"
