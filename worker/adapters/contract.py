"""The interface between a refresh and a platform: the Protocol `Adapter`, and what an adapter may use."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from worker.readings import Account, Limit, Publication, Reading, Tokens


class Response(Protocol):
    """A platform's answer, body read and bounded."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers, names in any case."""
        ...

    @property
    def received_at(self) -> datetime:
        """The instant, on our clock, at which the answer came."""
        ...

    def json(self) -> object:
        """Return the body as strict JSON: no NaN, no duplicate keys, bounded depth, integers exact.

        Raises `ValueError` for anything else: empty, HTML, truncated, too large.
        """
        ...


class RefusedMetrics(Protocol):
    """Metrics that a platform refuses for an object type, remembered for the whole fleet for a while."""

    def refused(self, version: str, object_type: str) -> frozenset[str]:
        """Return the metrics to leave out now; an expired one is left to one caller in the fleet to probe."""
        ...

    def remember(self, version: str, object_type: str, metric: str) -> None:
        """Leave ``metric`` out from now on, until its entry expires."""
        ...

    def forget(self, version: str, object_type: str, metric: str) -> None:
        """Delete the entry of ``metric``, after a successful probe by this job; otherwise do nothing."""
        ...


class Upstream(Protocol):
    """One job's calls to its platform: within budgets, bounded in time and size, with translated errors."""

    @property
    def memory(self) -> RefusedMetrics:
        """The fleet's memory of refused metrics for this platform."""
        ...

    def now(self) -> datetime:
        """Return the current instant, UTC."""
        ...

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
    ) -> Response:
        """Send one call and return its answer whatever its status.

        ``url`` is sent unchanged (query string included, already encoded). ``endpoint`` is the name of the
        endpoint class for budgets and metrics, ``cost`` what the call takes from its budgets.
        Raises `worker.errors.TryAgain` on network errors and time-outs, and `worker.errors.Paused` when a
        budget is exhausted (nothing was sent then).
        """
        ...

    def report_limits(self, *limits: Limit) -> None:
        """Update the fleet's budgets with the limits that a response reports."""
        ...


class Adapter(Protocol):
    """The calls to one platform."""

    @property
    def renewal_endpoint(self) -> str | None:
        """The endpoint class that `renew` calls; ``None`` where tokens are not renewed."""
        ...

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Yield one reading per publication, in any order, as answers come.

        A raised `worker.errors.RefreshError` ends the fetch: it holds for every publication without a
        reading, and readings already yielded are recorded. Any other exception is a bug of the adapter.
        """
        ...

    def renew(self, upstream: Upstream, account: Account) -> Tokens:
        """Return new tokens for the account; nothing is stored here.

        Raises `worker.errors.Reauthorize` (``renewable=False``) when only the account's owner can help, and
        the other refresh errors as `fetch` does.
        """
        ...
