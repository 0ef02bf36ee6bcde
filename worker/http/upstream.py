"""The interface to a platform for one job: each call passes the gate, is sent, and is counted."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from shared.observability import metrics, tracing
from shared.vocabulary import Platform
from worker.adapters.contract import RefusedMetrics
from worker.http.client import Client, Reply
from worker.readings import Limit


class Gate(Protocol):
    """Reserves budgets before every call."""

    def __call__(self, platform: Platform, account_id: str, endpoint: str, cost: int, /) -> None:
        """Return when the call may be made; raise `worker.errors.Paused` when a budget says wait."""


class Sink(Protocol):
    """Receives the limits that a platform reports."""

    def __call__(self, platform: Platform, account_id: str, limits: tuple[Limit, ...]) -> None:
        """Update budgets with the limits of one answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, with the fields that metrics and logs may show."""

    platform: Platform
    account_id: str
    endpoint: str
    cost: int
    status: int | None
    """``None``: no answer came."""
    took: timedelta


_log = structlog.get_logger(__name__)


def count_call(call: Call) -> None:
    """Count one call, and log it at debug level."""
    platform, endpoint = call.platform.value, call.endpoint
    metrics.UPSTREAM_CALLS.labels(platform, endpoint, metrics.status_class(call.status)).inc()
    metrics.UPSTREAM_COST.labels(platform, endpoint).inc(call.cost)
    metrics.UPSTREAM_SECONDS.labels(platform, endpoint).observe(call.took.total_seconds())
    _log.debug(
        "upstream_call",
        platform=platform,
        account_id=call.account_id,
        endpoint=endpoint,
        cost=call.cost,
        status=call.status,
        seconds=round(call.took.total_seconds(), 3),
    )


def ungated(platform: Platform, account_id: str, endpoint: str, cost: int, /) -> None:
    """Let a call pass: its budgets were reserved before, or it has none."""


def ignore_limits(platform: Platform, account_id: str, limits: tuple[Limit, ...]) -> None:
    """Do nothing: the caller reads `JobUpstream.limits` instead."""


class JobUpstream:
    """One job's `worker.adapters.contract.Upstream`: the shared client, for one account."""

    def __init__(
        self,
        client: Client,
        platform: Platform,
        account_id: str,
        memory: RefusedMetrics,
        *,
        gate: Gate = ungated,
        sink: Sink = ignore_limits,
        observe: Callable[[Call], None] = count_call,
    ) -> None:
        self.memory = memory
        self.limits: list[Limit] = []
        """All limits that the platform reported during this job."""
        self._client = client
        self._platform = platform
        self._account_id = account_id
        self._gate = gate
        self._sink = sink
        self._observe = observe

    def now(self) -> datetime:
        """Return the current instant, UTC."""
        return self._client.now()

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
    ) -> Reply:
        """Pass the gate, send, and count the call; see `worker.adapters.contract.Upstream.send`."""
        self._gate(self._platform, self._account_id, endpoint, cost)
        status = None
        started = time.monotonic()
        try:
            with tracing.span(
                "call", platform=self._platform.value, endpoint=endpoint, cost=cost
            ) as attributes:
                reply = self._client.request(method, url, headers=headers, json=json, form=form)
                attributes["status"] = status = reply.status
        finally:
            took = timedelta(seconds=time.monotonic() - started)
            self._observe(Call(self._platform, self._account_id, endpoint, cost, status, took))
        return reply

    def report_limits(self, *limits: Limit) -> None:
        """Keep the limits, and pass them to the sink."""
        self.limits += limits
        if limits:
            self._sink(self._platform, self._account_id, limits)
