"""Computes the sizes of `deploy/capacity.md` from measured constants: ``python -m deploy.bench.capacity``.

An adaptive installation is taken as one that has published at a steady rate for `YEARS`, the platforms in
equal parts, with typical posts and readers and without pressure on a quota: the rule of production
(`shared.freshness.rule`) gives the instants at which such a post is refreshed.
"""

from typing import Final

from deploy.console import show
from shared.freshness.priors import PRIORS
from shared.freshness.rule import Prior, State, interval_of
from shared.vocabulary import Platform

YEARS: Final = 2
LOAD: Final = 0.5
"""The part of a core that is planned with."""
FILLED: Final = 0.5
"""The part of a batch that is filled."""
CALL_SECONDS: Final = 2.0
BATCH: Final = {
    Platform.INSTAGRAM: 50,
    Platform.FACEBOOK: 50,
    Platform.X: 100,
    Platform.LINKEDIN: 20,
    Platform.TIKTOK: 20,
}
WORKER_MICROSECONDS: Final = {
    Platform.INSTAGRAM: 280,
    Platform.FACEBOOK: 237,
    Platform.X: 160,
    Platform.LINKEDIN: 364,
    Platform.TIKTOK: 271,
}
"""CPU time of the worker per row, `make bench-throughput`."""
POSTGRESQL_MICROSECONDS: Final = 195
"""CPU time of PostgreSQL per row, `make bench-throughput`."""
IMPORT_MICROSECONDS: Final = 50
"""Half of the CPU time per imported row, `make bench-ingestion`: command and PostgreSQL share two cores."""
ROW_BYTES: Final = 1_426
"""A publication in PostgreSQL with one snapshot, indexes included: `make bench-throughput`, less 156 bytes
that fewer indexes have saved since."""
SNAPSHOT_BYTES: Final = 288
SIZES: Final = (1_000_000, 10_000_000, 100_000_000)
_FIXED_HOURS: Final = 6.0
_LARGE: Final = 10_000.0
"""Views of a typical post: its numbers are no longer small."""


def refreshes_of_a_life(prior: Prior, hours: float) -> int:
    """Return how often a typical post is refreshed until this age."""
    age, number = 0.0, 0
    while age < hours:
        age += interval_of(State(age, _LARGE), prior).hours
        number += 1
    return number


def per_second(publications: int, platform: Platform, *, adaptive: bool) -> float:
    """Return the refreshes per second of publications of one platform."""
    if not adaptive:
        return publications / (_FIXED_HOURS * 3600)
    hours = YEARS * 365 * 24.0
    return publications * refreshes_of_a_life(PRIORS[platform], hours) / (hours * 3600)


def row(publications: int, *, adaptive: bool) -> str:
    """Return a line of the table."""
    rates = {platform: per_second(publications // 5, platform, adaptive=adaptive) for platform in Platform}
    refreshes = sum(rates.values())
    calls = sum(rate / (BATCH[platform] * FILLED) for platform, rate in rates.items())
    worker = sum(rate * WORKER_MICROSECONDS[platform] / 1e6 for platform, rate in rates.items()) / LOAD
    postgresql = refreshes * POSTGRESQL_MICROSECONDS / 1e6 / LOAD
    columns = (
        f"{publications / 1e6:,.0f} M",
        "adaptive" if adaptive else "`fixed:6h`",
        _number(refreshes),
        _number(calls),
        _number(calls * CALL_SECONDS / 0.85),
        _number(worker),
        _number(postgresql),
        f"{publications * ROW_BYTES / 1e9:,.1f}",
        _number(refreshes * 86_400 * SNAPSHOT_BYTES / 1e9),
        _number(publications * IMPORT_MICROSECONDS / 1e6 / 60),
    )
    return f"| {' | '.join(columns)} |"


def table() -> str:
    """Return the sizes in Markdown."""
    head = (
        "| publications | policy | refreshes/s | calls/s | threads | worker cores | PostgreSQL cores"
        " | tables, GB | history, GB a day at most | import, minutes |"
    )
    lines = [row(size, adaptive=adaptive) for size in SIZES for adaptive in (False, True)]
    return "\n".join([head, "|" + "---|" * 10, *lines])


def lives() -> str:
    """Return how often a typical post of each platform is refreshed in its first day, month and years."""
    ages = {"first day": 24.0, "30 days": 720.0, f"{YEARS} years": YEARS * 8_760.0}
    lines = [f"| platform | {' | '.join(ages)} |", "|---|" + "---|" * len(ages)]
    for platform in Platform:
        numbers = (str(refreshes_of_a_life(PRIORS[platform], hours)) for hours in ages.values())
        lines.append(f"| {platform} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


if __name__ == "__main__":
    show(table(), "", lives())
