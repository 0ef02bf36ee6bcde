"""Followers of the changes: a client of the feed that crashes at random, and a receiver of webhooks.

Both keep the newest state of each publication. When nothing changes any more, both must equal what is served.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import httpx
from sqlalchemy import Engine

from shared import database
from shared.webhooks import endpoints
from tests.faults.harness.accounts import WORKSPACES
from tests.faults.harness.environment import Environment
from tests.faults.harness.waiting import wait_until
from tests.worker.webhooks.receiver import OK, Receiver, Request, receiver

WORKSPACE: Final = WORKSPACES[0]
_SERVED: Final = """
SELECT p.id::text, a.sync_status, a.metrics, a.warnings, a.error_message
  FROM publications p JOIN post_analytics a ON a.publication_id = p.id WHERE p.workspace_id = %s
"""
_FIELDS: Final = ("sync_status", "metrics", "warnings", "error_message")
_SETTLED_WITHIN: Final = 60.0
_CRASHES: Final = 0.2


@dataclass
class Copy:
    """The newest state of each publication, as a follower keeps it."""

    rows: dict[str, tuple[int, Any]] = field(default_factory=dict)

    def fold(self, changes: list[Any]) -> None:
        """Upsert by publication, and ignore a change that is not greater."""
        for change in changes:
            key = change.get("publication_id")
            if key is None or int(change["change"]) <= self.rows.get(key, (0, None))[0]:
                continue
            deleted = change["type"] == "analytics.deleted"
            self.rows[key] = (int(change["change"]), None if deleted else change["item"])

    def content(self) -> dict[str, Any]:
        """Return what it shows, by publication."""
        return {
            key: tuple(item[name] for name in _FIELDS)
            for key, (_, item) in self.rows.items()
            if item is not None
        }


class FeedClient:
    """Follows the feed; a crash loses what it did since it last stored copy and cursor together."""

    def __init__(self, environment: Environment, random: Random) -> None:
        self._environment = environment
        self._random = random
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed-client", daemon=True)
        self.copy = Copy()
        self._cursor: str | None = None
        self.errors: list[str] = []
        self.restarts = 0
        """How often its cursor had expired."""

    def start(self) -> None:
        """Start following in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current request."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        headers = {"Authorization": f"Bearer {self._environment.api_key}"}
        with httpx.Client(
            base_url=self._environment.api_url, headers=headers, timeout=8, trust_env=False
        ) as client:
            while not self._stopping.wait(0.1):
                parameters = {"limit": "7", **({"cursor": self._cursor} if self._cursor else {})}
                try:
                    answer = client.get("/v1/analytics/changes", params=parameters)
                except httpx.TransportError:
                    continue
                if answer.status_code == httpx.codes.OK:
                    self._store(answer.json())
                elif (
                    answer.status_code == httpx.codes.GONE
                ):  # another timeline: start again, as its error says
                    self.copy, self._cursor = Copy(), None
                    self.restarts += 1
                elif answer.status_code < 500:
                    self.errors.append(answer.text)

    def _store(self, body: Any) -> None:
        if self._random.random() < _CRASHES:
            return  # it crashed before it stored the page: it comes again
        self.copy.fold(body["changes"])
        if self._random.random() >= _CRASHES:  # else it crashed between copy and cursor
            self._cursor = body["cursor"]


