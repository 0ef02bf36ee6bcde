"""Reports one line of a benchmark's results, for people and for machines."""

from typing import Any

from deploy.bench.load import Measurement
from deploy.console import show


def report(rows: int, what: str, measured: Measurement) -> dict[str, Any]:
    """Print a measurement and return it."""
    p50, p99 = measured.quantile(0.5), measured.quantile(0.99)
    show(f"  {what:48} {measured.per_second:7.0f} requests/s   p50 {p50:7.2f} ms   p99 {p99:7.2f} ms")
    return {"rows": rows, "what": what, "per_second": measured.per_second, "p50_ms": p50, "p99_ms": p99}
