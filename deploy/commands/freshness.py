"""``dravo freshness`` and ``dravo replay-freshness``: what a policy costs, now and on recorded data."""

from typing import Annotated, Any, Final

import typer
from sqlalchemy import text

from deploy import console, stores
from deploy.console import AsJson, CommandError, UsageError
from deploy.freshness.forecast import Calls, forecast
from deploy.freshness.replay import recorded, replay
from shared.freshness.policy import Freshness
from shared.settings import load

Policy = Annotated[
    str | None, typer.Option(help="adaptive, or fixed:6h; without it, DRAVO_FRESHNESS.", metavar="POLICY")
]
_SAME_CALLS: Final = 1.05
"""Times the calls of the bound up to which a policy is compared with it."""
_ACCURACY = text("""
SELECT platform, CAST(sum(reads) AS float8) AS reads, sum(within) AS within FROM read_accuracy
 WHERE hour > now() - interval '1 day' GROUP BY 1
""")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(epilog="Examples: dravo freshness\n\ndravo freshness --dry-run --policy fixed:6h")(freshness)
    app.command("replay-freshness", epilog="Example: dravo replay-freshness --policy fixed:6h --posts 500")(
        replay_freshness
    )


def freshness(
    *,
    policy: Policy = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what the policy would do; this command never changes a row."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show refreshes and calls a day, before and after a change to a policy, by platform.

    Before: by the intervals that are planned now. After: by the policy. Estimated from a sample of rows.
    Calls are what a platform counts when each request is full. Services follow DRAVO_FRESHNESS from their
    start.

    JSON: ``policy``, ``dry_run``, ``platforms`` (array of ``platform``, ``rows``, ``rows_a_day_before``,
    ``rows_a_day_after``, ``calls_a_day_before``, ``calls_a_day_after``, ``reads_within_5_percent`` (of the
    last day; null without reads)).
    """
    settings = load("database_url")
    chosen = _policy(policy or settings.freshness)
    with stores.transaction(settings) as connection:
        platforms = forecast(connection, settings, chosen)
        within = {row.platform: row.within / row.reads for row in connection.execute(_ACCURACY) if row.reads}
    shapes = [_shape(calls, within.get(calls.platform.value)) for calls in platforms]
    if as_json:
        console.emit({"policy": chosen.name, "dry_run": dry_run, "platforms": shapes})
        return
    headings = ["platform", "rows", "refreshes a day", "after", "calls a day", "after", "reads within 5 %"]
    rows = [
        [
            calls.platform.label,
            calls.rows,
            *(f"{shape[name]:,.0f}" for name in list(shape)[2:6]),
            "unknown" if (share := shape["reads_within_5_percent"]) is None else f"{share:.1%}",
        ]
        for calls, shape in zip(platforms, shapes, strict=True)
    ]
    console.show(f"policy {chosen.name}: {chosen.explain()}")
    console.show(console.table(headings, rows, right=headings[1:]))


def replay_freshness(
    *,
    policy: Policy = None,
    posts: Annotated[int, typer.Option(min=1, max=20_000, help="Publications to replay, sampled.")] = 500,
    calls: Annotated[
        float | None, typer.Option(min=2, max=10_000, help="Calls for each post; without it, those made.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay recorded snapshots and reads under each policy, at an equal number of calls.

    The first 30 days of each post are replayed. Numbers between two snapshots are taken to grow evenly, and
    reads to come when a typical post is read, so the figures compare policies and say nothing about a single
    post. The bound knows all numbers and readers in advance; a policy that cannot make so few calls is not
    measured by it.

    JSON: ``posts``, ``calls`` (for each post), ``policies`` (array of ``policy``, ``calls``, ``error`` (mean
    of |true - served| / (true + 20) over all reads), ``within_5_percent``, ``times_bound`` (null: it makes
    more calls than the bound)).
    """
    settings = load("database_url")
    chosen = _policy(policy or settings.freshness)
    with stores.transaction(settings) as connection:
        sampled = recorded(connection, posts)
    if not sampled:
        raise CommandError(
            "no publication was measured twice in its first 30 days: there is nothing to replay"
        )
    outcome = replay(sampled, chosen, calls)
    least = outcome.results[-1][1].error
    most_calls = outcome.calls * _SAME_CALLS
    shapes: list[dict[str, Any]] = [
        {
            "policy": name,
            "calls": round(result.calls, 2),
            "error": round(result.error, 5),
            "within_5_percent": round(result.within, 4),
            "times_bound": (round(result.error / least, 2) if least and result.calls <= most_calls else None),
        }
        for name, result in outcome.results
    ]
    if as_json:
        console.emit({"posts": outcome.posts, "calls": round(outcome.calls, 2), "policies": shapes})
        return
    headings = ["policy", "calls a post", "error of a read", "within 5 %", "x bound"]
    rows = [
        [
            shape["policy"],
            f"{shape['calls']:.1f}",
            f"{shape['error']:.2%}",
            f"{shape['within_5_percent']:.1%}",
            shape["times_bound"] if shape["times_bound"] is not None else "-",
        ]
        for shape in shapes
    ]
    console.show(f"{outcome.posts} posts, {outcome.calls:.1f} calls for each")
    console.show(console.table(headings, rows, right=headings[1:]))


def _policy(setting: str) -> Freshness:
    try:
        return Freshness.parse(setting)
    except ValueError as error:
        raise UsageError(f"--policy {error}") from None


def _shape(calls: Calls, within: float | None) -> dict[str, Any]:
    return {
        "platform": calls.platform.value,
        "rows": calls.rows,
        "rows_a_day_before": round(calls.rows_a_day_before, 1),
        "rows_a_day_after": round(calls.rows_a_day_after, 1),
        "calls_a_day_before": round(calls.rows_a_day_before / calls.batch, 1),
        "calls_a_day_after": round(calls.rows_a_day_after / calls.batch, 1),
        "reads_within_5_percent": None if within is None else round(within, 4),
    }