@dataclass
class Followers:
    """The followers of one round."""

    environment: Environment
    receiver: Receiver
    feed: FeedClient
    engine: Engine
    endpoint_id: str
    secret: str
    received: Copy = field(default_factory=Copy)
    requests: list[Request] = field(default_factory=list)
    script: Callable[[Request], tuple[int, dict[str, str]]] = lambda _request: OK
    resets: int = 0
    """How often the endpoint started over."""

    def answer(self, request: Request) -> tuple[int, dict[str, str]]:
        """Verify a delivery, answer by the script, and keep what was accepted."""
        request.verify(self.secret)
        status, headers = self.script(request)
        self.requests.append(request)
        if status < 300:
            if request.body["data"].get("reset"):
                self.received = Copy()
                self.resets += 1
            self.received.fold(request.changes)
        return status, headers

    def start_sender(self, failpoints: str = "", networks: str = "127.0.0.0/8") -> Any:
        """Start one more sender."""
        return self.environment.fleet.start_with_failpoints(
            "worker.webhooks", failpoints, DRAVO_WEBHOOK_ALLOW_NETWORKS=networks
        )

    def await_failure(self, failure: str, within: float = 40.0) -> None:
        """Wait until a delivery has ended in this way."""
        query = "SELECT count(*) FROM webhook_deliveries WHERE outcome = %s"
        wait_until(
            lambda: self.environment.value(query, failure) > 0, within, f"a delivery that ended {failure}"
        )

    def retry_now(self) -> None:
        """Let the endpoint be tried again at once: a scaled-down wait."""
        self.environment.query("UPDATE webhook_endpoints SET next_run_at = now() WHERE state = 'enabled'")

    def delivered(self) -> int:
        """Return how many requests have arrived."""
        return len(self.requests)

    def await_more(self, requests: int = 1, *, within: float = 30.0) -> None:
        """Wait until more requests have arrived."""
        before = self.delivered()
        wait_until(lambda: self.delivered() >= before + requests, within, "a delivery")

    def differences(self) -> list[str]:
        """Return how the copies differ from what is served; nothing may be changing meanwhile."""
        served = {row[0]: tuple(row[1:]) for row in self.environment.query(_SERVED, WORKSPACE)}
        differing = []
        for name, copy in (("feed", self.feed.copy.content()), ("webhook", self.received.content())):
            keys = {key for key in served.keys() | copy.keys() if served.get(key) != copy.get(key)}
            differing += [
                f"{name}: {key} is {copy.get(key)} and not {served.get(key)}" for key in sorted(keys)
            ]
        return differing

    def settle(self) -> None:
        """Stop what changes rows, and wait until both copies equal what is served."""
        with self.environment.fleet.stopped("worker"):
            self.retry_now()
            wait_until(lambda: not self.differences(), _SETTLED_WITHIN, "copies that equal what is served")
        assert self.feed.errors == []
        assert _same_id_means_same_content(self.requests), "an id came with two contents"


def _same_id_means_same_content(requests: list[Request]) -> bool:
    """Return whether every id stands for one content."""
    contents: dict[str, set[str]] = {}
    for request in requests:
        changes = str([(one.get("publication_id"), one["change"]) for one in request.changes])
        contents.setdefault(request.headers["webhook-id"], set()).add(changes)
    return all(len(different) == 1 for different in contents.values())


@contextmanager
def following(environment: Environment, random: Random, senders: int = 1) -> Iterator[Followers]:
    """Follow from the beginning during a fault; afterwards, both copies must equal what is served."""
    engine = database.connect(environment.postgres.url, application="followers", pool_size=1)
    with receiver() as running:
        with engine.begin() as connection:
            endpoint_id, secret = endpoints.add(
                connection, environment.vault, WORKSPACE, running.url, (), thin=False, from_beginning=True
            )
        feed = FeedClient(environment, random)
        followers = Followers(environment, running, feed, engine, endpoint_id, secret.get_secret_value())
        running.script = followers.answer
        feed.start()
        started = [followers.start_sender() for _ in range(senders)]
        try:
            followers.await_more()
            yield followers
            environment.fleet.restart_dead()
            environment.await_api()
            if not any(member.alive for member in environment.fleet.of("worker.webhooks")):
                started.append(followers.start_sender())
            followers.settle()
        finally:
            feed.stop()
            environment.fleet.stop(*environment.fleet.of("worker.webhooks"))
            environment.query("DELETE FROM webhook_endpoints")
            engine.dispose()
