"""A client that polls the API: the rows that it is served must never become older."""

import threading
import time
from dataclasses import dataclass, field

import httpx

_PAGE = 100
_PAUSE_SECONDS = 0.2
_TIMEOUT_SECONDS = 8.0


@dataclass(frozen=True)
class PolledRequest:
    """One request. No status means that no response came."""

    at: float
    """When it ended, by the monotonic clock."""
    status: int | None
    acceptable: bool
    """Whether it was answered with rows, or with 503 and Retry-After."""


@dataclass
class ApiPoller:
    """Pages through the rows of one workspace with an API key until it is stopped."""

    url: str
    key: str
    requests: list[PolledRequest] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start polling in a thread."""
        self._stopping = threading.Event()
        self._newest: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="api-poller", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current request."""
        self._stopping.set()
        self._thread.join()

    def since(self, at: float) -> list[PolledRequest]:
        """Return the requests that ended after an instant of the monotonic clock."""
        return [one for one in self.requests if one.at >= at]

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
            self.requests.append(PolledRequest(time.monotonic(), None, acceptable=False))
            return page
        served = answer.status_code == httpx.codes.OK
        waits = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and "retry-after" in answer.headers
        self.requests.append(PolledRequest(time.monotonic(), answer.status_code, acceptable=served or waits))
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
                self.outdated.append(f"the API served {row} without a reading after one of {before}")
            return
        if _instant(last_updated_at) < _instant(before):
            self.outdated.append(f"the API served {row} as of {last_updated_at} after {before}")
        self._newest[row] = last_updated_at


def _instant(text: str) -> str:
    """Return a UTC instant in RFC 3339 in a form that sorts: a whole second has no fraction."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    return f"{seconds}.{fraction:<06}"
