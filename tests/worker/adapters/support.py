"""Helpers of adapter tests: a plain `Upstream` over an `httpx.Client`, a memory in a dict, and builders."""

import json as jsonlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from shared.vocabulary import Platform
from worker.errors import TryAgain
from worker.http import strict_json
from worker.readings import Account, Limit, Publication

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sent:
    """One call that reached the transport."""

    method: str
    url: str
    endpoint: str
    cost: int
    headers: Mapping[str, str]
    form: Mapping[str, str] | None
    json: object | None


@dataclass(frozen=True, slots=True)
class PlainResponse:
    """A `worker.adapters.contract.Response` over an httpx response."""

    raw: httpx.Response
    received_at: datetime

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.raw.status_code

    @property
    def headers(self) -> httpx.Headers:
        """Response headers, names in any case."""
        return self.raw.headers

    def json(self) -> object:
        """Return the body as strict JSON; `ValueError` for anything else."""
        return strict_json.parse(self.raw.content)


class PlainMemory:
    """A `worker.adapters.contract.RefusedMetrics` in a dict, with an expiry and a single probe."""

    def __init__(self, now: Callable[[], datetime], keep: timedelta = timedelta(days=1)) -> None:
        self._now = now
        self._keep = keep
        self.until: dict[tuple[str, str, str], datetime] = {}

    def refused(self, version: str, object_type: str) -> frozenset[str]:
        """Return the metrics to leave out; an expired one is left to this caller alone, to probe."""
        keys = set()
        for key, until in self.until.items():
            if key[:2] != (version, object_type):
                continue
            if until > self._now():
                keys.add(key[2])
            else:
                self.until[key] = self._now() + self._keep
        return frozenset(keys)

    def remember(self, version: str, object_type: str, metric: str) -> None:
        """Leave ``metric`` out from now on."""
        self.until[version, object_type, metric] = self._now() + self._keep

    def forget(self, version: str, object_type: str, metric: str) -> None:
        """Delete the entry of ``metric``."""
        self.until.pop((version, object_type, metric), None)


class PlainUpstream:
    """A `worker.adapters.contract.Upstream` without budgets: every call is sent and recorded."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        memory: PlainMemory | None = None,
    ) -> None:
        self.client = client
        self.memory = memory or PlainMemory(now)
        self.sent: list[Sent] = []
        self.limits: list[Limit] = []
        self.now = now

    @property
    def cost(self) -> int:
        """The cost of all calls by the platform's own counting."""
        return sum(call.cost for call in self.sent)

    def send(
        self,
        method: str,
        url: str,
        *,
        endpoint: str,
        cost: int = 1,
        headers: Mapping[str, str] | None = None,
        json: object | None = None,
        form: Mapping[str, str] | None = None,
    ) -> PlainResponse:
        """Send one call; network errors become `TryAgain`, as in the worker's client."""
        self.sent.append(Sent(method, url, endpoint, cost, dict(headers or {}), form, json))
        try:
            raw = self.client.request(method, url, headers=headers, json=json, data=form)
        except httpx.TransportError as error:
            raise TryAgain("The platform could not be reached.", breaks=True) from error
        return PlainResponse(raw, self.now())

    def report_limits(self, *limits: Limit) -> None:
        """Record the limits that a response reports."""
        self.limits += limits


def upstream(
    handler: Callable[[httpx.Request], httpx.Response],
    *,
    now: datetime | None = None,
    memory: PlainMemory | None = None,
) -> PlainUpstream:
    """Return an upstream whose every request is answered by ``handler``; ``now`` stops its clock."""
    client = httpx.Client(transport=httpx.MockTransport(handler))
    return PlainUpstream(client) if now is None else PlainUpstream(client, now=lambda: now, memory=memory)


def replies(*answers: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    """Return a handler that gives these answers in order, and fails on a further request."""
    left = iter(answers)

    def handler(request: httpx.Request) -> httpx.Response:
        answer = next(left, None)
        assert answer is not None, f"one request too many: {request.method} {request.url.path}"
        return answer

    return handler


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Return an answer with ``body`` as JSON; bytes and strings are sent unchanged."""
    content = body if isinstance(body, (bytes, str)) else jsonlib.dumps(body)
    return httpx.Response(status, content=content, headers=dict(headers or {}))


def account(platform: Platform, **changes: Any) -> Account:
    """Return a connected account with all permissions, with ``changes``."""
    values: dict[str, Any] = {
        "account_id": "acc_1",
        "workspace_id": "ws_1",
        "platform": platform,
        "platform_account_id": "1000",
        "login": None,
        "kind": None,
        "scopes": frozenset(),
        "access_token": SecretStr("token-very-secret"),
        "refresh_token": None,
        "token_expires_at": None,
        "refresh_token_expires_at": None,
        "token_minted_at": None,
    }
    return Account(**(values | changes))


def publication(number: int, platform_post_id: str | None, **changes: Any) -> Publication:
    """Return a publication of a day ago, with ``changes``."""
    values: dict[str, Any] = {
        "id": number,
        "platform_post_id": platform_post_id,
        "publish_id": None,
        "media_type": None,
        "created_at": NOW - timedelta(days=1),
    }
    return Publication(**(values | changes))
