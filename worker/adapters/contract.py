"""The seam between the refresh story and a platform: one small Protocol, and what an adapter may ask for."""

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
        """Our clock when the answer came."""
        ...

    def json(self) -> object:
        """Return the body as strict JSON: no NaN, no duplicate keys, bounded depth, integers exact.

        Raises `ValueError` for anything else: empty, HTML, truncated, too large.
        """
        ...


class MetricMemory(Protocol):
    """Metrics that a platform refuses for an object type, remembered by the whole fleet for a while."""

    def refused(self, version: str, object_type: str) -> frozenset[str]:
        """Return the metrics to leave out now; one caller in the fleet gets an expired one back to probe."""
        ...

    def remember(self, version: str, object_type: str, metric: str) -> None:
        """Leave ``metric`` out from now on, until the memory of it expires."""
        ...

    def forget(self, version: str, object_type: str, metric: str) -> None:
        """Ask for ``metric`` again everywhere: a probe got its number. No probe of this job: no effect."""
        ...


class Upstream(Protocol):
    """One job's way to its platform: budgeted, bounded in time and size, with errors translated."""

    @property
    def memory(self) -> MetricMemory:
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

        ``url`` is sent as it stands (query string included, already encoded). ``endpoint`` is the name of the
        endpoint class for budgets and metrics, ``cost`` what the call takes from its budgets.
        Raises `worker.errors.TryAgain` on network trouble and time-outs, `worker.errors.Paused` when a budget
        says wait (nothing was sent then).
        """
        ...

    def saw(self, *limits: Limit) -> None:
        """Feed what a response said of its limits to the fleet's budget."""
        ...


class Adapter(Protocol):
    """How one platform is read."""

    @property
    def renewal_endpoint(self) -> str | None:
        """The endpoint class that `renew` calls; ``None`` where tokens are not renewed."""
        ...

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Yield one reading per publication, in any order, as answers come.

        A raised `worker.errors.RefreshError` ends the read: it holds for every publication not yet yielded,
        and those already yielded keep their numbers. Any other exception is a bug of the adapter.
        """
        ...

    def renew(self, upstream: Upstream, account: Account) -> Tokens:
        """Return new tokens for the account; nothing is stored here.

        Raises `worker.errors.Reauthorize` (``renewable=False``) when only the owner can help, and the other
        refresh errors as `fetch` does.
        """
        ...
